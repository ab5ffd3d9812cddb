package fetch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/dustin/go-humanize"

	"rbee.dev/rbee/ops"
)

// HubPrefix begins a reference to a repository of the Hugging Face Hub:
// hf:OWNER/REPO, hf:OWNER/REPO:QUANTISATION or hf:OWNER/REPO:FILE.gguf.
const HubPrefix = "hf:"

// hubAway is what else there is where the Hub is not reached.
const hubAway = "does the hive's machine reach it? `rbee hive env --help` says how to give a hive a proxy (HTTPS_PROXY) or a mirror of Hugging Face (HF_ENDPOINT)"

// otherHub is what to look at where something else answers.
const otherHub = "is it the Hub, or a mirror of it? HF_ENDPOINT of the hive names another"

// hubEndpoint is the Hub's address unless HF_ENDPOINT names a mirror.
const hubEndpoint = "https://huggingface.co"

// maxListing bounds one page of a repository's file list, in bytes.
const maxListing = 16 << 20

// maxPages bounds how many pages such a list has.
const maxPages = 100

// Chosen is the model that a reference means.
type Chosen struct {
	Source string   // hf:OWNER/REPO:FILE.gguf
	Name   string   // of the file, without .gguf and the number of its part
	Why    string   // which one it is and why, for a person
	Files  []File   // to download, in the order of their parts, then the projector if there is one
	Names  []string // that they keep
}

// Hub reads a repository's file list and chooses the model that ref means: what
// it names, or else what fits into the room, Q4_K_M by preference.
func (f *Fetcher) Hub(ctx context.Context, ref string, room Room) (Chosen, error) {
	repo, wanted, err := ops.HubReference(ref)
	if err != nil {
		return Chosen{}, err
	}
	endpoint, err := f.endpoint()
	if err != nil {
		return Chosen{}, err
	}
	listed, err := f.list(ctx, endpoint, repo)
	if err != nil {
		return Chosen{}, err
	}
	token, from := Token(f.o.Env)
	file := func(p listedFile) File {
		where := endpoint.JoinPath(repo, "resolve", "main", p.Path)
		return File{URL: where.String(), Size: p.Size, SHA256: p.LFS.OID, Token: token, Begins: "GGUF", Access: f.access(endpoint, repo, from), Away: hubAway, Lister: endpoint.Host}
	}
	models := group(listed)
	if err := noModel(listed, models, repo, wanted); err != nil {
		return Chosen{}, err
	}
	m, why, err := choose(models, repo, wanted, room, func(whole []hubModel) needs { return f.needsOf(ctx, whole, room, file) })
	if err != nil {
		return Chosen{}, err
	}
	c := Chosen{Source: HubPrefix + repo + ":" + m.path, Name: m.name, Why: why}
	if p := m.sees; p.Path != "" {
		c.Why += fmt.Sprintf("; with it comes %s (%s), by which it takes images", path.Base(p.Path), humanize.IBytes(uint64(p.Size))) //nolint:gosec // a size
		m.parts = append(slices.Clone(m.parts), p)
	}
	for _, p := range m.parts {
		c.Files = append(c.Files, file(p))
		c.Names = append(c.Names, path.Base(p.Path))
	}
	return c, nil
}

