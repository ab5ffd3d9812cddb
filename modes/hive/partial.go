package hive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"al.essio.dev/pkg/shellescape"
	"github.com/google/renameio/v2"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// partial is the prefix of folders whose model is not complete yet. No model's
// name begins with a full stop.
const partial = ".partial-"

// keepPartial is how long a download that was cut can be gone on with.
const keepPartial = 7 * 24 * time.Hour

// partialFolder is the folder in which the model called id arrives from source, size
// bytes of it, or 0. What came there earlier from elsewhere is cleared away.
func (m *models) partialFolder(ctx context.Context, id, source string, size int64) (string, error) {
	folder := filepath.Join(m.dir, partial+id)
	var about manifest
	text, err := os.ReadFile(filepath.Join(folder, manifestFile))
	if err == nil && json.Unmarshal(text, &about) == nil {
		if about.Source == source {
			return folder, nil
		}
		if have, all := begun(folder); have > 0 {
			ops.Warn(ctx, "model_anew", "%s of the model %s had come from %s: removing that, since it comes from elsewhere now", of(have, all), id, about.Source)
		}
	}
	text, err = json.Marshal(manifest{Source: source, Size: size})
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

// clearPartial removes what downloads have left that nobody will go on with, and
// that cannot be gone on with. Those that are under way stay.
func (m *models) clearPartial() error {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return fmt.Errorf("read the models' folder: %w", err)
	}
	for _, e := range entries {
		id, ok := strings.CutPrefix(e.Name(), partial)
		m.mu.Lock()
		busy := m.underway[id] != nil
		m.mu.Unlock()
		if !ok || !e.IsDir() || busy {
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

// begun is how much has come into the folder of a download, and of how much, in
// bytes; 0 is not known.
func begun(folder string) (have, size int64) {
	list, err := states(folder)
	if err != nil {
		return 0, 0
	}
	for _, e := range list {
		file := fetch.OfState(e.Name())
		some, all := fetch.Begun(filepath.Join(folder, file))
		have, size = have+some, size+all
	}
	var about manifest
	text, err := os.ReadFile(filepath.Join(folder, manifestFile))
	if err == nil && json.Unmarshal(text, &about) == nil && about.Size > 0 {
		size = about.Size
	}
	return have, size
}

// partialModel describes a model that has come in part.
func (m *models) partialModel(id string) (ops.Model, bool) {
	folder := filepath.Join(m.dir, partial+id)
	info, err := os.Stat(folder)
	if _, whole := m.get(id); whole == nil || err != nil {
		return ops.Model{}, false
	}
	var about manifest
	text, err := os.ReadFile(filepath.Join(folder, manifestFile))
	if err != nil || json.Unmarshal(text, &about) != nil {
		return ops.Model{}, false
	}
	have, size := begun(folder)
	model := ops.Model{ID: id, HiveID: m.hive, Source: about.Source, Path: folder, AddedAt: info.ModTime().UTC()}
	m.mu.Lock()
	d := m.underway[id]
	m.mu.Unlock()
	if d != nil {
		have = d.have.Load() // which will be more when somebody reads it
		model.Error = "it is being downloaded"
		if all := d.total.Load(); all > 0 {
			model.Error += ", " + humanBytes(uint64(all)) + " in all" //nolint:gosec // not negative
		}
		model.Hint = typed(m.again(id, about.Source)) + " shows how far it is"
	} else {
		model.Error = "it has come in part only: " + of(have, size)
		model.Hint = fmt.Sprintf("%s goes on from there, `%s` removes it", typed(m.again(id, about.Source)), m.line("delete", id))
	}
	model.Size = have
	return model, d != nil || have > 0
}

// again is the command that brings the model called id from source, as it was begun.
func (m *models) again(id, source string) string {
	from, model, ok := strings.Cut(strings.TrimPrefix(source, ops.HiveScheme), "/")
	if !ok || !strings.HasPrefix(source, ops.HiveScheme) {
		return m.line("download", shellescape.Quote(source)) + " --name " + id
	}
	line := fmt.Sprintf("rbee model copy %s --from %s --to %s", model, from, m.hive)
	if model != id {
		line += " --name " + id
	}
	return line
}

// typed is a command line for a person, with what is to be typed into it where it
// lacks a password or a token.
func typed(line string) string {
	if ops.IsRedacted(line) {
		return "`" + line + "`, with its password or token in place of xxxxx,"
	}
	return "`" + line + "`"
}

// of is how much has come, for a person.
func of(have, size int64) string {
	n := uint64(max(0, have)) //nolint:gosec // not negative
	if size <= 0 {
		return humanBytes(n)
	}
	some, all := apart(n, uint64(size))
	return some + " of " + all
}

// removePartial removes what has come of a model. ok says whether there was
// anything.
func (m *models) removePartial(id string) (freed int64, ok bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	folder := filepath.Join(m.dir, partial+id)
	if _, err := os.Stat(folder); err != nil {
		return 0, false, nil
	}
	if d := m.underway[id]; d != nil {
		return 0, false, ops.Errorf(ops.CodeConflict, "the model %s is being downloaded", id).WithHint("%s", endIt(d.job))
	}
	freed, _ = begun(folder)
	if err := os.RemoveAll(folder); err != nil {
		return 0, false, fmt.Errorf("remove what has come of the model %s: %w", id, err)
	}
	return freed, true, nil
}
