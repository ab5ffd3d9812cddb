package hive

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settled is how long a models' folder in which something has changed is left
// alone before it is read: a person who copies a model in changes it all the time.
const settled = 200 * time.Millisecond

// notice has the hive's state published when a person copies a model in or deletes
// one. It watches the models' folder and those in it, and the one above, in which it
// may be made again, until ctx ends.
func (h *Hive) notice(ctx context.Context) {
	w, err := fsnotify.NewWatcher()
	if err == nil {
		err = w.Add(h.models.dir)
	}
	if err != nil { // the system has no more watches: lists still read the disk
		h.Log.Warn().Err(err).Msg("models that are copied in will be noticed late")
		return
	}
	defer w.Close() //nolint:errcheck // nothing was written

	_ = w.Add(filepath.Dir(h.models.dir)) // without it, what reads the folder tells
	h.watchModels(w)
	timer := time.NewTimer(settled)
	timer.Stop()
	due := false
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.Events:
			if !ok {
				return
			}
			if e.Op == fsnotify.Chmod {
				continue
			}
			arrives := strings.HasPrefix(filepath.Base(e.Name), partial) // which changes all the time
			if e.Has(fsnotify.Create) && !arrives && filepath.Dir(e.Name) == filepath.Clean(h.models.dir) {
				watchFolder(w, e.Name)
			}
			if !due {
				due = true
				timer.Reset(settled)
			}
		case <-h.models.root.anew:
			watchFolder(w, h.models.dir)
			h.watchModels(w)
		case err := <-w.Errors:
			h.Log.Debug().Err(err).Msg("the models' folder was not watched for a moment")
			h.changed()
		case <-timer.C:
			due = false
			h.changed()
		}
	}
}

// watchModels watches the folders of the models, and has told what came before.
func (h *Hive) watchModels(w *fsnotify.Watcher) {
	for _, id := range h.models.ids() {
		watchFolder(w, filepath.Join(h.models.dir, id))
	}
	h.changed()
}

// watchFolder watches a folder, if that is one and still there.
func watchFolder(w *fsnotify.Watcher, path string) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		_ = w.Add(path) // it may have gone, or watches have run out: then lists still read the disk
	}
}
