package modes

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/alecthomas/kong"

	"rbee.dev/rbee/modes/daemon"
)

// versionFlag is --version.
type versionFlag bool

// BeforeReset prints the version, in the format that was asked for, and ends the
// command. The parser calls it before commands are looked at.
func (versionFlag) BeforeReset(parsed *kong.Context) error {
	text := []byte("rbee " + daemon.Version)
	flags := parsed.Model.Flags
	at := slices.IndexFunc(flags, func(f *kong.Flag) bool { return f.Name == "output" })
	if fmt.Sprint(parsed.FlagValue(flags[at])) == "json" {
		var err error
		if text, err = json.Marshal(map[string]string{"version": daemon.Version}); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(parsed.Stdout, "%s\n", text); err != nil {
		return err
	}
	parsed.Exit(exitDone)
	return nil
}
