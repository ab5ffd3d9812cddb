package llamacpp

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/ops"
)

func TestASpecBecomesArguments(t *testing.T) {
	m := model{path: "/m/x.gguf", context: 32768}
	for _, c := range []struct {
		name  string
		spec  inference.Spec
		model model
		want  string
	}{
		{"defaults", inference.Spec{}, m, "--parallel 4 --ctx-size 16384"},
		{"a small model", inference.Spec{}, model{path: "/m/x.gguf", context: 512}, "--parallel 4 --ctx-size 2048"},
		{"an unknown context", inference.Spec{}, model{path: "/m/x.gguf"}, "--parallel 4 --ctx-size 16384"},
		{
			"all that can be chosen",
			inference.Spec{Parallel: 2, ContextLength: 10000, Threads: 3, Device: "cuda:1", Flags: []string{"fa=on", "--no-warmup"}},
			m,
			"--parallel 2 --ctx-size 20000 --threads 3 --device CUDA1 -fa on --no-warmup",
		},
		{"the processor", inference.Spec{Device: "cpu", Parallel: 1}, m, "--parallel 1 --ctx-size 4096 --device none"},
		{"images", inference.Spec{Parallel: 1}, model{path: "/m/x.gguf", projector: "/m/mmproj.gguf"}, "--parallel 1 --ctx-size 4096 --mmproj /m/mmproj.gguf"},
		{"no images", inference.Spec{Parallel: 1, Flags: []string{"no-mmproj"}}, model{path: "/m/x.gguf", projector: "/m/mmproj.gguf"}, "--parallel 1 --ctx-size 4096 --no-mmproj"},
		{
			"vectors",
			inference.Spec{Parallel: 1},
			model{path: "/m/x.gguf", context: 512, pooling: 1},
			"--parallel 1 --ctx-size 512 --embeddings --batch-size 512 --ubatch-size 512",
		},
		{
			"ranks",
			inference.Spec{Parallel: 1},
			model{path: "/m/x.gguf", context: 512, pooling: poolRank},
			"--parallel 1 --ctx-size 512 --reranking --batch-size 512 --ubatch-size 512",
		},
		{
			"stretched",
			inference.Spec{Parallel: 1, ContextLength: 65536, Flags: []string{"rope-scaling=yarn"}},
			m,
			"--parallel 1 --ctx-size 65536 --rope-scaling yarn",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.spec.ModelID = "bee"
			got, err := arguments(c.spec, c.model)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff("--model /m/x.gguf --alias bee "+c.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAContextBeyondTheModelsIsRefused(t *testing.T) {
	_, err := arguments(inference.Spec{ContextLength: 600}, model{context: 512})
	if ops.CodeOf(err) != ops.CodeInvalid || !strings.Contains(err.Error(), "context_length: is 600 tokens, and the model was made for 512") {
		t.Errorf("got %v", err)
	}
}

func TestDevicesHaveLlamaCppsNames(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "auto": "", "cpu": "none", "cuda:0": "CUDA0", "cuda:1": "CUDA1", "rocm:2": "ROCm2", "metal": "", "metal:0": "",
		"vulkan:0": "Vulkan0", "RPC0": "RPC0", "cuda:0,cuda:2": "CUDA0,CUDA2",
	} {
		if got := device(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestFlagsArePassedOnByAList(t *testing.T) {
	for _, c := range []struct{ flag, want, says string }{
		{"flash-attn=on", "--flash-attn on", ""},
		{"--flash-attn=on", "--flash-attn on", ""},
		{"ngl=99", "-ngl 99", ""},
		{"-ngl=-1", "-ngl -1", ""},
		{"ts=3,1", "-ts 3,1", ""},
		{"no-warmup", "--no-warmup", ""},
		{"samplers=top_k;temperature", "--samplers top_k;temperature", ""},
		{`chat-template-kwargs={"enable_thinking":false}`, `--chat-template-kwargs {"enable_thinking":false}`, ""},
		{`override-tensor=\.ffn_.*_exps\.=CPU`, `--override-tensor \.ffn_.*_exps\.=CPU`, ""},
		{"--lora=/etc/passwd", "", "--lora is not passed on to llama-server: it opens a file"},
		{"lora", "", "--lora is not passed on to llama-server: it opens a file"},
		{"--host=0.0.0.0", "", "--host is not passed on to llama-server: it opens a port"},
		{"rpc=10.0.0.1:1", "", "--rpc is not passed on to llama-server: it opens a port"},
		{"hf=x/y", "", "-hf is not passed on to llama-server: it fetches files"},
		{"chat-template-file=x", "", "--chat-template-file is not passed on to llama-server: it opens a file"},
		{"ctx-size=9", "", "--ctx-size is not passed on to llama-server: it is set by rbee, from the option --context-length"},
		{"threads=9", "", "--threads is not passed on to llama-server: it is set by rbee, which shares the cores out"},
		{"warp=9", "", "--warp is no flag of llama-server that is passed on"},
		{"", "", "-- is no flag"},
		{"-fa", "", "-fa wants a value"},
		{"fa=", "", `-fa wants another value than ""`},
		{"fa=--host", "", `-fa wants another value than "--host"`},
		{"chat-template=/etc/passwd", "", `--chat-template wants another value than "/etc/passwd"`},
		{"chat-template-kwargs=[]", "", `--chat-template-kwargs wants another value than "[]"`},
		{"override-kv=--host", "", `--override-kv wants another value than "--host"`},
		{"no-warmup=1", "", "--no-warmup takes no value"},
	} {
		t.Run(c.flag, func(t *testing.T) {
			args, err := flags([]string{c.flag})
			switch {
			case c.says == "":
				if got := strings.Join(args, " "); err != nil || got != c.want {
					t.Errorf("got %q and %v, want %q", got, err, c.want)
				}
			case ops.CodeOf(err) != ops.CodeInvalid || !strings.HasPrefix(err.Error(), "flags: "+c.says):
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

func TestAFlagThatIsNotPassedOnIsHelpedWith(t *testing.T) {
	for flag, hint := range map[string]string{
		"flash-attn":   "write it as --flag flash-attn=VALUE",
		"flash-attn=":  "write it as --flag flash-attn=VALUE",
		"flash-atn=on": "did you mean --flash-attn? `rbee engine flags` lists those that are passed on",
		"warp-nine=9":  "`rbee engine flags` lists those that are passed on",
		"threads=2":    "`rbee engine flags` lists those that are passed on",
	} {
		if _, err := flags([]string{flag}); ops.AsError(err).Hint != hint {
			t.Errorf("of %s the hint is %q, want %q", flag, ops.AsError(err).Hint, hint)
		}
	}
}

func TestTheListOfFlagsHasWhatIsPassedOnAndNothingElse(t *testing.T) {
	list := Flags()
	if !slices.Contains(list, "flash-attn") || slices.Contains(list, "no-warmup") || slices.Contains(list, "lora") || !slices.IsSorted(list) {
		t.Errorf("it is %q", list)
	}
	for _, name := range list {
		if _, _, err := known(name); err != nil {
			t.Error(err)
		}
	}
}

// FuzzFlags holds that what is passed on is always an allowed name and what it
// is followed by, which cannot be taken for another flag.
func FuzzFlags(f *testing.F) {
	for _, seed := range []string{"fa=on", "--no-warmup", "override-kv=a=int:1", "-ngl=-1", "lora=x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, flag string) {
		args, err := flags([]string{flag})
		if err != nil {
			return
		}
		kind, ok := allowed[args[0]]
		if !ok || len(args) != map[bool]int{true: 1, false: 2}[kind == nothing] {
			t.Fatalf("%q becomes %q", flag, args)
		}
		if kind != nothing && strings.HasPrefix(args[1], "-") && !strings.ContainsAny(args[1][1:2], "0123456789") {
			t.Errorf("%q becomes %q", flag, args)
		}
	})
}

func TestNoFlagIsBothPassedOnAndRefused(t *testing.T) {
	for name := range refused {
		if _, ok := allowed[name]; ok {
			t.Errorf("%s is", name)
		}
	}
}

func TestAModelSaysHowItWantsToBeRun(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "x.gguf")
	write(t, path, gguftest.Model{Type: gguf.F32, Context: 256}.Bytes())
	m, err := inspect(path)
	if err != nil || m != (model{path: path, architecture: "llama", context: 256, blocks: 2}) {
		t.Errorf("got %+v, %v", m, err)
	}
	write(t, path, []byte("no model"))
	if m, err := inspect(path); err != nil || m != (model{path: path}) {
		t.Errorf("of what cannot be read: %+v, %v", m, err)
	}
	if _, err := inspect(filepath.Join(folder, "y.gguf")); ops.CodeOf(err) != ops.CodeNotFound {
		t.Errorf("of none: %v", err)
	}
}

func TestAProjectorIsTakenWhereItCanOnlyBeTheModels(t *testing.T) {
	for _, c := range []struct {
		name, model string
		others      []string
		want        string
	}{
		{"alone", "x.gguf", nil, ""},
		{"with a projector", "x.gguf", []string{"mmproj-x-f16.gguf", "readme.txt"}, "mmproj-x-f16.gguf"},
		{"in parts", "x-00001-of-00002.gguf", []string{"x-00002-of-00002.gguf", "mmproj.gguf"}, "mmproj.gguf"},
		{"with two projectors", "x.gguf", []string{"mmproj-a.gguf", "mmproj-b.gguf"}, ""},
		{"with another model", "x.gguf", []string{"mmproj-a.gguf", "y.gguf"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "[odd]*")
			for _, name := range append(c.others, c.model) {
				write(t, filepath.Join(folder, name), nil)
			}
			got := projector(filepath.Join(folder, c.model))
			if got != "" {
				got = filepath.Base(got)
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestTheProgramIsFound(t *testing.T) {
	folder := t.TempDir()
	program := filepath.Join(folder, Name)
	t.Setenv(PathEnv, "")
	t.Setenv("PATH", folder)
	t.Setenv("HOME", filepath.Join(folder, "home"))
	if _, err := Find(""); ops.CodeOf(err) != ops.CodeNotFound && err != nil {
		t.Errorf("where there is none: %v", err)
	}
	write(t, program, []byte("#!/bin/sh\n"))
	if _, err := Find(program); ops.CodeOf(err) != ops.CodeNotFound {
		t.Errorf("what cannot be run: %v", err)
	}
	if err := os.Chmod(program, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", program} {
		if got, err := Find(path); err != nil || got != program {
			t.Errorf("looking for %q: %q, %v", path, got, err)
		}
	}
	t.Setenv(PathEnv, "/nowhere/llama-server")
	if _, err := Find(""); ops.CodeOf(err) != ops.CodeNotFound || !strings.HasSuffix(err.Error(), "looked at /nowhere/llama-server (no such file or directory)") || !strings.Contains(ops.AsError(err).Hint, PathEnv+" names it") {
		t.Errorf("where the environment names one that is not there: %v", err)
	}
	t.Setenv(PathEnv, None)
	if _, err := Find(""); ops.CodeOf(err) != ops.CodeNotFound || !strings.Contains(err.Error(), PathEnv) {
		t.Errorf("where the environment wants none: %v", err)
	}
}

func TestTheEnvironmentSetsNoOptions(t *testing.T) {
	got := environment([]string{"PATH=/bin", "LLAMA_ARG_HOST=0.0.0.0", "HF_TOKEN=x", "CUDA_VISIBLE_DEVICES=1", "LLAMA_API_KEY=y"}, "/nowhere/x")
	if !slices.Equal(got, []string{"PATH=/bin", "CUDA_VISIBLE_DEVICES=1", "GOMP_SPINCOUNT=100", "KMP_BLOCKTIME=0", "CUDA_DEVICE_ORDER=PCI_BUS_ID"}) {
		t.Errorf("got %q", got)
	}
}

func TestHowThreadsWaitAndCardsCountIsLeftToWhoSaysItHimself(t *testing.T) {
	for _, v := range []string{"OMP_WAIT_POLICY=active", "GOMP_SPINCOUNT=5", "KMP_BLOCKTIME=9"} {
		if got := environment([]string{v, "CUDA_DEVICE_ORDER=FASTEST_FIRST"}, "/nowhere/x"); !slices.Equal(got, []string{v, "CUDA_DEVICE_ORDER=FASTEST_FIRST"}) {
			t.Errorf("with %s it is %q", v, got)
		}
	}
}

func TestLibrariesBesideTheProgramAreFound(t *testing.T) {
	folder := t.TempDir()
	program := filepath.Join(folder, Name)
	write(t, filepath.Join(folder, "libllama.so.0"), nil)
	for _, c := range []struct{ name, before, want string }{
		{"where nothing is set", "PATH=/bin", "PATH=/bin LD_LIBRARY_PATH=" + folder},
		{"before others", "LD_LIBRARY_PATH=/cuda", "LD_LIBRARY_PATH=" + folder + ":/cuda"},
	} {
		if got := strings.Join(environment([]string{c.before}, program)[:len(strings.Fields(c.want))], " "); got != c.want {
			t.Errorf("%s: got %q", c.name, got)
		}
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
