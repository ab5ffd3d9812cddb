# Adds a line to the account's authorized_keys, unless it is there. $1: the line.
set -e
umask 077
mkdir -p "$HOME/.ssh"
file="$HOME/.ssh/authorized_keys"
touch "$file"
if grep -qxF -- "$1" "$file"; then exit 0; fi
if [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ]; then echo >>"$file"; fi
printf '%s\n' "$1" >>"$file"
