package hive

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// settle gives a folder its model's name, once everything in it is on the disk.
// A model that has the name already is a conflict.
func (m *models) settle(temp, id string, about manifest) error {
	text, err := json.MarshalIndent(about, "", "  ")
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(temp, manifestFile), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the model's manifest: %w", err)
	}
	if err := errors.Join(clearStates(temp), syncFolder(temp)); err != nil {
		return err
	}
	err = os.Rename(temp, filepath.Join(m.dir, id))
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.ENOTDIR) {
		return ops.Errorf(ops.CodeConflict, "something called %s has appeared in the models' folder meanwhile", id)
	}
	if err != nil {
		return fmt.Errorf("name the model: %w", err)
	}
	return syncFolder(m.dir)
}

// syncFolder makes the names in a folder last.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync a folder: %w", err)
	}
	return errors.Join(f.Sync(), f.Close())
}

// restore makes the models' folder again where a person has removed it, with the
// built-in model. Elsewhere that comes back with the next start of the hive alone.
func (m *models) restore() error {
	if _, err := os.Stat(m.dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := m.root.make(); err != nil {
		return err
	}
	return m.ensureBuiltIn()
}

// ensureBuiltIn writes the built-in model out where it is missing, damaged or
// another build's. One that a person deleted comes back with the next start of
// the hive; a model of theirs that has its name stays.
func (m *models) ensureBuiltIn() error {
	data, id := testdata.Tinybee(), testdata.TinybeeName
	digest := sha256.Sum256(data)
	sum := hex.EncodeToString(digest[:])
	switch old, err := m.get(id); {
	case err == nil && old.Source != ops.BuiltInSource, err == nil && old.SHA256 == sum && old.Error == "":
		return nil
	case err == nil:
		if err := m.remove(id); err != nil {
			return err
		}
	}
	temp, err := os.MkdirTemp(m.dir, partial)
	if err != nil {
		return fmt.Errorf("write the built-in model: %w", err)
	}
	err = renameio.WriteFile(filepath.Join(temp, modelFile), data, 0o600)
	if err == nil {
		err = m.settle(temp, id, manifest{Source: ops.BuiltInSource, SHA256: sum, Size: int64(len(data)), AddedAt: time.Now().UTC()})
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the built-in model: %w", err), os.RemoveAll(temp))
	}
	return nil
}
