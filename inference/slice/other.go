//go:build !linux

package slice

// Short does nothing here.
func Short() error { return nil }

// Usual does nothing here.
func Usual() error { return nil }

// UsualHere does nothing here.
func UsualHere() (back func()) { return func() {} }
