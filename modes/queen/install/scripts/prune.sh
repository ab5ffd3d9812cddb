# Removes binaries that are not wanted any more. $1: data folder, the rest: names
# of binaries to keep.
cd "$1" || exit 0
shift
for b in rbee-*; do
  keep=
  for k in "$@"; do if [ "$b" = "$k" ]; then keep=1; fi; done
  if [ -z "$keep" ]; then rm -f "$b"; fi
done
