package hive

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// partial is the prefix of folders whose model is not complete yet. No model's
// name begins with a full stop.
const partial = ".partial-"

// keepPartial is how long a download that was cut can be gone on with.
const keepPartial = 7 * 24 * time.Hour

// partialFolder is the folder in which the model called id arrives from source.
// What came there earlier from elsewhere is cleared away.
func (m *models) partialFolder(id, source string) (string, error) {
	folder := filepath.Join(m.dir, partial+id)
	var about manifest
	text, err := os.ReadFile(filepath.Join(folder, manifestFile))
	if err == nil && json.Unmarshal(text, &about) == nil && about.Source == source {
		return folder, nil
	}
	text, err = json.Marshal(manifest{Source: source})
	if err == nil {
		err = errors.Join(os.RemoveAll(folder), os.MkdirAll(folder, 0o700))
	}
	if err == nil {
		err = renameio.WriteFile(filepath.Join(folder, manifestFile), text, 0o600)
	}
	if err != nil {
		return "", ops.Errorf(ops.CodeInternal, "make a folder for the model: %w", err)
	}
	return folder, nil
}

// states lists the files of a folder in which downloads keep how far they are.
func states(folder string) (list []os.DirEntry, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("read a folder: %w", err)
	}
	for _, e := range entries {
		if fetch.IsState(e.Name()) {
			list = append(list, e)
		}
	}
	return list, nil
}

// clearUseless removes a folder that holds nothing to go on with.
func clearUseless(folder string) error {
	list, err := states(folder)
	if err != nil {
		return err
	}
	for _, e := range list {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) < keepPartial {
			return nil
		}
	}
	return os.RemoveAll(folder)
}

// clearPartial removes what a hive that died left and that cannot be gone on
// with.
func (m *models) clearPartial() error {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return fmt.Errorf("read the models' folder: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), partial) || !e.IsDir() {
			continue
		}
		if err := clearUseless(filepath.Join(m.dir, e.Name())); err != nil {
			return fmt.Errorf("clear an unfinished download away: %w", err)
		}
	}
	return nil
}

// clearStates removes what a download kept beside files that have come whole.
func clearStates(folder string) error {
	list, err := states(folder)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := os.Remove(filepath.Join(folder, e.Name())); err != nil {
			return fmt.Errorf("clear up after a download: %w", err)
		}
	}
	return nil
}
