package keeper

import (
	"context"
	"path/filepath"
	"text/tabwriter"

	"rbee.dev/rbee/inference/llamacpp"
)

// EngineFlags is `rbee engine flags`.
type EngineFlags struct{}

// Help is shown by --help.
func (EngineFlags) Help() string {
	return `Lists the settings of llama.cpp's that workers can be given, with what this
machine's llama-server says of each, if there is one; ` + "`llama-server --help`" + ` says more,
and knows short names for some. What opens files or ports, fetches anything or is
set by rbee is refused.

Example:
  rbee worker spawn qwen3 --flag cache-type-k=q8_0 --flag cache-type-v=q8_0`
}

// Run prints a line for each.
func (EngineFlags) Run(ctx context.Context, k *Keeper) error {
	names, words := llamacpp.Flags(), k.flagWords(ctx)
	if k.Output == "json" {
		help := map[string]string{}
		for name, w := range words {
			help[name] = w.Text
		}
		return k.printJSON(map[string]any{"flags": names, "help": help})
	}
	if len(words) == 0 {
		k.say("keeper: with a llama-server on this machine, this says what each is for: `rbee engine install`")
	}
	w := tabwriter.NewWriter(k.Stdout, 0, 8, 2, ' ', 0)
	for _, name := range names {
		cells := []string{name}
		if said, ok := words[name]; ok {
			if said.Value != "" {
				cells[0] += "=" + said.Value
			}
			cells = append(cells, said.Text)
		}
		row(w, cells...)
	}
	return w.Flush()
}

// flagWords is what a llama-server of this machine says of its flags: any will do.
func (k *Keeper) flagWords(ctx context.Context) map[string]llamacpp.Words {
	programs, _ := filepath.Glob(filepath.Join(k.Home.Engines(), "*", "*", llamacpp.Name)) // the pattern is a good one
	if found, err := llamacpp.Find(""); err == nil {
		programs = append([]string{found}, programs...)
	}
	for _, program := range programs {
		if words, err := llamacpp.AskFlags(ctx, program); err == nil && len(words) > 0 {
			return words
		}
	}
	return nil
}
