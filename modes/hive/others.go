package hive

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"rbee.dev/rbee/ops"
)

// What may be wrong with the files in a model's folder.
var (
	errSeveral = errors.New("its folder holds several GGUF files")
	errLacking = errors.New("parts of it are missing")
)

// line is a command about the model called id on this hive.
func (m *models) line(verb, id string) string {
	return "rbee model " + verb + " " + id + ops.HiveFlag(m.hive)
}

// mend is what to do about a model that cannot be used because of err.
func (m *models) mend(id string, err error) string {
	folder := filepath.Join(m.dir, id)
	switch {
	case errors.Is(err, errSeveral):
		return fmt.Sprintf("leave the one that is meant in %s, and move the others into folders of their own beside it: a model is called as its folder is", folder)
	case errors.Is(err, errLacking):
		return fmt.Sprintf("put the missing parts into %s, or `%s` removes it", folder, m.line("delete", id))
	case errors.Is(err, errLeadsOut):
		return fmt.Sprintf("`%s` removes the link, and `rbee model download%s FILE.gguf --name %s` brings the file itself", m.line("delete", id), ops.HiveFlag(m.hive), id)
	}
	return fmt.Sprintf("`%s` removes it", m.line("delete", id))
}

// others are what is in the models' folder and no model: downloads that have not
// come whole, and what a person has put where no model can be.
func (m *models) others() (list []ops.Model) {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return nil // the folder was deleted: there are none
	}
	for _, e := range entries {
		if id, ok := strings.CutPrefix(e.Name(), partial); ok {
			if model, ok := m.partialModel(id); ok {
				list = append(list, model)
			}
			continue
		}
		if model, ok := m.stray(e, entries); ok {
			list = append(list, model)
		}
	}
	return list
}

// other is the one of others that a person means by id.
func (m *models) other(id string) (ops.Model, bool) {
	list := m.others()
	for _, name := range []string{id, id + ".gguf"} {
		if i := slices.IndexFunc(list, func(o ops.Model) bool { return o.ID == name }); i >= 0 {
			return list[i], true
		}
	}
	return ops.Model{}, false
}

// stray describes what a person has put into the models' folder so that it does
// not count as a model; beside is all that is there.
func (m *models) stray(e os.DirEntry, beside []os.DirEntry) (ops.Model, bool) {
	name := e.Name()
	at := filepath.Join(m.dir, name)
	model := ops.Model{ID: name, HiveID: m.hive, Source: copiedSource, Path: at}
	info, err := m.root.Stat(name)
	if err != nil || strings.HasPrefix(name, ".") {
		return model, false
	}
	good := nameOf(at)
	if good == "" {
		good = "NAME"
	}
	if !info.IsDir() {
		model.Size, model.AddedAt = info.Size(), info.ModTime().UTC()
		if err := regular(name, info); err != nil {
			model.Error, model.Hint = err.Error(), "remove it: "+at
			return model, strings.EqualFold(path.Ext(name), ".gguf")
		}
		model.Error = "it lies loose in the models' folder: a model has a folder of its own"
		model.Hint = m.intoFolder(name, good, beside)
		return model, strings.EqualFold(path.Ext(name), ".gguf")
	}
	model.AddedAt = info.ModTime().UTC()
	names, _, err := m.names(name)
	switch {
	case err == nil && len(names) > 0 && ops.CheckModelID(name) != nil:
		model.Error = "a model cannot be called as its folder is: letters, digits, '.', '_' and '-' are allowed"
		model.Hint = fmt.Sprintf("rename the folder: %s", filepath.Join(m.dir, good))
		return model, true
	case err == nil && len(names) == 0:
		deeper, err := filepath.Glob(filepath.Join(at, "*", "*.gguf"))
		if err != nil || len(deeper) == 0 {
			return model, false
		}
		model.Error = "its GGUF files lie deeper than in a folder right in the models' folder"
		model.Hint = fmt.Sprintf("move %s into %s", filepath.Dir(deeper[0]), m.dir)
		return model, true
	}
	return model, false
}

// intoFolder is what to do about a file that lies loose, and would be the model good.
func (m *models) intoFolder(name, good string, beside []os.DirEntry) string {
	of, _, parts := ops.SplitName(name)
	if parts == 0 {
		return fmt.Sprintf("make the folder %s, and move the file there", filepath.Join(m.dir, good))
	}
	here := 0
	for _, e := range beside {
		if also, _, n := ops.SplitName(e.Name()); also == of && n == parts && strings.EqualFold(path.Ext(e.Name()), ".gguf") {
			here++
		}
	}
	folder := filepath.Join(m.dir, cmp.Or(nameOf(of), "NAME"))
	if here < parts {
		return fmt.Sprintf("make the folder %s, and move its parts there, with the missing ones: %d of %d are here", folder, here, parts)
	}
	return fmt.Sprintf("make the folder %s, and move all %d parts there", folder, parts)
}
