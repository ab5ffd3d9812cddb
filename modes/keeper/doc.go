// Package keeper is the person's side of rbee: every command that is not a
// daemon. A command finds the queen, or starts one, sends it an operation and
// shows how it goes: what was asked for on standard output, everything else on
// standard error. It does none of the operations itself.
package keeper
