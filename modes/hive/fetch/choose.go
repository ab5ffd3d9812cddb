package fetch

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"rbee.dev/rbee/ops"
)

// Room is what a model may take that is chosen by itself.
type Room struct {
	// Memory is how many bytes there are for it; with 0 everything fits.
	Memory uint64
	// Unused tells of what more there would be, and why it does not count, as "cuda:0 is
	// not used: …"; or "".
	Unused string
	// Need estimates how many bytes it takes to run with the projector that comes with
	// it, which has no size where there is none. ok is false where what is known tells
	// too little. Without one, or its answer, [rough] does.
	Need func(model, projector Beginning) (bytes uint64, ok bool)
}

// Beginning is a model or a projector of which only the beginning was read.
type Beginning struct {
	Head []byte // of the first file; nil is not known
	Size int64  // of all files, in bytes
}

// rough is a rule for what a model takes, in bytes: its weights and its projector's,
// and a tenth and half a GiB for what is computed with them.
func rough(m hubModel) uint64 {
	size := uint64(m.size + m.sees.Size) //nolint:gosec // sizes
	return size + size/10 + 512<<20
}

// needs is what a model of a repository takes, in bytes.
type needs func(hubModel) uint64

// needsOf finds out what whole models take. Their files' beginnings say the same of
// all quantisations but the size, so one is read, and that only where the usual
// choice could be too big: where it does not fit twice by the rule.
func (f *Fetcher) needsOf(ctx context.Context, whole []hubModel, room Room, file func(listedFile) File) needs {
	likely := slices.MinFunc(whole, hubModel.compare)
	if room.Need == nil || room.Memory == 0 || rough(likely) <= room.Memory/2 {
		return rough
	}
	head, err := f.Head(ctx, file(likely.parts[0]))
	if err != nil {
		return rough // whoever downloads it hears why
	}
	var eye []byte
	if likely.sees.Size > 0 {
		if eye, err = f.Head(ctx, file(likely.sees)); err != nil {
			eye = nil // its size counts all the same
		}
	}
	need := func(m hubModel) (uint64, bool) {
		return room.Need(Beginning{Head: head, Size: m.size}, Beginning{Head: eye, Size: m.sees.Size})
	}
	if _, ok := need(likely); !ok {
		return rough
	}
	return func(m hubModel) uint64 {
		bytes, _ := need(m)
		return bytes
	}
}

