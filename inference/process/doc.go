// Package process runs a server program for an engine and watches it: it starts
// the program, learns when it answers, passes requests on to it untouched,
// starts it again when it dies or hangs, and ends it for certain.
//
// It knows nothing of what the program is: which one, with which arguments and
// where it listens is told to it by a [Launch]. Of the requests it knows only
// that they are OpenAI's, so that an answer which breaks off can end in an
// error that its reader understands.
//
// A program that only prints something and ends is run by [Ask].
package process
