package engines

import (
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// Unfinished is a release that has come in part: an install that is under way, or
// that was interrupted and can be gone on with.
type Unfinished struct {
	ID          string // that it will have
	Tag         string
	Accelerator string
	Have, Size  int64  // how many bytes of its archives have come, and of how many; 0 is not known
	Folder      string // that its archives are in
	From        string // URL of the releases or of the archive, without a password; "" is [Releases]
	SHA256      string // of the archive, where From is one
	Underway    bool
}

// Unfinished lists the releases that have come in part, by id.
func (s *Store) Unfinished() []Unfinished {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Unfinished
	for a, names := range s.arrived() {
		u := Unfinished{ID: a.id(), Tag: a.tag, Accelerator: a.accelerator, Folder: s.dir, Underway: a.id() == s.arriving}
		for _, name := range names {
			have, size := fetch.Begun(s.archive(name))
			u.Have, u.Size = u.Have+have, u.Size+max(0, size)
		}
		from, sum := fetch.Origin(s.archive(a.name))
		u.From, u.SHA256 = releasesOf(a, from, sum)
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b Unfinished) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// Forget removes what has come of a release. ok says whether there was anything.
func (s *Store) Forget(id string) (freed int64, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a, names := range s.arrived() {
		if a.id() != id {
			continue
		}
		if id == s.arriving {
			return 0, false, ops.Errorf(ops.CodeConflict, "the engine %s is being installed", id).
				WithHint("`rbee job list` shows the job that it is for, and `rbee job cancel` ends that")
		}
		for _, name := range names {
			have, _ := fetch.Begun(s.archive(name))
			freed, ok, err = freed+have, true, errors.Join(err, fetch.Discard(s.archive(name)))
		}
	}
	return freed, ok, err
}

// arrived finds the archives of which something has come, with those that belong
// to them. The caller holds s.mu.
func (s *Store) arrived() map[asset][]string {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil // the folder was deleted: there are none
	}
	var all []string
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e.Name(), partial); ok && fetch.IsState(name) && fetch.OfState(name) != "" {
			all = append(all, fetch.OfState(name))
		}
	}
	found := map[asset][]string{}
	for _, name := range all {
		if a, ok := readArrived(name); ok {
			found[a] = []string{name}
			if c := a.companion(all); c != "" {
				found[a] = append(found[a], c)
			}
		}
	}
	return found
}

// releasesOf is where to install an archive from that came from a URL, by the
// layout of releases, and the sum to give where that is the archive itself.
func releasesOf(a asset, from, sum string) (base, sha256 string) {
	from = fetch.Shown(from)
	if u, err := url.Parse(from); err != nil || u.RawQuery != "" {
		return from, sum
	}
	base, ok := strings.CutSuffix(from, "/download/"+a.tag+"/"+a.name)
	switch {
	case !ok:
		return from, sum
	case base == Releases:
		return "", ""
	}
	return base, ""
}

// arrives notes which release is being brought, or "".
func (s *Store) arrives(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arriving = id
}
