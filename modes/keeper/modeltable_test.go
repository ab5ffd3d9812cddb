package keeper

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestWhatToDoAboutManyModelsIsSaidOnceForThoseOfTheSameFault(t *testing.T) {
	loose := func(n int, hint string) (list []ops.Model) {
		for i := range n {
			list = append(list, ops.Model{ID: fmt.Sprintf("m%d.gguf", i), Error: "it lies loose", Hint: strings.ReplaceAll(hint, "#", strconv.Itoa(i))})
		}
		return list
	}
	for name, tt := range map[string]struct {
		list []ops.Model
		want string
	}{
		"none":              {[]ops.Model{{ID: "good"}}, ""},
		"a few":             {loose(3, "move it to m#"), "m0.gguf: move it to m0\nm1.gguf: move it to m1\nm2.gguf: move it to m2\n"},
		"parts of one":      {loose(4, "move all 4 parts"), "m0.gguf and 3 more: move all 4 parts\n"},
		"very many":         {loose(55, "move it to m#"), "m0.gguf: move it to m0; for the other 54 with that note, `rbee model get NAME` tells the same\n"},
		"one on two hives":  {[]ops.Model{{ID: "a", HiveID: "x", Refused: "no", Hint: "install"}, {ID: "a", HiveID: "y", Refused: "no", Hint: "install"}}, "a: install\n"},
		"of several faults": {append(loose(1, "move it to m#"), ops.Model{ID: "b", Error: "cut", Hint: "go on"}), "m0.gguf: move it to m0\nb: go on\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			(&Keeper{Stdout: &said, Stderr: &said}).hints(tt.list)
			if said.String() != tt.want {
				t.Errorf("it says %q, not %q", said.String(), tt.want)
			}
		})
	}
}

// TestTheRowOfAModelIsTrueOfAllItsHives: what is not so of all names the hives.
func TestTheRowOfAModelIsTrueOfAllItsHives(t *testing.T) {
	on := func(hive string, memory int64, pinned bool) ops.Model {
		return ops.Model{ID: "m", HiveID: hive, Memory: memory, Pinned: pinned}
	}
	for name, tt := range map[string]struct {
		list []ops.Model
		want []string
		not  string
	}{
		"pinned on all":        {[]ops.Model{on("a", 1<<20, true), on("b", 1<<20, true)}, []string{"1.0 MiB ", "pinned"}, "pinned on"},
		"pinned on the second": {[]ops.Model{on("a", 0, false), on("b", 1<<20, true)}, []string{"1.0 MiB ", "pinned on b"}, " to "},
		"pinned on two":        {[]ops.Model{on("a", 1<<20, true), on("b", 2<<20, true), on("c", 3<<20, false)}, []string{"1.0 MiB to 3.0 MiB", "pinned on a and b"}, ""},
		"pinned on none":       {[]ops.Model{on("a", 0, false), on("b", 0, false)}, []string{"a, b"}, "pinned"},
		"refused on one":       {[]ops.Model{{ID: "m", HiveID: "a"}, {ID: "m", HiveID: "b", Refused: "not llama"}}, []string{"not llama on b"}, ""},
		"broken on both":       {[]ops.Model{{ID: "m", HiveID: "a", Error: "cut"}, {ID: "m", HiveID: "b", Error: "cut"}}, []string{"cut"}, "cut, cut"},
	} {
		t.Run(name, func(t *testing.T) {
			var shown bytes.Buffer
			models(&shown, tt.list)
			for _, want := range tt.want {
				if !strings.Contains(strings.ReplaceAll(shown.String(), "\t", " "), want) {
					t.Errorf("%q is not in %q", want, shown.String())
				}
			}
			if tt.not != "" && strings.Contains(shown.String(), tt.not) {
				t.Errorf("%q is in %q", tt.not, shown.String())
			}
		})
	}
}
