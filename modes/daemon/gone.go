package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"
)

// Gone waits until somebody removes the pid file, as with the folder that it is in, so
// that nobody finds this daemon any more, and reports that; it reports false when ctx
// ends before. Until then the daemon sleeps: the system tells it.
func (p *PIDFile) Gone(ctx context.Context) (bool, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return false, fmt.Errorf("watch the pid file: %w", err)
	}
	defer w.Close() //nolint:errcheck // nothing was written
	for {
		err := errors.Join(w.Add(p.path), w.Add(p.lock.Path())) // anew, for a file that was replaced
		switch {
		case !p.stands():
			return true, nil
		case err != nil:
			return false, fmt.Errorf("watch the pid file: %w", err)
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-w.Events:
		case err := <-w.Errors:
			return false, fmt.Errorf("watch the pid file: %w", err)
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
