package hive

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"rbee.dev/rbee/inference/process"
	"rbee.dev/rbee/modes/home"
)

// keepLogs is how many logs are kept of workers that failed and are not in the
// list any more: errors have told where they are.
const keepLogs = 10

// unmake removes a dead worker's folder.
func unmake(folder string) error {
	return errors.Join(process.ClearFolder(folder), os.RemoveAll(folder))
}

// bury leaves nothing of a dead worker's folder but its log, where that says
// anything.
func bury(folder string) error {
	if err := process.ClearFolder(folder); err != nil {
		return err
	}
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info, err := os.Stat(filepath.Join(folder, home.WorkerLog)); err != nil || info.Size() == 0 {
		return os.RemoveAll(folder)
	}
	for _, e := range entries {
		if e.Name() == home.WorkerLog {
			continue
		}
		if err := os.RemoveAll(filepath.Join(folder, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// clearGraves removes the oldest logs of workers that are no members, beyond
// keepLogs. The caller holds the lock.
func (f *fleet) clearGraves() {
	entries, err := os.ReadDir(f.home.Workers())
	if err != nil {
		f.log.Warn().Err(err).Msg("logs of workers that failed stay")
		return
	}
	type grave struct {
		folder string
		dug    time.Time
	}
	var graves []grave
	for _, e := range entries {
		folder := f.home.Worker(e.Name())
		if info, err := os.Stat(filepath.Join(folder, home.WorkerLog)); err == nil && f.members[e.Name()] == nil {
			graves = append(graves, grave{folder, info.ModTime()})
		}
	}
	slices.SortFunc(graves, func(a, b grave) int { return a.dug.Compare(b.dug) })
	for _, g := range graves[:max(0, len(graves)-keepLogs)] {
		if err := os.RemoveAll(g.folder); err != nil {
			f.log.Warn().Err(err).Msg("the log of a worker that failed stays")
		}
	}
}