// choose picks the model that wanted names, or the best that fits, and says why.
// of tells what whole models take.
func choose(models []hubModel, repo, wanted string, room Room, of func(whole []hubModel) needs) (hubModel, string, error) {
	if len(models) == 0 {
		return hubModel{}, "", ops.Errorf(ops.CodeNotFound, "%s holds no GGUF file", repo).
			WithHint("look for a repository whose name ends in GGUF")
	}
	if wanted != "" {
		return named(models, repo, wanted)
	}
	whole := slices.DeleteFunc(slices.Clone(models), hubModel.cut)
	if len(whole) == 0 {
		return hubModel{}, "", models[0].incomplete(repo)
	}
	models = whole
	need, memory, unused := of(models), room.Memory, ""
	if room.Unused != "" {
		unused = "; " + room.Unused
	}
	fitting := slices.DeleteFunc(slices.Clone(models), func(m hubModel) bool { return memory > 0 && need(m) > memory })
	if len(fitting) == 0 {
		least := slices.MinFunc(models, func(a, b hubModel) int { return cmp.Compare(a.size, b.size) })
		return hubModel{}, "", ops.Invalid("model", "nothing of %s fits into the %s that a model can have on this machine: the smallest, %s, takes about %s to run%s",
			repo, humanize.IBytes(memory), least.title(), humanize.IBytes(need(least)), unused).
			WithHint("`rbee model download hf:%s:%s` brings it all the same", repo, least.title())
	}
	m := slices.MinFunc(fitting, hubModel.compare)
	if alike := slices.DeleteFunc(slices.Clone(fitting), func(o hubModel) bool { return o.quant != m.quant }); len(alike) > 1 {
		return hubModel{}, "", several(alike, repo, cmp.Or(m.quant, "no quantisation in their names"))
	}
	first := slices.MinFunc(models, hubModel.compare) // that would be taken with more memory
	why := m.place()
	switch {
	case len(models) == 1:
		why = "the only one there"
	case m.path != first.path:
		why = fmt.Sprintf("the best that fits into %s: it takes about %s to run, and %s would take %s%s",
			humanize.IBytes(memory), humanize.IBytes(need(m)), first.title(), humanize.IBytes(need(first)), unused)
	}
	return m, m.tell(why), nil
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

// named finds what a person named by file or quantisation. A file goes without its
// part's number and .gguf too, unless another one is called just so.
func named(models []hubModel, repo, wanted string) (hubModel, string, error) {
	found := only(models, func(m hubModel) bool { return m.has(func(file string) bool { return file == wanted }) })
	if len(found) == 0 {
		asked, _, _ := ops.SplitName(wanted)
		found = only(models, func(m hubModel) bool {
			return strings.EqualFold(m.quant, wanted) || m.has(func(file string) bool {
				whole, _, _ := ops.SplitName(file)
				return strings.EqualFold(whole, asked)
			})
		})
	}
	if whole := slices.DeleteFunc(slices.Clone(found), hubModel.cut); len(whole) > 0 {
		found = whole
	}
	switch len(found) {
	case 0:
		return hubModel{}, "", missing(models, repo, wanted)
	case 1:
		if found[0].cut() {
			return hubModel{}, "", found[0].incomplete(repo)
		}
		return found[0], found[0].tell("as asked"), nil
	}
	return hubModel{}, "", several(found, repo, wanted)
}

// only is those of which ok holds.
func only(models []hubModel, ok func(hubModel) bool) []hubModel {
	return slices.DeleteFunc(slices.Clone(models), func(m hubModel) bool { return !ok(m) })
}

// has reports whether ok holds of a file of the model's, by its path or its name.
func (m hubModel) has(ok func(file string) bool) bool {
	return slices.ContainsFunc(m.parts, func(p listedFile) bool { return ok(p.Path) || ok(path.Base(p.Path)) })
}

// several is the error of models of which nothing tells which one is meant.
func several(models []hubModel, repo, alike string) error {
	paths := make([]string, len(models))
	for i, m := range models {
		paths[i] = m.path
	}
	return ops.Invalid("model", "%s has several files with %s", repo, alike).
		WithHint("name one, as in hf:%s:%s; there are %s", repo, paths[0], some(paths))
}

// missing is the error of a file or quantisation that there is not, with what the
// person may have meant.
func missing(models []hubModel, repo, wanted string) error {
	var there []string
	isFile := strings.EqualFold(path.Ext(wanted), ".gguf")
	for _, m := range models {
		switch {
		case !isFile:
			there = append(there, m.title())
		case strings.Contains(wanted, "/"):
			there = append(there, m.path)
		default:
			there = append(there, path.Base(m.path))
		}
	}
	slices.Sort(there)
	there = slices.Compact(there)
	e := ops.Errorf(ops.CodeNotFound, "%s has no %s", repo, wanted)
	if near := ops.NearestNames(wanted, there); len(near) > 0 {
		return e.WithHint("did you mean %s? It has %s", strings.Join(near, " or "), some(there))
	}
	if i := slices.IndexFunc(models, func(m hubModel) bool { return m.quant == "" }); i >= 0 && !isFile {
		return e.WithHint("it has %s; hf:%s:%s takes that file, whose name tells no quantisation", some(there), repo, models[i].path)
	}
	return e.WithHint("it has %s", some(there))
}

// some is a list for a sentence, cut where it is long.
func some(list []string) string {
	const most = 12
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}
