# Prints the SHA-256 of a file, in hex, or nothing when there is no tool for it.
# $1: the file.
if command -v sha256sum >/dev/null 2>&1; then sha256sum <"$1" | cut -d ' ' -f 1
elif command -v shasum >/dev/null 2>&1; then shasum -a 256 <"$1" | cut -d ' ' -f 1
fi
