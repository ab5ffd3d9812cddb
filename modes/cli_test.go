package modes

import (
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"rbee.dev/rbee/ops"
)

// withoutCommand is the operations that have no command.
var withoutCommand = map[string]bool{}

// otherWords is the operations whose command is not called like them.
var otherWords = map[string]string{"hive_test": "ssh_test"}

// commands returns the command of each operation: the words of `rbee hive list`
// are those of hive_list.
func commands(t *testing.T) map[string]*kong.Node {
	t.Helper()
	var c cli
	parser, err := newParser(&c, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*kong.Node{}
	for _, leaf := range parser.Model.Leaves(false) {
		name := strings.ReplaceAll(leaf.Path(), " ", "_")
		if other := otherWords[name]; other != "" {
			name = other
		}
		found[name] = leaf
	}
	return found
}

func TestEveryOperationHasACommand(t *testing.T) {
	found := commands(t)
	for _, o := range ops.All() {
		switch has := found[o.Name()] != nil; {
		case has && withoutCommand[o.Name()]:
			t.Errorf("%s has a command now: take it off the list of those without", o.Name())
		case !has && !withoutCommand[o.Name()]:
			t.Errorf("%s has no command: give it one in cli.go", o.Name())
		}
	}
}

func TestEveryCommandShowsAnExample(t *testing.T) {
	for name, node := range commands(t) {
		if !strings.Contains(node.Detail, "Example") || strings.HasSuffix(strings.TrimSpace(node.Detail), "Example:") {
			t.Errorf("the help of %s has no example", name)
		}
		if node.Help == "" {
			t.Errorf("%s says nothing of itself in its parent's help", name)
		}
	}
}

func TestTheUsageOfEveryCommandTellsOfFlags(t *testing.T) {
	for name, node := range commands(t) {
		var out strings.Builder
		var c cli
		parser, err := newParser(&c, &out, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() { _ = recover() }() // where a program would exit
			_, _ = parser.Parse(append(strings.Fields(node.Path()), "--help"))
		}()
		if usage, _, _ := strings.Cut(out.String(), "\n"); !strings.HasPrefix(usage, "Usage: rbee "+node.Path()) || strings.Count(usage, "[flags]") != 1 || strings.Count(out.String(), "Usage:") != 1 {
			t.Errorf("%s: %q", name, usage)
		}
	}
}

func TestTheNameOfTheBinaryIsTheMode(t *testing.T) {
	for _, tt := range []struct {
		name        string
		words, want []string
	}{
		{"rbee", []string{"infer", "x"}, []string{"infer", "x"}},
		{"rbee", []string{"keeper", "infer", "x"}, []string{"infer", "x"}},
		{"rbee", []string{"serve"}, []string{"serve"}},
		{"rbee-keeper", []string{"status"}, []string{"status"}},
		{"queen-rbee", nil, []string{"queen", "serve"}},
		{"queen-rbee", []string{"--listen", "x"}, []string{"queen", "serve", "--listen", "x"}},
		{"queen-rbee", []string{"serve", "--listen", "x"}, []string{"queen", "serve", "--listen", "x"}},
		{"rbee-hive", []string{"serve"}, []string{"hive", "serve"}},
		{"llm-worker-rbee", []string{"serve", "serve"}, []string{"worker", "serve", "serve"}},
	} {
		if got := called(tt.name, tt.words); !slices.Equal(got, tt.want) {
			t.Errorf("%s %q is rbee %q, want %q", tt.name, tt.words, got, tt.want)
		}
	}
}

func TestEveryGroupOfCommandsShowsAnExample(t *testing.T) {
	var c cli
	parser, err := newParser(&c, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range parser.Model.Children {
		if len(node.Children) > 0 && !strings.Contains(node.Detail, "Example") {
			t.Errorf("the help of %s has no example: give its struct a Help method", node.Name)
		}
	}
}

func TestEveryFieldOfAnOperationCanBeGiven(t *testing.T) {
	// Fields that the command line says in another way.
	other := map[string][]string{
		"stream": {"output"}, "worker": {"engine"}, "hive_id": {"hive", "name"}, "worker_id": {"worker"}, "id": {"name"},
		"ssh_host": {"host"}, "binary_path": {"binary"}, "new_name": {"name"}, "flags": {"flag"}, "scopes": {"scope"}, "models": {"model"}, "checksum": {"sha256"},
		"part_of": {"hives"}, "part_bytes": {"hives"}, "room_only": {"hives"}, "would_fit": {"hive"}, "coming": {"hive"},
	}
	for name, node := range commands(t) {
		for _, o := range ops.All() {
			if o.Name() != name {
				continue
			}
			given := map[string]bool{}
			for _, flags := range node.AllFlags(false) {
				for _, f := range flags {
					given[f.Name] = true
				}
			}
			for _, p := range node.Positional {
				given[p.Name] = true
			}
			for _, field := range ops.FieldNames(o) {
				flag := strings.ReplaceAll(field, "_", "-")
				if !given[flag] && !slices.ContainsFunc(other[field], func(f string) bool { return given[f] }) {
					t.Errorf("%s cannot be given its field %s", name, field)
				}
			}
		}
	}
}

func TestRunsAskOnlyForWhatIsBound(t *testing.T) {
	bound := map[string]bool{"context.Context": true, "io.Writer": true, "home.Home": true, "*keeper.Keeper": true}
	for name, node := range commands(t) {
		run := node.Target.Addr().MethodByName("Run")
		if !run.IsValid() {
			t.Errorf("%s has no Run", name)
			continue
		}
		for i := range run.Type().NumIn() {
			if in := run.Type().In(i); !bound[in.String()] {
				t.Errorf("%s asks for a %s, which nobody binds", name, in)
			}
		}
	}
}

// TestPathsAreThoseOfThePersonsFolder: the queen, which may read them, is in
// another.
func TestPathsAreThoseOfThePersonsFolder(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, tt := range []struct {
		words []string
		given func(cli) string
		want  string
	}{
		{[]string{"model", "download", "a.gguf"}, func(c cli) string { return c.Model.Download.Op.Model }, filepath.Join(dir, "a.gguf")},
		{[]string{"model", "download", "../a.gguf"}, func(c cli) string { return c.Model.Download.Op.Model }, filepath.Join(filepath.Dir(dir), "a.gguf")},
		{[]string{"model", "download", "hf:a/b"}, func(c cli) string { return c.Model.Download.Op.Model }, "hf:a/b"},
		{[]string{"model", "download", "https://a/b.gguf"}, func(c cli) string { return c.Model.Download.Op.Model }, "https://a/b.gguf"},
		{[]string{"model", "download", "hive:gpu1/bee"}, func(c cli) string { return c.Model.Download.Op.Model }, "hive:gpu1/bee"},
		{[]string{"hive", "install", "--binary", "./rbee"}, func(c cli) string { return c.Hive.Install.Op.BinaryPath }, filepath.Join(dir, "rbee")},
		{[]string{"hive", "update", "gpu1", "--binary", "rbee"}, func(c cli) string { return c.Hive.Update.Op.BinaryPath }, filepath.Join(dir, "rbee")},
	} {
		var c cli
		parser, err := newParser(&c, io.Discard, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(tt.words); err != nil || tt.given(c) != tt.want {
			t.Errorf("rbee %q: %q, %v, want %q", tt.words, tt.given(c), err, tt.want)
		}
	}
}
