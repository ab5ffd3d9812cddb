package engines

import (
	"archive/zip"
	"encoding/binary"
	"os"
	"strings"
)

// unpacked is how many bytes an archive says that it unpacks to, at the least, or 0 where
// it does not say: a zip file in its directory, a gzipped one at its end.
func unpacked(file string) int64 {
	if strings.HasSuffix(file, ".zip") {
		return unzipped(file)
	}
	return gunzipped(file)
}

func unzipped(file string) (size int64) {
	r, err := zip.OpenReader(file)
	if err != nil {
		return 0 // whoever unpacks it says what is wrong
	}
	defer r.Close() //nolint:errcheck // it was only read
	for _, f := range r.File {
		size += int64(min(f.UncompressedSize64, 1<<40)) //nolint:gosec // bounded
	}
	return size
}

// gunzipped reads the end of a gzipped file: its size, but for whole 4 GiB (ISIZE of
// RFC 1952).
func gunzipped(file string) int64 {
	f, err := os.Open(file)
	if err != nil {
		return 0 // likewise
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	var end [4]byte
	if err != nil || info.Size() < int64(len(end)) {
		return 0
	}
	if _, err := f.ReadAt(end[:], info.Size()-int64(len(end))); err != nil {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(end[:]))
}
