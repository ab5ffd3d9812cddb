package keeper

import (
	"fmt"

	"rbee.dev/rbee/inference/llamacpp"
)

// EngineFlags is `rbee engine flags`.
type EngineFlags struct{}

// Help is shown by --help.
func (EngineFlags) Help() string {
	return `Lists the settings of llama.cpp's that workers can be given; ` + "`llama-server --help`" + `
says what each is for, and knows short names for some. What opens files or ports,
fetches anything or is set by rbee is refused.

Example:
  rbee worker spawn qwen3 --flag cache-type-k=q8_0 --flag cache-type-v=q8_0`
}

// Run prints the names, a line for each.
func (EngineFlags) Run(k *Keeper) error {
	names := llamacpp.Flags()
	if k.Output == "json" {
		return k.printJSON(map[string][]string{"flags": names})
	}
	for _, name := range names {
		if _, err := fmt.Fprintln(k.Stdout, name); err != nil {
			return err
		}
	}
	return nil
}
