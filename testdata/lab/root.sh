#!/usr/bin/env bash
# Makes the root folder that the machines of the SSH lab (transport/ssh/lab) are
# copies of: Debian with a real OpenSSH server and a few login shells, by
# debootstrap. Needs root and Debian. A second run does nothing.
#
#   bash testdata/lab/root.sh /opt/rbee-lab
#   RBEE_LAB_ROOT=/opt/rbee-lab go test ./modes -run Lab
set -euo pipefail
root=${1:?usage: root.sh FOLDER}
if [ -e "$root/.complete" ] && [ -e "$root/lib/systemd/systemd" ]; then
  exit 0
fi
missing=()
command -v debootstrap >/dev/null || missing+=(debootstrap)
command -v ip >/dev/null || missing+=(iproute2)
command -v nft >/dev/null || missing+=(nftables)
command -v ssh >/dev/null || missing+=(openssh-client)
if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -qq
  apt-get install -y -qq "${missing[@]}" >/dev/null
fi
# The mirror that this machine itself uses.
mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } |
  sed -nE 's/^(URIs: *|deb (\[[^]]*\] )?)(https?:[^ ]+\/debian)\/?( .*)?$/\3/p' | head -n 1)
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
rm -rf "$root"
debootstrap --variant=minbase --include=openssh-server,openssh-sftp-server,procps "$suite" "$root" ${mirror:+"$mirror"} >"$root.log" 2>&1 ||
  { tail -n 20 "$root.log"; exit 1; }
chroot "$root" apt-get install -y -qq --no-install-recommends fish tcsh >>"$root.log" 2>&1 || { tail -n 20 "$root.log"; exit 1; }
# Its unit is in place before systemd is, so that one machine can have it as init.
chroot "$root" apt-get install -y -qq --no-install-recommends systemd dbus-user-session libpam-systemd polkitd >>"$root.log" 2>&1 ||
  { tail -n 20 "$root.log"; exit 1; }
chroot "$root" systemctl enable --quiet ssh.service
chroot "$root" systemctl mask --quiet systemd-networkd.service systemd-resolved.service systemd-timesyncd.service
chroot "$root" useradd -m -s /bin/bash alice
chroot "$root" usermod -p '*' alice
mkdir -p "$root/run/sshd"
touch "$root/.complete"
