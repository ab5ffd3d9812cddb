// Package disktest gives tests a small disk of their own, which can be full. It is
// for Linux, and for whoever may mount.
package disktest
