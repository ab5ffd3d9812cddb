// Package worker is the mode that runs one model on one engine: a process with
// a Unix socket, on which it takes infer jobs and, for whoever speaks it, the
// API of its engine. It knows no hive: one that restarts finds it again by its
// folder, and meanwhile it goes on.
package worker
