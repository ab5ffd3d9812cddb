package gguf_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/testdata"
)

// inFolder writes files into a folder of their own, and returns it.
func inFolder(t *testing.T, files map[string][]byte) string {
	t.Helper()
	folder := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestASplitModelIsReadAsOne(t *testing.T) {
	whole, err := gguf.Parse(testdata.Tinybee())
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"whole.gguf": testdata.Tinybee()}
	for i, part := range gguftest.Split(testdata.Tinybee(), 3) {
		files[fmt.Sprintf("a-00001-of-00003-%05d-of-00003.gguf", i+1)] = part // a name that reads like two
	}
	folder := inFolder(t, files)
	for _, name := range []string{"whole.gguf", "a-00001-of-00003-00001-of-00003.gguf"} {
		f, err := gguf.OpenWhole(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Tensors()) != len(whole.Tensors()) || f.Parameters() != whole.Parameters() || f.Quantization() != whole.Quantization() || f.Architecture() != "llama" {
			t.Errorf("%s has %d tensors and %d parameters", name, len(f.Tensors()), f.Parameters())
		}
		for _, want := range whole.Tensors() {
			if got, ok := f.Tensor(want.Name); !ok || !bytes.Equal(f.Data(got), whole.Data(want)) {
				t.Errorf("%s: %s is another", name, want.Name)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestPartsThatDoNotMakeAModelAreErrorsThatSayWhy(t *testing.T) {
	parts := gguftest.Split(testdata.Tinybee(), 3)
	set := func(values map[string]any) []byte { return gguftest.Changed(parts[1], values) }
	names := []string{"m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"}
	for says, change := range map[string]func(files map[string][]byte) (open string){
		"m-00002-of-00003.gguf: no such file": func(f map[string][]byte) string { delete(f, names[1]); return names[0] },
		"part 2 of 3 of the model: not a usable GGUF file: the head": func(f map[string][]byte) string {
			f[names[1]] = []byte("<html>")
			return names[0]
		},
		"is part 2 of 3 of a model, not the first": func(map[string][]byte) string { return names[1] },
		"says that it is part 3 of 3": func(f map[string][]byte) string {
			f[names[1]] = parts[2]
			return names[0]
		},
		"says that it is part 2 of 4": func(f map[string][]byte) string {
			f[names[1]] = set(map[string]any{"split.count": uint16(4)})
			return names[0]
		},
		"is in another part as well": func(f map[string][]byte) string {
			f[names[1]] = gguftest.Changed(parts[0], map[string]any{"split.no": uint16(1)})
			return names[0]
		},
		"split.tensors.count is 99, and the parts hold 47": func(f map[string][]byte) string {
			f[names[0]] = gguftest.Changed(parts[0], map[string]any{"split.tensors.count": int32(99)})
			return names[0]
		},
		"split.count is 60000": func(f map[string][]byte) string {
			f[names[0]] = gguftest.Changed(parts[0], map[string]any{"split.count": uint16(60000)})
			return names[0]
		},
		"does not say by its name where the other parts are": func(f map[string][]byte) string {
			f["model.gguf"] = parts[0]
			return "model.gguf"
		},
	} {
		t.Run(says, func(t *testing.T) {
			files := map[string][]byte{}
			for i, name := range names {
				files[name] = parts[i]
			}
			open := change(files)
			_, err := gguf.OpenWhole(filepath.Join(inFolder(t, files), open))
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("got %v", err)
			}
		})
	}
}
