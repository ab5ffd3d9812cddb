package fetch

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"rbee.dev/rbee/ops"
)

// What a GGUF file may be that is no model, for a sentence.
const (
	aProjector = "a projector, by which a model takes images"
	aMatrix    = "what models are quantised by"
)

// kindOf is what a GGUF file of a repository is by its name, "" for a model; gguf
// tells whether it is one.
func kindOf(f listedFile) (kind string, gguf bool) {
	switch base := strings.ToLower(path.Base(f.Path)); {
	case f.Type != "file" || path.Ext(base) != ".gguf":
		return "", false
	case strings.HasPrefix(base, "mmproj"):
		return aProjector, true
	case strings.Contains(base, "imatrix"):
		return aMatrix, true
	}
	return "", true
}

// noModel is the error of what is wanted and is no model, or of a repository in which
// nothing is one.
func noModel(files []listedFile, models []hubModel, repo, wanted string) error {
	for _, f := range files {
		kind, _ := kindOf(f)
		switch {
		case kind == "":
		case len(models) == 0:
			return ops.Errorf(ops.CodeNotFound, "%s holds no model, only %s: %s", repo, kind, f.Path).
				WithHint("look for the model's own repository")
		case f.Path == wanted || path.Base(f.Path) == wanted:
			e := ops.Errorf(ops.CodeNotFound, "%s in %s is no model: it is %s", wanted, repo, kind)
			if kind == aProjector {
				return e.WithHint("it comes with the repository's models: `rbee model download hf:%s`", repo)
			}
			return e.WithHint("`rbee model download hf:%s` brings a model", repo)
		}
	}
	return nil
}

// projector is the file by which llama.cpp makes the repository's model see: in
// the folder of the model or at the top, F16 by preference, which is what makers
// test with. Its path is "" where there is none.
func projector(files []listedFile, folder string) listedFile {
	rank := func(f listedFile) int {
		if i := slices.Index([]string{"F16", "BF16", "Q8_0", "F32"}, ops.QuantizationOf(f.Path)); i >= 0 {
			return i
		}
		return 4
	}
	var found []listedFile
	for _, f := range files {
		near := path.Dir(f.Path) == folder || path.Dir(f.Path) == "."
		if kind, _ := kindOf(f); near && kind == aProjector {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return listedFile{}
	}
	return slices.MinFunc(found, func(a, b listedFile) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Path, b.Path)) })
}
