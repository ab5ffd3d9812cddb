package fetch

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"rbee.dev/rbee/ops"
)

// usual is the quantisation that is taken where nothing speaks against it: the
// smallest whose answers are hardly worse than the whole weights'.
const usual = "Q4_K_M"

// hubModel is one model of a repository, which may lie in several files.
type hubModel struct {
	path  string // of the first part
	name  string
	quant string // as the file's name says, in capitals, or ""
	size  int64  // of all parts
	parts []listedFile
}

var (
	splitName = regexp.MustCompile(`^(.+)-(\d{5})-of-(\d{5})$`)
	quantName = regexp.MustCompile(`(?i)(?:^|[-._/])((?:UD-)?(?:(?:IQ|TQ|Q)\d(?:_[A-Z0-9]+)*|MXFP4(?:_MOE)?|NVFP4|BF16|FP16|F16|F32))(?:[-._/]|$)`)
)

// SplitName takes the name of a part of a split model, as
// gguf-split gives it (NAME-00001-of-00003.gguf), apart. For any other name
// parts is 0.
func SplitName(file string) (name string, part, parts int) {
	m := splitName.FindStringSubmatch(withoutSuffix(file))
	if m == nil {
		return withoutSuffix(file), 0, 0
	}
	part, _ = strconv.Atoi(m[2])  // five digits
	parts, _ = strconv.Atoi(m[3]) // five digits
	return m[1], part, parts
}

func withoutSuffix(file string) string {
	if strings.EqualFold(path.Ext(file), ".gguf") {
		return file[:len(file)-len(".gguf")]
	}
	return file
}

// group makes models of a file list: it puts the parts of split ones together
// and leaves out what is no model by itself.
func group(files []listedFile) []hubModel {
	byName := map[string]*hubModel{}
	var whole []hubModel
	slices.SortFunc(files, func(a, b listedFile) int { return cmp.Compare(a.Path, b.Path) })
	for _, file := range files {
		base := strings.ToLower(path.Base(file.Path))
		if file.Type != "file" || path.Ext(base) != ".gguf" || strings.HasPrefix(base, "mmproj") || strings.Contains(base, "imatrix") {
			continue
		}
		key, part, parts := SplitName(file.Path)
		m, ok := byName[key+strconv.Itoa(parts)]
		if !ok {
			m = &hubModel{path: file.Path, name: path.Base(key), quant: quantOf(key)}
			byName[key+strconv.Itoa(parts)] = m
		}
		if parts == 0 || part == len(m.parts)+1 {
			m.parts = append(m.parts, file)
			m.size += file.Size
		}
		if len(m.parts) == max(1, parts) {
			whole = append(whole, *m)
		}
	}
	return whole
}

// projector is the file by which llama.cpp makes the repository's model see: in
// the folder of the model or at the top, F16 by preference, which is what makers
// test with.
func projector(files []listedFile, folder string) (listedFile, bool) {
	rank := func(f listedFile) int {
		if i := slices.Index([]string{"F16", "BF16", "Q8_0", "F32"}, quantOf(f.Path)); i >= 0 {
			return i
		}
		return 4
	}
	var found []listedFile
	for _, f := range files {
		base := strings.ToLower(path.Base(f.Path))
		near := path.Dir(f.Path) == folder || path.Dir(f.Path) == "."
		if near && f.Type == "file" && strings.HasPrefix(base, "mmproj") && path.Ext(base) == ".gguf" {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return listedFile{}, false
	}
	return slices.MinFunc(found, func(a, b listedFile) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Path, b.Path)) }), true
}

// quantOf is the quantisation that a path names, in its last place.
func quantOf(path string) string {
	quant := ""
	for rest := path; ; {
		m := quantName.FindStringSubmatchIndex(rest)
		if m == nil {
			return strings.ToUpper(quant)
		}
		quant = rest[m[2]:m[3]]
		rest = rest[m[3]:]
	}
}

