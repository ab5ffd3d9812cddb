// Rbee turns machines that you can SSH into into one private LLM service.
package main

import (
	"os"

	"rbee.dev/rbee/modes"
)

func main() {
	os.Exit(modes.Main(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
