package hive

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/ops"
)

// programs remembers what llama-servers said of themselves: to ask one takes as
// long as to start it.
type programs struct {
	mu    sync.Mutex
	known map[string]heard // by path
}

// heard is what a program said, and how its file looked then.
type heard struct {
	size    int64
	mtime   time.Time
	version llamacpp.Version
	err     error // why it cannot be used
	devices []llamacpp.Device
	listed  bool // it has said which they are
	divides bool // it has said that it can, or nothing against it
}

// ask tells the program's version, or why it cannot be used.
func (p *programs) ask(ctx context.Context, path string) (llamacpp.Version, error) {
	a := p.get(ctx, path)
	return a.version, a.err
}

// get asks the program unless it was asked before and is the same.
func (p *programs) get(ctx context.Context, path string) heard {
	info, err := os.Stat(path)
	if err != nil {
		if inner, ok := errors.AsType[*fs.PathError](err); ok {
			err = inner.Err // the path is told already
		}
		return heard{err: ops.Errorf(ops.CodeNotFound, "%s cannot be run: %w", path, err)}
	}
	p.mu.Lock()
	a, ok := p.known[path]
	p.mu.Unlock()
	if ok && a.size == info.Size() && a.mtime.Equal(info.ModTime()) {
		return a
	}
	a = heard{size: info.Size(), mtime: info.ModTime()}
	if a.version, a.err = llamacpp.Ask(ctx, path); ctx.Err() != nil || errors.Is(a.err, llamacpp.ErrNoBackend) {
		return a // it may be well, or soon: its file is the same with its libraries
	}
	p.keep(path, a)
	return a
}

// devices tells what the program can compute on here beside the CPU, and whether it
// says so.
func (p *programs) devices(ctx context.Context, path string) (list []llamacpp.Device, says bool) {
	a := p.get(ctx, path)
	if a.err != nil || a.listed {
		return a.devices, a.listed
	}
	list, err := llamacpp.Devices(ctx, path)
	if err != nil {
		return nil, false // one that knows no --list-devices
	}
	a.devices, a.listed = list, true
	p.keep(path, a)
	return list, true
}

// accelerators are the kinds of them, as "cuda vulkan"; "" where it does not say.
func (p *programs) accelerators(ctx context.Context, path string) string {
	if list, says := p.devices(ctx, path); says {
		return llamacpp.Accelerators(list)
	}
	return ""
}

// checkDivides refuses a program that cannot divide a model over hives.
func (p *programs) checkDivides(ctx context.Context, path string) error {
	a := p.get(ctx, path)
	if a.err != nil || a.divides {
		return a.err
	}
	if err := llamacpp.CheckDivides(ctx, path); err != nil {
		return err
	}
	if a.divides = ctx.Err() == nil; a.divides {
		p.keep(path, a)
	}
	return nil
}

func (p *programs) keep(path string, a heard) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[string]heard{}
	}
	p.known[path] = a
}
