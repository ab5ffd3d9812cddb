package install

import "embed"

// scripts is what runs on the other machine: POSIX sh, with everything that
// varies as an argument, so that nothing is ever pasted into a line of shell.
//
//go:embed scripts/*.sh
var scripts embed.FS
