// Package schedule chooses who answers a request, and has requests wait their
// turn where nobody can yet. It is told what the hives say, chooses by a [Policy],
// has workers started where there are too few, and remembers why it chose as it
// did. It reaches no hive itself, and passes nothing on: who asked does that, with
// the worker that it was lent ([Lease]).
package schedule
