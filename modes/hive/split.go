package hive

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// partsOf is how many parts the split model has of which name is one, or 0.
func partsOf(name string) int {
	_, _, parts := ops.SplitName(name)
	return parts
}

// lacking is the error of a split model of which there are only the parts called
// names, which are sorted.
func lacking(names []string) error {
	there, parts := map[int]bool{}, partsOf(names[0])
	for _, name := range names {
		_, part, _ := ops.SplitName(name)
		there[part] = true
	}
	for part := 1; part <= parts; part++ {
		if !there[part] {
			return fmt.Errorf("%w: %d of %d are there, and number %d is not", errLacking, len(names), parts, part)
		}
	}
	return fmt.Errorf("%w: they do not belong together: %s", errLacking, strings.Join(names, ", "))
}

// wholeSplit says whether names, which are sorted, are all parts of one split
// model.
func wholeSplit(names []string) bool {
	first, _, parts := ops.SplitName(names[0])
	for i, name := range names {
		if of, part, n := ops.SplitName(name); of != first || part != i+1 || n != parts {
			return false
		}
	}
	return len(names) == parts
}

// splitInfo describes a split model as if it were one file.
type splitInfo struct {
	fs.FileInfo // of the first part
	size        int64
	mtime       time.Time // of the part that was written last
}

// Size is the size of all parts, in bytes.
func (s splitInfo) Size() int64 { return s.size }

// ModTime is when the last of the parts was written.
func (s splitInfo) ModTime() time.Time { return s.mtime }

// splitFile finds the first part of a split model, which engines are given.
func (m *models) splitFile(id string, names []string) (string, fs.FileInfo, error) {
	var all splitInfo
	for i, name := range names {
		info, err := m.root.Stat(filepath.Join(id, name))
		if err != nil {
			return "", nil, linkError(err)
		}
		if err := regular(name, info); err != nil {
			return "", nil, err
		}
		if i == 0 {
			all.FileInfo = info
		}
		all.size += info.Size()
		if info.ModTime().After(all.mtime) {
			all.mtime = info.ModTime()
		}
	}
	return names[0], all, nil
}
