package ops

import (
	"net/url"
	"path"
	"regexp"
	"strings"
)

// hubPrefix begins a reference to a repository of the Hugging Face Hub.
const hubPrefix = "hf:"

// repository is OWNER/NAME, each of 96 characters at most.
var repository = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$`)

// IsModelReference reports whether name says where a model comes from, in place
// of what it is called on the hives: hf:OWNER/REPO….
func IsModelReference(name string) bool {
	return strings.HasPrefix(name, hubPrefix)
}

// hubPages is how people may write what has a repository of the Hub behind it, in
// small letters.
var hubPages = []string{"https://", "http://", "www.", "hf.co/", "huggingface.co/", "hf:"}

// NearHub is the reference to a repository of the Hugging Face Hub that is meant by
// something near to one: its page, or HF:OWNER/REPO. It is "" where nothing of the kind
// is meant.
func NearHub(given string) string {
	rest, seen := given, false
	for _, begin := range hubPages {
		if len(rest) > len(begin) && strings.EqualFold(rest[:len(begin)], begin) {
			rest, seen = rest[len(begin):], seen || strings.HasPrefix(begin, "h") && !strings.HasPrefix(begin, "http")
		}
	}
	rest = strings.TrimSuffix(strings.TrimSuffix(rest, "/"), "/tree/main")
	if _, _, err := HubReference(hubPrefix + rest); err != nil || !seen {
		return ""
	}
	return hubPrefix + rest
}

// hintHub is what to give in place of something near to a reference.
const hintHub = "a repository on Hugging Face is given as %s"

// HubReference takes a reference to a repository of the Hugging Face Hub apart,
// hf:OWNER/REPO, hf:OWNER/REPO:QUANTISATION or hf:OWNER/REPO:FILE.gguf; wanted is
// what follows the repository, or "". What is none is an invalid model.
func HubReference(ref string) (repo, wanted string, err error) {
	repo, wanted, _ = strings.Cut(strings.TrimPrefix(ref, hubPrefix), ":")
	wanted = strings.TrimSpace(wanted)
	owner, name, _ := strings.Cut(repo, "/")
	if !IsModelReference(ref) || !repository.MatchString(repo) || len(owner) > 96 || len(name) > 96 || strings.Contains(repo, "..") {
		return "", "", Invalid("model", "must be hf:OWNER/REPOSITORY, with :QUANTISATION or :FILE.gguf if you like, got %q", clip(ref))
	}
	return repo, wanted, nil
}

// LowerScheme is a reference with the scheme of its URL, if it is one, as it is usually
// written: http://, which people may give in capitals (RFC 3986, 3.1).
func LowerScheme(from string) string {
	if scheme, rest, is := strings.Cut(from, "://"); is {
		return strings.ToLower(scheme) + "://" + rest
	}
	return from
}

// isWeb reports whether a URL is one of a web server.
func isWeb(u *url.URL) bool { return u.Scheme == "http" || u.Scheme == "https" }

// checkSource wants what says where a model can be had.
func checkSource(from string) error {
	if err := firstError(checkRequired("model", from), checkModel("model", from)); err != nil {
		return err
	}
	switch {
	case IsModelReference(from):
		_, _, err := HubReference(from)
		return err
	case strings.HasPrefix(from, HiveScheme):
		hive, id, _ := strings.Cut(strings.TrimPrefix(from, HiveScheme), "/")
		if firstError(checkRequired("model", hive), checkName("model", hive), CheckModelID(id)) != nil {
			return Invalid("model", "must be hive:NAME/MODEL, got %q", clip(from))
		}
	case strings.Contains(from, "://") && NearHub(from) != "":
		return Invalid("model", "%s is the page of a repository, not a file in it", clip(from)).WithHint(hintHub, NearHub(from))
	case strings.Contains(from, "://"):
		if u, err := url.Parse(from); err != nil || u.Host == "" || !isWeb(u) {
			return Invalid("model", "must be a URL of a GGUF file, as http://HOST/PATH or https://HOST/PATH, got %q", clip(string(Redact([]byte(from)))))
		}
	case !path.IsAbs(from):
		return Invalid("model", "must be an absolute path, an http(s) URL or hf:OWNER/REPOSITORY, got %q", clip(from))
	}
	return nil
}

// checkModelName accepts "" and what a model may be called by its users: its name,
// an alias, or where it comes from.
func checkModelName(value string) error {
	switch {
	case value == "":
		return nil
	case IsModelReference(value):
		_, _, err := HubReference(value)
		return err
	case alias.MatchString(value) && !strings.Contains(value, ".."):
		return nil
	}
	e := Invalid("model", "must be a model's name, an alias or hf:OWNER/REPOSITORY, got %q", clip(value))
	if strings.HasSuffix(strings.ToLower(value), ".gguf") {
		return e.WithHint("`rbee model download FILE` makes a model of a file; `rbee model list` shows the models there are")
	}
	return e.WithHint("`rbee model list` shows the models there are")
}
