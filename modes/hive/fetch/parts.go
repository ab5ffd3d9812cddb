package fetch

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"rbee.dev/rbee/ops"
)

// hubModel is one model of a repository, which may lie in several files.
type hubModel struct {
	path  string // of the first part
	name  string
	quant string // as the file's name says, in capitals, or ""
	size  int64  // of all parts
	parts []listedFile
	of    int        // how many parts it is split into; 0 is a file by itself
	lacks []int      // the parts that are not there
	sees  listedFile // the projector that comes with it; without a path there is none
}

// Parts is the names of all parts of the split model of which file is one, in their
// order; none for a name that is not that of a part.
func Parts(file string) []string {
	name, part, parts := ops.SplitName(file)
	if part < 1 || part > parts || parts > mostParts {
		return nil
	}
	names := make([]string, parts)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%05d-of-%05d%s", name, i+1, parts, strings.TrimPrefix(file, ops.WithoutGGUF(file)))
	}
	return names
}

// mostParts is how many parts are believed.
const mostParts = 1 << 12

// group makes models of a file list: it puts the parts of split ones together,
// notes which of those are missing, and leaves out what is no model by itself.
func group(files []listedFile) []hubModel {
	byName := map[string]*hubModel{}
	var order []*hubModel
	slices.SortFunc(files, func(a, b listedFile) int { return cmp.Compare(a.Path, b.Path) })
	for _, file := range files {
		if kind, gguf := kindOf(file); !gguf || kind != "" {
			continue
		}
		key, part, parts := ops.SplitName(file.Path)
		if parts > mostParts {
			continue
		}
		m, ok := byName[key+strconv.Itoa(parts)]
		if !ok {
			m = &hubModel{path: file.Path, name: path.Base(key), quant: ops.QuantizationOf(key), of: parts}
			byName[key+strconv.Itoa(parts)] = m
			order = append(order, m)
		}
		m.add(file, part)
	}
	models := make([]hubModel, len(order))
	for i, m := range order {
		m.lackUpTo(m.of + 1)
		m.sees = projector(files, path.Dir(m.path))
		models[i] = *m
	}
	return models
}

// add takes a file as the part of that number; parts come in their order.
func (m *hubModel) add(file listedFile, part int) {
	if m.of > 0 {
		m.lackUpTo(part)
	}
	if m.of == 0 || part == len(m.parts)+len(m.lacks)+1 {
		m.parts = append(m.parts, file)
		m.size += file.Size
	}
}

// lackUpTo notes that the parts before the one of that number are missing.
func (m *hubModel) lackUpTo(part int) {
	for next := len(m.parts) + len(m.lacks) + 1; m.of > 0 && next < part; next++ {
		m.lacks = append(m.lacks, next)
	}
}

// cut says whether parts are missing.
func (m hubModel) cut() bool { return len(m.lacks) > 0 }

// incomplete is the error of a model of which parts are missing.
func (m hubModel) incomplete(repo string) error {
	numbers := make([]string, len(m.lacks))
	for i, n := range m.lacks {
		numbers[i] = strconv.Itoa(n)
	}
	which := "part " + numbers[0] + " of " + strconv.Itoa(m.of) + " is"
	switch n := len(numbers); {
	case n > 3:
		which = fmt.Sprintf("%d of %d parts, %s and others, are", n, m.of, strings.Join(numbers[:3], ", "))
	case n > 1:
		which = fmt.Sprintf("parts %s and %s of %d are", strings.Join(numbers[:n-1], ", "), numbers[n-1], m.of)
	}
	return ops.Errorf(ops.CodeNotFound, "%s has %s only in part: %s missing", repo, m.name, which).
		WithHint("its makers may be uploading it still: try again later, or take another quantisation or repository")
}
