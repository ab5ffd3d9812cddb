//go:build unix

package gguf

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Open maps the file at path and reads its head. The mapping is read-only and
// shared: several workers of one model hold its weights in memory once.
func Open(path string) (*File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would be waited for
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, &Error{What: "the file", Why: "is no regular file"}
	case info.Size() == 0:
		return nil, &Error{What: "the file", Why: "is empty"}
	}
	data, err := syscall.Mmap(int(file.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	f, err := Parse(data)
	if err != nil {
		return nil, errors.Join(err, syscall.Munmap(data))
	}
	f.unmap = func() error { return syscall.Munmap(data) }
	return f, nil
}
