// Package slice says how long the kernel lets a process's threads run in one go.
//
// A thread that asks for a short time slice runs as soon as it wakes, even where
// others compute, and computes no less in all (sched(7), sched_setattr(2); Linux
// 6.12 and later heed it for ordinary threads). That is what a daemon wants that
// passes tokens on beside an engine that has every core: otherwise each token
// waits for milliseconds until the engine's threads pause.
//
// It changes no priority and needs no rights. Elsewhere, and on older kernels, it
// does nothing.
package slice
