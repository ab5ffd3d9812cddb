package fetch

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"rbee.dev/rbee/ops"
)

// hubHosts are the names that the Hub's pages have.
var hubHosts = []string{"huggingface.co", "www.huggingface.co", "hf.co"}

// Page is the reference to what a page of the Hub, or of its mirror, shows, as a
// browser gives its address: a repository, or a file in it. ok is false for any other
// address, as that of a file itself.
func (f *Fetcher) Page(from string) (ref string, ok bool) {
	u, err := url.Parse(from)
	if err != nil {
		return "", false
	}
	hub, err := f.endpoint()
	if !slices.Contains(hubHosts, u.Hostname()) && (err != nil || u.Host != hub.Host) {
		return "", false
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) < 2 {
		return "", false
	}
	ref = HubPrefix + parts[0] + "/" + parts[1]
	isGGUF := strings.EqualFold(path.Ext(u.Path), ".gguf")
	switch rest := parts[2:]; {
	case len(rest) > 2 && rest[0] == "blob" && rest[1] == "main" && isGGUF:
		ref += ":" + strings.Join(rest[2:], "/")
	case len(rest) == 0 && isGGUF, len(rest) > 0 && !slices.Contains([]string{"tree", "blob"}, rest[0]), len(rest) > 1 && rest[1] != "main":
		return "", false
	}
	_, _, err = ops.HubReference(ref)
	return ref, err == nil
}
