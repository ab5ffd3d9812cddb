package engines

import (
	"net/url"
	"path"
	"regexp"
	"strings"
)

// alone is the offer of an archive that was given by its own URL, and the archive.
// What a release's is for, its name says; any other is called as its file is, with
// the beginning of its sum: there may be several of that name.
func alone(from, sum string) (offer, asset, bool) {
	u, err := url.Parse(from)
	if err != nil {
		return offer{}, asset{}, false
	}
	a, ok := readAsset(path.Base(u.Path))
	if !ok {
		name, kind := cutArchive(path.Base(u.Path))
		if kind == "" {
			return offer{}, asset{}, false
		}
		name = strings.Trim(notInIDs.ReplaceAllString(strings.ToLower(name), "-"), ".-_")
		name = strings.TrimPrefix(name[:min(len(name), mostName)]+"-", "-") + strings.ToLower(sum[:min(len(sum), 8)])
		a = strange(name + kind)
	}
	o := newOffer(a.tag)
	o.lone = true
	o.urls[a.name], o.size[a.name] = from, -1
	return o, a, true
}

// mostName is how long the part of an id may be that a file's name gives.
const mostName = 40

var notInIDs = regexp.MustCompile(`[^a-z0-9._-]+`)

// cutArchive splits a file's name into what it is called and how archives end; the
// latter is "" where it is none.
func cutArchive(file string) (name, kind string) {
	for _, kind := range []string{".tar.gz", ".tgz", ".zip"} {
		if n := len(file) - len(kind); n > 0 && strings.EqualFold(file[n:], kind) {
			return file[:n], kind
		}
	}
	return file, ""
}

// strange is an archive that is not named as those of releases are. Which version
// it is, and what it computes on, its program tells.
func strange(file string) asset {
	name, _ := cutArchive(file)
	return asset{name: file, called: name}
}

// readArrived is the archive that a file is which has come in part; companions of
// others are none of their own.
func readArrived(file string) (asset, bool) {
	if a, ok := readAsset(file); ok {
		return a, true
	}
	_, kind := cutArchive(file)
	return strange(file), kind != "" && !strings.HasPrefix(file, "cudart-")
}
