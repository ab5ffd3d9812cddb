// Package command is the engine that is any server of OpenAI's API which a
// command line starts, as vLLM's:
//
//	vllm serve {model} --served-model-name {name} --uds {socket}
//
// What the words in braces stand for is put in their place (see [Template]). No
// shell reads the line. Running and watching the program is the work of
// package process; the program's own API is passed on untouched, so that what
// it cannot do is its to say.
package command
