// Package job is what a job is, and the server that runs jobs: the same in
// queen, hive and worker.
//
// A job is one operation on its way: submitted by POST, run at once, followed
// as a stream of events by any number of readers at any time. Its events go to
// a log ([eventLog]) that readers pull from, so a reader costs only itself; the
// log is a file, so a restart of the daemon loses nothing that was written.
//
// A log is a file of JSON lines: first the operation, then one line per event,
// with where it came from if it was forwarded ([ops.Cursor]), the last one with
// what became of the job. An event is in the file before any reader gets it, and
// a job whose log cannot be written fails.
//
// The package does no operation and reaches no other daemon: [Options.Run]
// does the work, and package transport follows jobs elsewhere.
package job