// endpoint is the address of the Hub or of its mirror.
func (f *Fetcher) endpoint() (*url.URL, error) {
	at := cmp.Or(f.o.Env("HF_ENDPOINT"), hubEndpoint)
	u, err := url.Parse(strings.TrimSuffix(at, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, ops.Errorf(ops.CodeInvalid, "HF_ENDPOINT must be an http(s) URL, got %q", at)
	}
	return u, nil
}

// Token is what a person signed in with, and where it comes from: HF_TOKEN, or the
// file that Hugging Face's own tools keep. Both are "" where there is none.
func Token(env func(key string) string) (token, from string) {
	if t := strings.TrimSpace(env(ops.SecretVariable)); t != "" {
		return t, ops.SecretVariable
	}
	file := env("HF_TOKEN_PATH")
	if home := env("HF_HOME"); file == "" && home != "" {
		file = filepath.Join(home, "token")
	}
	if home := env("HOME"); file == "" && home != "" {
		file = filepath.Join(home, ".cache", "huggingface", "token")
	}
	text, err := os.ReadFile(file)
	token = strings.TrimSpace(string(text))
	if err != nil || token == "" {
		return "", ""
	}
	return token, file
}

// access says how to get what is private or gated, with a token from somewhere, or
// without one for "".
func (f *Fetcher) access(endpoint *url.URL, repo, from string) string {
	page, tokens := endpoint.JoinPath(repo), endpoint.JoinPath("settings", "tokens")
	if from == "" {
		return fmt.Sprintf("the hive has no token: ask for access at %s, make a token at %s, and give it to the hive: `rbee hive env %s HF_TOKEN` asks for it "+
			"(or put it into ~/.cache/huggingface/token on the hive's machine)", page, tokens, f.o.Hive)
	}
	return fmt.Sprintf("the hive's token, from %s, gives no access to it: with the token's account, ask for access at %s, "+
		"and see at %s that the token is still good and may read gated and private repositories", from, page, tokens)
}

// listedFile is an entry of GET /api/models/REPO/tree/main, as the Hub's OpenAPI
// description gives it. The oid of a large file is its SHA-256.
type listedFile struct {
	Type string `json:"type"`
	Path string `json:"path"`
	Size int64  `json:"size"`
	LFS  struct {
		OID string `json:"oid"`
	} `json:"lfs"`
}

// list lists a repository's files, page by page.
func (f *Fetcher) list(ctx context.Context, endpoint *url.URL, repo string) (all []listedFile, err error) {
	next := endpoint.JoinPath("api", "models", repo, "tree", "main")
	next.RawQuery = "recursive=true"
	for range maxPages {
		page, link, err := f.page(ctx, endpoint, repo, next)
		if err != nil {
			return nil, err
		}
		all = append(all, usable(ctx, repo, page)...)
		if link == "" {
			return all, nil
		}
		if next, err = next.Parse(link); err != nil || !sameOrigin(next, endpoint) {
			return nil, ops.Errorf(ops.CodeUnavailable, "the list of %s goes on at %q, which is elsewhere", repo, link)
		}
	}
	return nil, ops.Errorf(ops.CodeUnsupported, "%s holds more files than can be listed", repo)
}

// usable leaves out of a list what nothing can be downloaded by: a name that leads
// out of the repository, or that a terminal or a disk would take for something else.
func usable(ctx context.Context, repo string, list []listedFile) []listedFile {
	return slices.DeleteFunc(list, func(f listedFile) bool {
		bad := !fs.ValidPath(f.Path) || strings.ContainsFunc(f.Path, func(r rune) bool { return !unicode.IsPrint(r) || r == '\\' }) || f.Size < 0
		if bad {
			ops.Warn(ctx, "model_odd", "%s lists a file that cannot be one, %.200q of %d bytes: leaving it out", repo, f.Path, f.Size)
		}
		return bad
	})
}

var nextLink = regexp.MustCompile(`<([^<>]+)>\s*;\s*rel="next"`)

// page reads a page of a file list, and where the next one is. A server that
// cannot answer now is asked again.
func (f *Fetcher) page(ctx context.Context, endpoint *url.URL, repo string, from *url.URL) (list []listedFile, link string, err error) {
	return list, link, f.retry(ctx, func() error {
		list, link, err = f.pageOnce(ctx, endpoint, repo, from)
		return err
	})
}

func (f *Fetcher) pageOnce(ctx context.Context, endpoint *url.URL, repo string, from *url.URL) ([]listedFile, string, error) {
	p := f.patience(ctx, from.String(), nil)
	defer p.end()
	token, file := Token(f.o.Env)
	what := File{URL: from.String(), Kind: "file list", Token: token, Access: f.access(endpoint, repo, file), Away: hubAway}
	answer, err := f.send(p.ctx, what.URL, what, http.Header{"Accept": {"application/json"}})
	if err != nil {
		return nil, "", hinted(err)
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	if err := hubRefusal(answer, what, repo, endpoint); err != nil {
		return nil, "", err
	}
	var list []listedFile
	err = json.NewDecoder(io.LimitReader(p.reader(answer.Body), maxListing)).Decode(&list)
	if errors.Is(err, io.EOF) {
		return nil, "", ops.Errorf(ops.CodeUnavailable, "what %s gives as the file list of %s is empty", Shown(endpoint.String()), repo).WithHint(otherHub)
	}
	_, other := errors.AsType[*json.UnmarshalTypeError](err)
	if _, none := errors.AsType[*json.SyntaxError](err); none || other { // as a page without a Content-Type
		return nil, "", ops.Errorf(ops.CodeUnavailable, "what %s gives as the file list of %s is none", Shown(endpoint.String()), repo).
			WithHint(otherHub)
	}
	if err != nil {
		return nil, "", hinted(ops.Errorf(ops.CodeUnavailable, "the file list of %s cannot be read: %w", repo, err))
	}
	link := ""
	if m := nextLink.FindStringSubmatch(answer.Header.Get("Link")); m != nil {
		link = m[1]
	}
	return list, link, nil
}

// hubRefusal is what the Hub's refusal means. To those who are not signed in it
// tells of a repository that there is not what it tells of a private one.
func hubRefusal(answer *http.Response, what File, repo string, endpoint *url.URL) error {
	err := refusal(answer, what)
	a, wait := errors.AsType[*again](err)
	switch kind := answer.Header.Get("X-Error-Code"); {
	case err == nil:
		return nil
	case wait:
		return a
	case kind == "GatedRepo":
		return ops.Errorf(ops.CodeDenied, "%s is given only to those who have asked for it", repo).WithHint("%s", what.Access)
	case ops.CodeOf(err) == ops.CodeDenied:
		return ops.Errorf(ops.CodeDenied, "there is no %s on the Hub, or it is private (%s)", repo, answer.Status).
			WithHint("check the name; if it is right, %s", what.Access)
	case ops.CodeOf(err) == ops.CodeNotFound:
		return ops.Errorf(ops.CodeNotFound, "there is no %s on the Hub", repo).WithHint("check the name at %s", Shown(endpoint.String()))
	}
	return err
}
