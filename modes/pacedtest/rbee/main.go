// Rbee with an engine that is paced, for tests: see package pacedtest.
package main

import (
	"os"

	"rbee.dev/rbee/modes/pacedtest"
)

func main() { os.Exit(pacedtest.Main(os.Args)) }
