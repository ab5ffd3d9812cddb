package keeper

import (
	"cmp"
	"context"
	"fmt"
	"go/doc/comment"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"

	"rbee.dev/rbee/inference/llamacpp"
)

// EngineFlags is `rbee engine flags`.
type EngineFlags struct{}

// Help is shown by --help.
func (EngineFlags) Help() string {
	return `Lists the settings of llama.cpp's that workers can be given: those that this
machine's llama-server knows, with what it says of each, or all that rbee passes on where
there is none here. ` + "`llama-server --help`" + ` says more, and knows short names for some. What
opens files or ports, fetches anything or is set by rbee is refused.

Example:
  rbee worker spawn qwen3 --flag cache-type-k=q8_0 --flag cache-type-v=q8_0`
}

// Run prints a line for each.
func (EngineFlags) Run(ctx context.Context, k *Keeper) error {
	names, words := llamacpp.Flags(), k.flagWords(ctx)
	if len(words) > 0 {
		names = slices.DeleteFunc(names, func(name string) bool { _, known := words[name]; return !known })
	}
	if k.Output == "json" {
		help := map[string]string{}
		for name, w := range words {
			help[name] = w.Text
		}
		return k.printJSON(map[string]any{"flags": names, "help": help})
	}
	if len(words) == 0 {
		k.say("keeper: with a llama-server on this machine, this says which of them it knows and what each is for: `rbee engine install`")
	}
	return flagTable(k.Stdout, names, words, screenColumns(k.Stdout))
}

// mostName is how many characters a flag and its value may take for what is said of it
// to stand beside it, and not below.
const mostName = 36

// flagTable prints a line for each name, or several where what is said of it does not
// fit beside it into so many columns; 0 is any number.
func flagTable(out io.Writer, names []string, words map[string]llamacpp.Words, columns int) error {
	const apart, least = 2, 20 // columns between, and for the text
	called, longest := make([]string, len(names)), 0
	for i, name := range names {
		if called[i] = name; words[name].Value != "" {
			called[i] += "=" + cell(words[name].Value)
		}
		if n := len(called[i]); n <= mostName {
			longest = max(longest, n)
		}
	}
	width := longest + apart
	var table strings.Builder
	for i, name := range names {
		text := []string{cell(words[name].Text)}
		if columns-width >= least {
			text = wrapped(text[0], columns-width)
		}
		if len(called[i]) > mostName {
			text = slices.Insert(text, 0, "")
		}
		for j, line := range text {
			if j > 0 {
				called[i] = ""
			}
			fmt.Fprintln(&table, strings.TrimRight(fmt.Sprintf("%-*s%s", width, called[i], line), " "))
		}
	}
	_, err := io.WriteString(out, table.String())
	return err
}

// wrapped is text in lines of at most width characters, but for longer words.
func wrapped(text string, width int) []string {
	paragraph := &comment.Paragraph{Text: []comment.Text{comment.Plain(text)}}
	lines := (&comment.Printer{TextWidth: width}).Text(&comment.Doc{Content: []comment.Block{paragraph}})
	return strings.Split(strings.TrimSuffix(string(lines), "\n"), "\n")
}

// screenColumns is how wide the terminal is that out is; 0 is none.
func screenColumns(out io.Writer) int {
	file, ok := out.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// flagWords is what a llama-server of this machine says of its flags: the one that a
// hive here runs, or else any.
func (k *Keeper) flagWords(ctx context.Context) map[string]llamacpp.Words {
	programs := k.installedServers()
	if found, err := llamacpp.Find(""); err == nil && os.Getenv(llamacpp.PathEnv) != "" {
		programs = slices.Insert(programs, 0, found)
	} else if err == nil {
		programs = append(programs, found)
	}
	for _, program := range programs {
		if words, err := llamacpp.AskFlags(ctx, program); err == nil && len(words) > 0 {
			return words
		}
	}
	return nil
}

// installedServers are the programs that `rbee engine install` brought to this machine,
// the last one first.
func (k *Keeper) installedServers() (programs []string) {
	at := map[string]int64{}
	for _, below := range []string{"*", "*/*", "*/*/*"} {
		found, _ := filepath.Glob(filepath.Join(k.Home.Engines(), below, llamacpp.Name)) // the pattern is a good one
		for _, program := range found {
			folder, _, _ := strings.Cut(strings.TrimPrefix(program, k.Home.Engines()+"/"), "/")
			if info, err := os.Stat(filepath.Join(k.Home.Engines(), folder)); err == nil && !strings.HasPrefix(folder, ".") {
				at[program] = info.ModTime().UnixNano() // the manifest is written anew then
			}
		}
	}
	return slices.SortedFunc(maps.Keys(at), func(a, b string) int { return cmp.Compare(at[b], at[a]) })
}
