# Makes the link DATA/rbee point to a binary that runs here, at once or not at
# all. Prints where it pointed before. $1: data folder, $2: name of the binary there.
set -e
cd "$1"
"./$2" --version >/dev/null || { echo "the binary $2 does not run on this machine" >&2; exit 1; }
readlink rbee || :
ln -sf "$2" .rbee-link-$$
if ! mv -Tf .rbee-link-$$ rbee 2>/dev/null; then
  mv -f .rbee-link-$$ rbee
fi
