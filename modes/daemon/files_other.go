//go:build !linux

package daemon

// keepFilesHere marks whatever files this process was handed by its parent,
// beyond the standard three, as not to be handed on. Those that Go opens are
// marked already.
func keepFilesHere() error { return keepEachFileHere("/dev/fd") }