// need is what a model takes of memory, in bytes: its weights, and a tenth and
// half a GiB for what is computed with them.
func (m hubModel) need() uint64 { return uint64(m.size) + uint64(m.size)/10 + 512<<20 } //nolint:gosec // a size

// choose picks the model that wanted names, or the best that fits, and says why.
func choose(models []hubModel, repo, wanted string, memory uint64) (hubModel, string, error) {
	if len(models) == 0 {
		return hubModel{}, "", ops.Errorf(ops.CodeNotFound, "%s holds no GGUF file", repo).
			WithHint("look for a repository whose name ends in GGUF")
	}
	if wanted != "" {
		return named(models, repo, wanted)
	}
	fitting := slices.DeleteFunc(slices.Clone(models), func(m hubModel) bool { return memory > 0 && m.need() > memory })
	if len(fitting) == 0 {
		least := slices.MinFunc(models, func(a, b hubModel) int { return cmp.Compare(a.size, b.size) })
		return hubModel{}, "", ops.Errorf(ops.CodeConflict, "nothing of %s fits into the %s of this machine: the smallest, %s, takes about %s",
			repo, humanize.IBytes(memory), least.title(), humanize.IBytes(least.need())).
			WithHint("`hf:%s:%s` downloads it all the same", repo, least.title())
	}
	m := slices.MinFunc(fitting, func(a, b hubModel) int { return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(b.size, a.size)) })
	why := "the usual choice"
	switch {
	case len(models) == 1:
		why = "the only one there"
	case m.quant != usual && slices.ContainsFunc(models, func(m hubModel) bool { return m.quant == usual }):
		why = fmt.Sprintf("the best that fits into %s", humanize.IBytes(memory))
	case m.quant != usual:
		why = "the nearest to " + usual + " that there is"
	}
	return m, m.tell(why), nil
}

// order is quantisations from the usual one to those that are taken only where
// there is nothing better.
var order = []string{
	usual, "UD-Q4_K_XL", "Q4_K_L", "Q4_K_S", "Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS", "MXFP4", "MXFP4_MOE",
	"Q5_K_M", "Q5_K_S", "Q5_0", "Q6_K", "Q8_0",
}

// rank is the place of a model's quantisation in order; what is not there comes
// after, the biggest first.
func (m hubModel) rank() int {
	if i := slices.Index(order, m.quant); i >= 0 {
		return i
	}
	return len(order)
}

// title is what a person can name the model by.
func (m hubModel) title() string { return cmp.Or(m.quant, path.Base(m.path)) }

func (m hubModel) tell(why string) string {
	parts := ""
	if len(m.parts) > 1 {
		parts = fmt.Sprintf(" in %d parts", len(m.parts))
	}
	return fmt.Sprintf("taking %s (%s, %s%s): %s", path.Base(m.path), m.title(), humanize.IBytes(uint64(m.size)), parts, why) //nolint:gosec // a size
}

// named finds what a person named by file or quantisation.
func named(models []hubModel, repo, wanted string) (hubModel, string, error) {
	titles := make([]string, 0, len(models))
	var found []hubModel
	for _, m := range models {
		titles = append(titles, m.title())
		file := slices.ContainsFunc(m.parts, func(p listedFile) bool { return p.Path == wanted || path.Base(p.Path) == wanted })
		if file || strings.EqualFold(m.quant, wanted) {
			found = append(found, m)
		}
	}
	slices.Sort(titles)
	titles = slices.Compact(titles)
	switch len(found) {
	case 0:
		return hubModel{}, "", ops.Errorf(ops.CodeNotFound, "%s has no %s", repo, wanted).WithHint("it has %s", strings.Join(titles, ", "))
	case 1:
		return found[0], found[0].tell("as asked"), nil
	}
	paths := make([]string, len(found))
	for i, m := range found {
		paths[i] = m.path
	}
	return hubModel{}, "", ops.Errorf(ops.CodeConflict, "%s has several files with %s", repo, wanted).WithHint("name one: %s", strings.Join(paths, ", "))
}
