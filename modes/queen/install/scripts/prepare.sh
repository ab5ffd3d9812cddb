# Makes the hive's folders and claims the machine for a queen. $1: data folder,
# $2: state folder, $3: the claim, one line of JSON. Removes what uploads that
# were cut off have left.
set -e
umask 077
mkdir -p "$1" "$2/logs"
chmod 700 "$2"
rm -f "$1"/.rbee-upload-*
if [ -n "$3" ]; then
  printf '%s\n' "$3" >"$2/hive.owner.new"
  mv "$2/hive.owner.new" "$2/hive.owner"
fi
