package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"
)

// Gone waits until somebody removes the pid file, as with the folder that it is in, so
// that nobody finds this daemon any more, and reports that; it reports false when ctx
// ends before. Until then the daemon sleeps: the system tells it.
func (p *PIDFile) Gone(ctx context.Context) (bool, error) {
	return gone(ctx, p.stands, p.path, p.lock.Path())
}

// Removed waits until what is at path now is there no more, and reports that; it reports
// false when ctx ends before.
func Removed(ctx context.Context, path string) (bool, error) {
	own, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return gone(ctx, func() bool {
		now, err := os.Lstat(path)
		return err == nil && os.SameFile(own, now)
	}, path)
}

// gone waits until stands is false, which it asks whenever the system tells of a change
// of one of the files.
func gone(ctx context.Context, stands func() bool, files ...string) (bool, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return false, fmt.Errorf("watch %s: %w", files[0], err)
	}
	defer w.Close() //nolint:errcheck // nothing was written
	for {
		var err error
		for _, file := range files { // anew, for one that was replaced
			err = errors.Join(err, w.Add(file))
		}
		switch {
		case !stands():
			return true, nil
		case err != nil:
			return false, fmt.Errorf("watch %s: %w", files[0], err)
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-w.Events:
		case err := <-w.Errors:
			return false, fmt.Errorf("watch %s: %w", files[0], err)
		}
	}
}

// Unfound asks for the end when the pid file is removed, until ctx ends: nobody would
// find the daemon to end it.
func (s *Stopper) Unfound(ctx context.Context, p *PIDFile, scope Scope, log zerolog.Logger) {
	switch gone, err := p.Gone(ctx); {
	case err != nil: // the system has no more watches
		log.Warn().Err(err).Msg("should the pid file be removed, this daemon runs on unfound")
	case gone:
		log.Warn().Str("file", p.path).Msg("the pid file was removed: nobody would find this daemon, so it ends")
		s.Ask(scope)
	}
}

// stands reports whether the pid file is there, and this process holds it.
func (p *PIDFile) stands() bool {
	if _, err := os.Stat(p.path); err != nil {
		return false
	}
	now, err := os.Stat(p.lock.Path())
	if err != nil {
		return false
	}
	own, err := p.lock.Stat()
	return err == nil && os.SameFile(now, own)
}
