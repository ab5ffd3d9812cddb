// Package daemon is what queen, hive and worker share as processes: the copy of
// the binary they run from, pid files with locks, starting one in the
// background, logs, and the run loop with its signals and shutdown route. It
// knows nothing of what any of them does.
package daemon
