# Removes a line from the account's authorized_keys. $1: the line.
set -e
umask 077
file="$HOME/.ssh/authorized_keys"
[ -e "$file" ] || exit 0
grep -vxF -- "$1" "$file" >"$file.rbee" || :
cat "$file.rbee" >"$file"
rm -f "$file.rbee"
