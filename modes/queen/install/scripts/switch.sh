# Makes the link DATA/rbee point to a binary, at once or not at all. Prints
# where it pointed before. $1: data folder, $2: name of the binary there.
set -e
cd "$1"
[ -x "$2" ]
readlink rbee || :
ln -sf "$2" .rbee-link-$$
if ! mv -Tf .rbee-link-$$ rbee 2>/dev/null; then
  mv -f .rbee-link-$$ rbee
fi
