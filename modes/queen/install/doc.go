// Package install puts a hive onto a machine and takes it off again: it looks
// at the machine, chooses and copies a binary, sets the service up, starts,
// stops and renews it. It reaches the machine through a [Shell] only, so the
// queen's own machine and one behind SSH are the same to it. It keeps no books
// and speaks to no hive; the queen does.
package install
