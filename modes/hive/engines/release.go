package engines

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// Releases is where llama.cpp publishes its releases.
const Releases = "https://github.com/ggml-org/llama.cpp/releases"

// Bounds of what a server may answer, in bytes.
const (
	mostListing = 8 << 20
	mostPointer = 1 << 10
)

// offer is what a release holds: the archives' sums, by name. A sum is "" where
// the server names none.
type offer struct {
	tag  string
	sums map[string]string
	urls map[string]string
	size map[string]int64
	lone bool // it is one archive, which was given by its own URL
}

func newOffer(tag string) offer {
	return offer{tag: tag, sums: map[string]string{}, urls: map[string]string{}, size: map[string]int64{}}
}

func (o offer) names() []string { return slices.Sorted(maps.Keys(o.urls)) }

// source is a place that releases come from.
type source struct {
	fetcher *fetch.Fetcher
	base    string // without a slash at its end
}

// pointer is the file of a release with a name, as v0.7.0, that says which build
// it is. Only builds have archives.
const pointer = "nightly-tag.txt"

var (
	build    = regexp.MustCompile(`^b[0-9]{1,7}$`)
	hexSum   = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
	digits   = regexp.MustCompile(`^[0-9]+$`)
	repoPath = regexp.MustCompile(`^/([A-Za-z0-9._-]+)/([A-Za-z0-9._-]+)/releases$`)
)

// find finds out what a release holds. version is a build, a name, or "" or
// latest.
func (s source) find(ctx context.Context, version string) (offer, error) {
	if digits.MatchString(version) {
		version = "b" + version
	}
	if version == "" || version == "latest" || !build.MatchString(version) {
		var err error
		if version, err = s.follow(ctx, version); err != nil {
			return offer{}, err
		}
	}
	if api, ok := s.api(); ok {
		return s.listed(ctx, api, version)
	}
	return s.mirrored(ctx, version)
}

// follow reads which build a release with a name is.
func (s source) follow(ctx context.Context, version string) (string, error) {
	where := s.base + "/latest/download/" + pointer
	if version != "" && version != "latest" {
		where = s.base + "/download/v" + strings.TrimPrefix(version, "v") + "/" + pointer
	}
	text, err := s.fetcher.Text(ctx, fetch.File{URL: where, Kind: "release's file " + pointer, Access: access, Away: away}, mostPointer)
	if err != nil {
		e := about(err)
		if e.Code == ops.CodeNotFound {
			return "", e.WithHint("`rbee engine install bNUMBER` takes a build by its number: %s lists them; the URL of an archive ends in .tar.gz or .zip", s.base)
		}
		return "", e
	}
	tag := strings.TrimSpace(string(text))
	if !build.MatchString(tag) {
		return "", ops.Errorf(ops.CodeUnavailable, "%s should name a build, and says %.40q", where, tag).
			WithHint("in a mirror that file holds the number of a build, as b11669, and nothing else; `rbee engine install bNUMBER` needs none")
	}
	return tag, nil
}

// away is what else there is where the releases are not reached.
const away = "does the hive's machine reach it? --from takes a mirror or an archive's URL, and RBEE_LLAMACPP_RELEASES of the hive names a mirror for good; `rbee hive env --help` says how to give a hive a proxy (HTTPS_PROXY)"

// access is what else there is where a server keeps the releases to itself.
const access = "--from takes a mirror that gives them to everybody, or an archive's URL"

// api is the address of GitHub's API for the releases, where they are on GitHub.
func (s source) api() (string, bool) {
	u, err := url.Parse(s.base)
	if err != nil || u.Host != "github.com" {
		return "", false
	}
	m := repoPath.FindStringSubmatch(u.Path)
	if m == nil {
		return "", false
	}
	return u.Scheme + "://api.github.com/repos/" + m[1] + "/" + m[2] + "/releases/tags/", true
}

// listed asks GitHub's API ("Get a release by tag name" of its REST API), which
// tells the digest of each asset that was uploaded since June 2025.
func (s source) listed(ctx context.Context, api, tag string) (offer, error) {
	text, err := s.fetcher.Text(ctx, fetch.File{
		URL: api + tag, Kind: "release",
		Access: "GitHub answers only so many questions an hour: try again later, or install from a mirror with --from",
		Away:   away,
	}, mostListing)
	if err != nil {
		return offer{}, about(err)
	}
	var release struct {
		Assets []struct {
			Name   string `json:"name"`
			Size   int64  `json:"size"`
			Digest string `json:"digest"`
			URL    string `json:"browser_download_url"`
		} `json:"assets"`
	}
	if err := json.Unmarshal(text, &release); err != nil {
		return offer{}, ops.Errorf(ops.CodeUnavailable, "GitHub's answer on release %s cannot be read: %w", tag, err)
	}
	o := newOffer(tag)
	for _, a := range release.Assets {
		o.urls[a.Name], o.size[a.Name] = a.URL, a.Size
		if hex, ok := strings.CutPrefix(a.Digest, "sha256:"); ok {
			o.sums[a.Name] = strings.ToLower(hex)
		}
	}
	return o, nil
}

// mirrored reads SHA256SUMS of a folder that is laid out as GitHub's downloads
// are: BASE/download/TAG/FILE.
func (s source) mirrored(ctx context.Context, tag string) (offer, error) {
	folder := s.base + "/download/" + tag + "/"
	layout := fmt.Sprintf("a mirror is a folder with download/%s/SHA256SUMS and the archives it names; "+
		"`--from URL-of-an-archive --sha256 HEX` takes one that stands alone", tag)
	text, err := s.fetcher.Text(ctx, fetch.File{URL: folder + "SHA256SUMS", Kind: "list of sums", Access: access, Away: away}, mostListing)
	if err != nil {
		e := about(err)
		if e.Code == ops.CodeNotFound || e.Hint == "" {
			e = e.WithHint("%s", layout)
		}
		return offer{}, e
	}
	o := newOffer(tag)
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		f := strings.Fields(lines.Text()) // as sha256sum writes them
		if len(f) == 2 && hexSum.MatchString(f[0]) {
			name := strings.TrimPrefix(f[1], "*")
			o.sums[name], o.urls[name], o.size[name] = strings.ToLower(f[0]), folder+name, -1
		}
	}
	if len(o.sums) == 0 {
		return offer{}, ops.Errorf(ops.CodeUnavailable, "%sSHA256SUMS names no archive as sha256sum writes it: a sum in hex, and the file's name", fetch.Shown(folder)).WithHint("%s", layout)
	}
	return o, nil
}

// about is an error of a download as one of where the releases are.
func about(err error) *ops.Error {
	e := *ops.AsError(err)
	if e.Field == "model" {
		e.Field = "from"
	}
	return &e
}
