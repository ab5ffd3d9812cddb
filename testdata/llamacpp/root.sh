#!/usr/bin/env bash
# Installs llama.cpp into a folder of its own, for tests and benchmarks to compare
# with: Debian sid's packages in a root made by debootstrap, since they want a
# newer libc than Debian 12 has. Needs root and Debian. A second run does nothing.
#
#   bash testdata/llamacpp/root.sh /opt/rbee-llamacpp
#   RBEE_LLAMACPP_ROOT=/opt/rbee-llamacpp go test ./inference/builtin
set -euo pipefail
root=${1:?usage: root.sh FOLDER}
if chroot "$root" llama-server --version >/dev/null 2>&1; then
  exit 0
fi
if ! command -v debootstrap >/dev/null; then
  apt-get update -qq
  apt-get install -y -qq debootstrap >/dev/null
fi
# The mirror that this machine itself uses.
mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } |
  sed -nE 's/^(URIs: *|deb (\[[^]]*\] )?)(https?:[^ ]+\/debian)\/?( .*)?$/\3/p' | head -n 1)
debootstrap --variant=minbase sid "$root" ${mirror:+"$mirror"} >"$root.log" 2>&1 || { tail -n 20 "$root.log"; exit 1; }
chroot "$root" apt-get install -y -qq --no-install-recommends llama.cpp-tools >>"$root.log" 2>&1 || { tail -n 20 "$root.log"; exit 1; }
chroot "$root" llama-server --version
