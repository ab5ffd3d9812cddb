// Package cores shares a machine's processor cores out among programs that
// compute: it finds the cores that may be used, says which of them each program
// gets, and binds running programs to theirs.
//
// Programs that compute with several threads wait for each other thousands of
// times a second. Where two of them run on the same cores, each waits for
// threads of its own that the other keeps from running.
//
// It knows nothing of workers. Binding works on Linux; elsewhere it does nothing.
package cores
