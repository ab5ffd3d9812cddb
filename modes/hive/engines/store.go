package engines

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/renameio/v2"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/ops"
)

// Installed is a release on the disk.
type Installed struct {
	ID          string    // b11669-vulkan
	Tag         string    // b11669
	Accelerator string    // cpu, vulkan, cuda, rocm or metal
	Program     string    // absolute path of its llama-server
	Source      string    // URL of the archive, without a password
	SHA256      string    // of the archive, in hex
	Size        int64     // of all of it, in bytes
	At          time.Time // when it was installed last
}

// manifest is what a release's folder holds of it, beside its files.
type manifest struct {
	Tag         string    `json:"tag"`
	Accelerator string    `json:"accelerator"`
	Program     string    `json:"program"` // path in the folder
	Source      string    `json:"source"`
	SHA256      string    `json:"sha256"`
	Size        int64     `json:"size_bytes"`
	At          time.Time `json:"installed_at"`
}

const manifestFile = "manifest.json"

// Names of what is not a release: no id begins with a full stop.
const (
	partial   = ".partial-" // an archive that comes
	unpacking = ".unpack-"  // a folder that is being filled
)

// Store is the folder of the releases. The disk is the truth: one that a person
// deletes is gone at once.
type Store struct {
	dir string
	// turn holds a token while nobody installs or removes.
	turn chan struct{}

	// have and total are of the archive that is arriving, or did last, in bytes.
	have, total atomic.Int64

	mu       sync.Mutex
	arriving string // the release that is being brought, or ""
}

// keepPartial is how long a download that was cut can be gone on with.
const keepPartial = 7 * 24 * time.Hour

// Open opens the folder, makes it where it is missing, and clears away what an
// earlier process left unfinished.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the engines' folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the engines' folder: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		old := err == nil && strings.HasPrefix(e.Name(), partial) && time.Since(info.ModTime()) > keepPartial
		if old || strings.HasPrefix(e.Name(), unpacking) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return nil, fmt.Errorf("clear an unfinished engine away: %w", err)
			}
		}
	}
	s := &Store{dir: dir, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s, nil
}

// List lists what is installed, what was installed last first.
func (s *Store) List() []Installed {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil // the folder was deleted: there are none
	}
	var list []Installed
	for _, e := range entries {
		if i, err := s.Get(e.Name()); err == nil {
			list = append(list, i)
		}
	}
	slices.SortStableFunc(list, func(a, b Installed) int { return b.At.Compare(a.At) })
	return list
}

// Get finds the release called id. One whose program is gone is none.
func (s *Store) Get(id string) (Installed, error) {
	if err := ops.CheckModelID(id); err != nil { // it becomes part of a path, as a model's name does
		return Installed{}, err
	}
	folder := filepath.Join(s.dir, id)
	var m manifest
	text, err := os.ReadFile(filepath.Join(folder, manifestFile))
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err == nil && !filepath.IsLocal(m.Program) {
		err = fs.ErrNotExist
	}
	program := filepath.Join(folder, m.Program)
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil {
		return Installed{}, ops.Errorf(ops.CodeNotFound, "there is no engine %q that was installed: %w", id, err)
	}
	return Installed{
		ID: id, Tag: m.Tag, Accelerator: m.Accelerator, Program: program, Source: m.Source, SHA256: m.SHA256, Size: m.Size, At: m.At,
	}, nil
}

// Holds reports whether path is inside the release called id.
func (s *Store) Holds(id, path string) bool {
	rel, err := filepath.Rel(filepath.Join(s.dir, id), path)
	return err == nil && path != "" && filepath.IsLocal(rel)
}

// Remove deletes a release.
func (s *Store) Remove(id string) error {
	temp := filepath.Join(s.dir, unpacking+"removed-"+id)
	// Away from its name first, so that a delete that is cut short leaves no half.
	err := errors.Join(os.RemoveAll(temp), os.Rename(filepath.Join(s.dir, id), temp))
	if err == nil {
		err = os.RemoveAll(temp)
	}
	if err != nil {
		return fmt.Errorf("remove the engine %s: %w", id, err)
	}
	return nil
}

// touch makes a release the one that was installed last.
func (s *Store) touch(id string) error {
	path := filepath.Join(s.dir, id, manifestFile)
	var m manifest
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return fmt.Errorf("read the engine's manifest: %w", err)
	}
	m.At = time.Now().UTC()
	return writeManifest(filepath.Join(s.dir, id), m)
}

func writeManifest(folder string, m manifest) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = renameio.WriteFile(filepath.Join(folder, manifestFile), append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the engine's manifest: %w", err)
	}
	return nil
}

// survey finds the program in an unpacked release, and how large all of it is.
func survey(folder string) (program string, size int64, err error) {
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		size += info.Size()
		if d.Name() == llamacpp.Name && program == "" {
			program, err = filepath.Rel(folder, path)
		}
		return err
	})
	if err == nil && program == "" {
		err = fmt.Errorf("there is no %s in it", llamacpp.Name)
	}
	return program, size, err
}
