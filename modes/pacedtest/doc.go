// Package pacedtest is an rbee for tests, whose engine makes text at a pace that
// the environment says in place of computing it. All else is rbee's own.
//
// [Build] makes a program of it, which is as big as rbee and starts as fast: what
// is measured of a process that starts is rbee's.
package pacedtest
