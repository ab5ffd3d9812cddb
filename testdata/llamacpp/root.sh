#!/usr/bin/env bash
# Installs llama.cpp into a folder of its own, for tests and benchmarks to compare
# with and for machines of the lab to have: Debian sid's packages in a root made by
# debootstrap, since they want a newer libc than Debian 12 has, with an SSH server
# and an account, and llama.cpp's RPC server, which Debian does not package (see
# rpc-server.c). Needs root and Debian. A second run adds what is missing.
#
#   bash testdata/llamacpp/root.sh /opt/rbee-llamacpp
#   RBEE_LLAMACPP_ROOT=/opt/rbee-llamacpp go test ./inference/builtin
set -euo pipefail
root=${1:?usage: root.sh FOLDER}
source=$(dirname "$0")/rpc-server.c
sum=$(sha256sum <"$source" | cut -c 1-16)
split=$root/usr/bin/llama-gguf-split
if [ -e "$root/.complete" ] && [ -x "$split" ] && [ "$(cat "$root/.rpc-server" 2>/dev/null)" = "$sum" ]; then
  exit 0
fi
log() { "$@" >>"$root.log" 2>&1 || { tail -n 20 "$root.log"; exit 1; }; }
if ! chroot "$root" llama-server --version >/dev/null 2>&1; then
  if ! command -v debootstrap >/dev/null; then
    apt-get update -qq
    apt-get install -y -qq debootstrap >/dev/null
  fi
  # The mirror that this machine itself uses.
  mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } |
    sed -nE 's/^(URIs: *|deb (\[[^]]*\] )?)(https?:[^ ]+\/debian)\/?( .*)?$/\3/p' | head -n 1)
  : >"$root.log"
  log debootstrap --variant=minbase sid "$root" ${mirror:+"$mirror"}
  log chroot "$root" apt-get install -y -qq --no-install-recommends llama.cpp-tools
fi
if ! [ -e "$root/.complete" ] || ! [ -x "$split" ]; then
  # All of the same build: where the mirror has newer ones than an older root's
  # lists name, llama.cpp is brought up to date with them.
  install() {
    chroot "$root" apt-get install -y -qq --no-install-recommends llama.cpp-tools llama.cpp-tools-extra libggml0-backend-rpc libggml-dev gcc libc6-dev \
      openssh-server openssh-sftp-server procps
  }
  install >>"$root.log" 2>&1 || { log chroot "$root" apt-get update -qq && log install; }
  chroot "$root" id alice >/dev/null 2>&1 || chroot "$root" useradd -m -s /bin/bash alice
  chroot "$root" usermod -p '*' alice
  mkdir -p "$root/run/sshd"
fi
cp "$source" "$root/tmp/rpc-server.c"
log chroot "$root" gcc -O2 -Wall -o /usr/bin/rpc-server /tmp/rpc-server.c -lggml -lggml-base
rm "$root/tmp/rpc-server.c"
echo "$sum" >"$root/.rpc-server"
touch "$root/.complete"
chroot "$root" llama-server --version
