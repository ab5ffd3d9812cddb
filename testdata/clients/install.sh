#!/usr/bin/env bash
# Installs the official clients that rbee is tested with into a folder, in the
# versions of package-lock.json, by whatever registry npm is configured for.
# Usage: install.sh FOLDER
set -euo pipefail
folder=$(realpath -m "$1")
here=$(cd "$(dirname "$0")" && pwd)
if cmp -s "$here/package-lock.json" "$folder/installed.json"; then
  echo "clients: there already"
  exit 0
fi
if ! command -v npm >/dev/null; then
  apt-get install -y -qq nodejs npm >/dev/null
fi
mkdir -p "$folder"
cp "$here/package.json" "$here/package-lock.json" "$folder/"
(cd "$folder" && npm ci --silent --no-audit --no-fund)
cp "$here/package-lock.json" "$folder/installed.json"
