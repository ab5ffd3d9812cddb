package engines

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

const name1 = "llama-b6000-bin-ubuntu-x64.tar.gz"

// linux is a plain machine.
var linux = Machine{OS: "linux", Arch: "amd64"}

// llama is what an archive holds: a program that says it is build n.
func llama(n int) []thing {
	script := fmt.Sprintf("#!/bin/sh\ncase $1 in --version) echo 'version: 0.1.0 (build %d, commit x)' >&2;; *) echo 'Available devices:';; esac\n", n)
	return []thing{
		{name: fmt.Sprintf("llama-b%d/llama-server", n), text: script, mode: 0o755},
		{name: fmt.Sprintf("llama-b%d/libllama.so", n), text: strings.Repeat("library", 10_000)},
	}
}

// mirror serves files as GitHub does for downloads, with SHA256SUMS.
type mirror struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte // by path
	asked []string
	cut   int // bytes of the next archive after which it breaks off
	// held is closed when the next archive goes on after half of it; nil does not wait.
	held chan struct{}
}

func newMirror(t *testing.T, files map[string][]byte) *mirror {
	t.Helper()
	m := &mirror{files: files}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

// ServeHTTP serves a file.
func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.asked = append(m.asked, r.URL.Path)
	data, ok := m.files[r.URL.Path]
	cut := 0
	if strings.Contains(r.URL.Path, "/llama-b") {
		cut, m.cut = m.cut, 0
	}
	m.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", `"one"`)
	if cut > 0 {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Header().Set("Accept-Ranges", "bytes")
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(data)-1, len(data)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(data[:cut])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	if m.held != nil && strings.Contains(r.URL.Path, "/llama-b") {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data[:len(data)/2])
		_ = http.NewResponseController(w).Flush()
		<-m.held
		_, _ = w.Write(data[len(data)/2:])
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// release adds the archives of a release, with their sums.
func release(files map[string][]byte, tag string, archives map[string][]byte) map[string][]byte {
	var sums strings.Builder
	for name, data := range archives {
		files["/download/"+tag+"/"+name] = data
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), name)
	}
	files["/download/"+tag+"/SHA256SUMS"] = []byte(sums.String())
	return files
}

func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "engines"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// quickly never waits.
func quickly() fetch.Options {
	return fetch.Options{Tries: 2, Backoff: func() backoff.BackOff { return &backoff.ZeroBackOff{} }}
}

// left is what is in the store that is no release.
func left(t *testing.T, s *Store) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestReleasesAreInstalledSideBySideAndTheLastOneComesFirst(t *testing.T) {
	files := release(map[string][]byte{}, "b6000", map[string][]byte{name1: tarball(t, llama(6000))})
	release(files, "b7000", map[string][]byte{
		"llama-b7000-bin-ubuntu-x64.zip":           zipped(t, llama(7000)),
		"llama-b7000-bin-ubuntu-vulkan-x64.tar.gz": tarball(t, llama(7000)),
	})
	files["/latest/download/nightly-tag.txt"] = []byte("b7000\n")
	files["/download/v0.1.0/nightly-tag.txt"] = []byte("b6000")
	m, s := newMirror(t, files), newStore(t)
	for _, c := range []struct{ version, accelerator, want, order string }{
		{"b6000", "", "b6000-cpu", "b6000-cpu"},
		{"", "", "b7000-cpu", "b7000-cpu b6000-cpu"},
		{"7000", "vulkan", "b7000-vulkan", "b7000-vulkan b7000-cpu b6000-cpu"},
		{"v0.1.0", "", "b6000-cpu", "b6000-cpu b7000-vulkan b7000-cpu"}, // again: it is used from now on
		{"latest", "cpu", "b7000-cpu", "b7000-cpu b6000-cpu b7000-vulkan"},
	} {
		got, err := s.Install(t.Context(), Wanted{Version: c.version, Accelerator: c.accelerator, From: m.URL + "/", Machine: linux, Fetch: quickly()})
		if err != nil || got.ID != c.want {
			t.Fatalf("%q gives %+v, %v", c.version, got, err)
		}
		var ids []string
		for _, i := range s.List() {
			ids = append(ids, i.ID)
		}
		if order := strings.Join(ids, " "); order != c.order {
			t.Errorf("after %q there is %s, want %s", c.version, order, c.order)
		}
	}
	if n := strings.Count(strings.Join(m.asked, " "), "-bin-"); n != 3 {
		t.Errorf("it downloaded %d archives: %v", n, m.asked)
	}
	if names := left(t, s); len(names) > 0 {
		t.Errorf("it leaves %v", names)
	}
	i, err := s.Get("b6000-cpu")
	if err != nil || i.Size < 70_000 || i.SHA256 == "" || i.Accelerator != "cpu" || i.Tag != "b6000" || !s.Holds(i.ID, i.Program) || s.Holds("b7000-cpu", i.Program) {
		t.Errorf("it is %+v, %v", i, err)
	}
	if err := s.Remove(i.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(i.ID); ops.CodeOf(err) != ops.CodeNotFound || len(s.List()) != 2 {
		t.Errorf("afterwards: %v", err)
	}
}

func TestCUDAsLibrariesLieBesideTheProgram(t *testing.T) {
	program := "llama-b6000-bin-ubuntu-cuda-12.8-x64.tar.gz"
	m := newMirror(t, release(map[string][]byte{}, "b6000", map[string][]byte{
		program:             tarball(t, llama(6000)),
		"cudart-" + program: tarball(t, []thing{{name: "cudart/libcudart.so.12.8", text: "cuda"}, {name: "cudart/libcudart.so.12", link: "libcudart.so.12.8"}}),
	}))
	got, err := newStore(t).Install(t.Context(), Wanted{Version: "b6000", From: m.URL, Machine: Machine{OS: "linux", Arch: "amd64", Kinds: []string{"cuda"}, Driver: "570"}, Fetch: quickly()})
	if err != nil || got.ID != "b6000-cuda-12.8" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if text, err := os.ReadFile(filepath.Join(filepath.Dir(got.Program), "libcudart.so.12")); err != nil || string(text) != "cuda" {
		t.Errorf("beside it: %q, %v", text, err)
	}
}

// bad is what cannot be installed, and what is said of it.
type bad struct {
	name  string
	files map[string][]byte
	want  Wanted
	code  ops.Code
	says  string
	hint  string
}

// lone is an archive that is bad, and is given by its own URL.
func lone(name string, archive []byte, code ops.Code, says, hint string) bad {
	sum := fmt.Sprintf("%x", sha256.Sum256(archive))
	return bad{name, map[string][]byte{"/mine.tgz": archive}, Wanted{From: "/mine.tgz", SHA256: sum}, code, says, hint}
}

func TestWhatCannotBeInstalledLeavesNothing(t *testing.T) {
	good := tarball(t, llama(6000))
	sum := fmt.Sprintf("%x", sha256.Sum256(good))
	for _, c := range []bad{
		{"no release", nil, Wanted{Version: "b6000"}, ops.CodeNotFound, "SHA256SUMS", "a mirror is a folder with"},
		{"no latest", nil, Wanted{}, ops.CodeNotFound, "nightly-tag.txt", "engine install bNUMBER"},
		{"a latest that names none", map[string][]byte{"/latest/download/nightly-tag.txt": []byte("../../x")}, Wanted{}, ops.CodeUnavailable, "should name a build", "in a mirror that file holds the number of a build"},
		{"a latest that is empty", map[string][]byte{"/latest/download/nightly-tag.txt": {}}, Wanted{}, ops.CodeUnavailable, `should name a build, and says ""`, "bNUMBER` needs none"},
		{"a page for the latest", map[string][]byte{"/latest/download/nightly-tag.txt": []byte("<html>")}, Wanted{}, ops.CodeUnavailable, "is a web page, not a release's file", "something else answers there"},
		{"sums that are none", map[string][]byte{"/download/b6000/SHA256SUMS": []byte("garbage\n" + strings.Repeat("x", 64) + " " + name1 + "\n")}, Wanted{Version: "b6000"}, ops.CodeUnavailable, "SHA256SUMS names no archive as sha256sum writes it", "a mirror is a folder with"},
		{"nothing for this machine", release(map[string][]byte{}, "b6000", map[string][]byte{"llama-b6000-bin-macos-x64.tar.gz": good}), Wanted{Version: "b6000"}, ops.CodeUnsupported, "nothing for linux", "build llama.cpp"},
		{"another sum", func() map[string][]byte {
			f := release(map[string][]byte{}, "b6000", map[string][]byte{name1: good})
			f["/download/b6000/"+name1] = tarball(t, llama(6001))
			return f
		}(), Wanted{Version: "b6000"}, ops.CodeUnavailable, "is not what it should be", ""},
		{"a sum of the person's that differs", release(map[string][]byte{}, "b6000", map[string][]byte{name1: good}), Wanted{Version: "b6000", SHA256: strings.Repeat("0", 64)}, ops.CodeUnavailable, "is not what it should be", "with --sha256?"},
		{"no archive", release(map[string][]byte{}, "b6000", map[string][]byte{name1: []byte("no archive")}), Wanted{Version: "b6000"}, ops.CodeUnavailable, "is no release archive", ""},
		{"a hostile one", release(map[string][]byte{}, "b6000", map[string][]byte{name1: tarball(t, []thing{{name: "../../evil", text: "x"}})}), Wanted{Version: "b6000"}, ops.CodeUnavailable, name1 + " is no archive of llama.cpp's that can be used: it holds", "another VERSION"},
		{"one without the program", release(map[string][]byte{}, "b6000", map[string][]byte{name1: tarball(t, []thing{{name: "README", text: "x"}})}), Wanted{Version: "b6000"}, ops.CodeUnavailable, name1 + " is no archive of llama.cpp's that can be used: there is no llama-server in it", "another VERSION"},
		{"a program that cannot run", release(map[string][]byte{}, "b6000", map[string][]byte{name1: tarball(t, []thing{{name: "llama-server", text: "#!/bin/sh\necho GLIBC_2.99 not found; exit 1", mode: 0o755}})}), Wanted{Version: "b6000"}, ops.CodeUnavailable, "b6000-cpu does not run on this machine, and is not kept: llama-server cannot be run: exit status 1; it says: GLIBC_2.99 not found", "another build may run"},
		{"a program without backends", release(map[string][]byte{}, "b6000", map[string][]byte{name1: tarball(t, []thing{{name: "llama-server", text: "#!/bin/sh\necho 'version: 6000 (x)'; [ $1 = --version ] || echo 'Available buffer types:'", mode: 0o755}})}), Wanted{Version: "b6000"}, ops.CodeUnsupported, "b6000-cpu does not run on this machine, and is not kept: the llama-server at llama-server has nothing to compute with", "another build may run"},
		{"one that is too old", release(map[string][]byte{}, "b400", map[string][]byte{"llama-b400-bin-ubuntu-x64.tar.gz": tarball(t, llama(400))}), Wanted{Version: "b400"}, ops.CodeUnsupported, "b400-cpu is too old, and is not kept: it is b400, and rbee needs b5100 or newer", "without a version brings the newest"},
		{"an archive alone that nothing vouches for", map[string][]byte{"/" + name1: good}, Wanted{From: "/" + name1}, ops.CodeDenied, "nothing tells what the SHA-256", "--sha256"},
		{"an archive alone of another name", map[string][]byte{"/My build.TGZ": good}, Wanted{From: "/My%20build.TGZ", SHA256: sum}, "", "", ""},
		{"one that nothing vouches for", map[string][]byte{"/mine.zip": good}, Wanted{From: "/mine.zip"}, ops.CodeDenied, "nothing tells what the SHA-256", "--sha256"},
		{"what may be one, by its address", nil, Wanted{From: "/mine"}, ops.CodeNotFound, "nightly-tag.txt", "ends in .tar.gz or .zip"},
		lone("one alone that is too old", tarball(t, llama(400)), ops.CodeUnsupported, "/mine.tgz is too old, and is not kept: it is b400, and rbee needs b5100 or newer", "without --from brings the newest"),
		lone("one alone that cannot run", tarball(t, []thing{{name: "b/llama-server", text: "#!/bin/sh\necho $0: no; exit 3", mode: 0o755}}), ops.CodeUnavailable, "/mine.tgz does not run on this machine, and is not kept: b/llama-server cannot be run: exit status 3; it says: b/llama-server: no", "without --from chooses one"),
		lone("one alone for another processor", tarball(t, []thing{{name: "llama-server", text: "\x7fELF\x02\x01\x01", mode: 0o755}}), ops.CodeUnsupported, "llama-server cannot be run: it is no program for", "built for "+runtime.GOOS+" on "+runtime.GOARCH),
		lone("one alone that was cut", good[:len(good)/2], ops.CodeUnavailable, "/mine.tgz is no archive of llama.cpp's that can be used: it is cut short", "without --from chooses one"),
		lone("one alone without the program", tarball(t, []thing{{name: "README", text: "x"}}), ops.CodeUnavailable, "/mine.tgz is no archive of llama.cpp's that can be used: there is no llama-server in it", "without --from chooses one"),
		{"an archive alone", map[string][]byte{"/" + name1: good}, Wanted{From: "/" + name1, SHA256: strings.ToUpper(sum)}, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, s := newMirror(t, c.files), newStore(t)
			w := c.want
			w.From, w.Machine, w.Fetch = m.URL+w.From, linux, quickly()
			_, err := s.Install(t.Context(), w)
			if ops.CodeOf(err) != c.code || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v (%s)", err, ops.CodeOf(err))
			}
			if e := ops.AsError(err); e != nil && (!strings.Contains(e.Hint, c.hint) || strings.Contains(e.Message, s.dir)) {
				t.Errorf("the hint of %q is %q", e.Message, e.Hint)
			}
			if err != nil && len(s.List()) > 0 {
				t.Errorf("there is %+v", s.List())
			}
			if names := left(t, s); len(names) > 0 {
				t.Errorf("it leaves %v", names)
			}
		})
	}
}

func TestArchivesOfAnyNameAreInstalledByTheirsAndTheirSum(t *testing.T) {
	files := map[string][]byte{"/a/mine.tar.gz": tarball(t, llama(6000)), "/b/mine.tar.gz": tarball(t, llama(7000))}
	m, s := newMirror(t, files), newStore(t)
	for path, want := range map[string]struct{ name, tag string }{"/a/mine.tar.gz": {"mine-", "b6000"}, "/b/mine.tar.gz": {"mine-", "b7000"}} {
		sum := fmt.Sprintf("%x", sha256.Sum256(files[path]))
		w := Wanted{From: strings.Replace(m.URL, "http", "HTTP", 1) + path + "?from=me", SHA256: strings.ToUpper(sum), Machine: linux, Fetch: quickly()}
		got, err := s.Install(t.Context(), w)
		if err != nil || got.ID != want.name+sum[:8] || got.Tag != want.tag || got.Accelerator != "cpu" || got.SHA256 != sum {
			t.Errorf("%s gives %+v, %v", path, got, err)
		}
		if again, err := s.Install(t.Context(), w); err != nil || again.ID != got.ID {
			t.Errorf("again: %+v, %v", again, err)
		}
	}
	if len(s.List()) != 2 || len(m.asked) > 4 {
		t.Errorf("there are %+v, asked for were %v", s.List(), m.asked)
	}
}

func TestAnArchiveOfAnyNameThatWasCutGoesOn(t *testing.T) {
	noise := llama(6000)
	noise[1].text = string(noiseOf(300_000)) // which does not pack
	m, s := newMirror(t, map[string][]byte{"/llama-bees.zip": zipped(t, noise)}), newStore(t)
	m.cut = 200_000
	sum := fmt.Sprintf("%x", sha256.Sum256(m.files["/llama-bees.zip"]))
	w := Wanted{From: m.URL + "/llama-bees.zip", SHA256: sum, Machine: linux, Fetch: quickly()}
	w.Fetch.Tries = 1
	if _, err := s.Install(t.Context(), w); ops.CodeOf(err) != ops.CodeUnavailable {
		t.Fatalf("got %v", err)
	}
	id := "llama-bees-" + sum[:8]
	want := Unfinished{ID: id, Have: 200_000, Size: int64(len(m.files["/llama-bees.zip"])), Folder: s.dir, From: w.From, SHA256: sum}
	if list := s.Unfinished(); len(list) != 1 || list[0] != want {
		t.Errorf("it says %+v, want %+v", list, want)
	}
	if got, err := s.Install(t.Context(), w); err != nil || got.ID != id || len(s.Unfinished()) > 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestADownloadThatWasCutGoesOnAndIsClearedAwayOneDay(t *testing.T) {
	noise := llama(6000)
	noise[1].text = string(noiseOf(300_000)) // which does not pack
	m := newMirror(t, release(map[string][]byte{}, "b6000", map[string][]byte{name1: tarball(t, noise)}))
	m.cut = 200_000
	s := newStore(t)
	w := Wanted{Version: "b6000", From: m.URL, Machine: linux, Fetch: quickly()}
	w.Fetch.Tries = 1
	if _, err := s.Install(t.Context(), w); ops.CodeOf(err) != ops.CodeUnavailable || !strings.Contains(err.Error(), "broke off at 200000") {
		t.Fatalf("got %v", err)
	}
	if names := left(t, s); len(names) != 2 {
		t.Fatalf("it keeps %v", names)
	}
	again, err := Open(s.dir)
	if err != nil || len(left(t, again)) != 2 {
		t.Fatalf("after a restart: %v, %v", left(t, again), err)
	}
	want := Unfinished{ID: "b6000-cpu", Tag: "b6000", Accelerator: "cpu", Have: 200_000, Size: int64(len(m.files["/download/b6000/"+name1])), Folder: s.dir, From: m.URL}
	if list := again.Unfinished(); len(list) != 1 || list[0] != want {
		t.Errorf("it says %+v, want %+v", list, want)
	}
	if got, err := again.Install(t.Context(), w); err != nil || got.ID != "b6000-cpu" || len(left(t, again)) > 0 || len(again.Unfinished()) > 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, name := range []string{".partial-old.zip", ".unpack-b1-cpu"} {
		path := filepath.Join(s.dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		long := time.Now().Add(-2 * keepPartial)
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(s.dir); err != nil || len(left(t, s)) > 0 {
		t.Errorf("it keeps %v, %v", left(t, s), err)
	}
}

func TestWhatHasComeOfAReleaseIsForgottenButNotUnderAnInstall(t *testing.T) {
	const name, libraries = "llama-b6000-bin-ubuntu-cuda-12.4-x64.tar.gz", "cudart-llama-bin-ubuntu-cuda-12.4-x64.tar.gz"
	s := newStore(t)
	sum := strings.Repeat("ab", 32)
	for file, have := range map[string]int{name: 900, libraries: 50, "llama-b7000-bin-ubuntu-x64.tar.gz": 7} {
		text := fmt.Sprintf(`{"url":"https://bob:secret@example.org/files/%s","size_bytes":1000,"expect":%q,"have":[{"from":0,"to":%d}]}`, file, sum, have)
		for path, text := range map[string]string{s.archive(file): "", s.archive(file) + ".state": text} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.arrives("b6000-cuda-12.4")
	i := slices.IndexFunc(s.Unfinished(), func(u Unfinished) bool { return u.ID == "b6000-cuda-12.4" })
	if i < 0 {
		t.Fatalf("there is %+v", s.Unfinished())
	}
	if u := s.Unfinished()[i]; !u.Underway || u.Have != 950 || u.Size != 2000 || u.SHA256 != sum || u.From != "https://bob:xxxxx@example.org/files/"+name {
		t.Errorf("it says %+v", u)
	}
	if _, ok, err := s.Forget("b6000-cuda-12.4"); ok || ops.CodeOf(err) != ops.CodeConflict {
		t.Errorf("under an install: %t, %v", ok, err)
	}
	s.arrives("")
	if freed, ok, err := s.Forget("b6000-cuda-12.4"); freed != 950 || !ok || err != nil {
		t.Errorf("it frees %d, %t, %v", freed, ok, err)
	}
	if _, ok, err := s.Forget("b6000-cuda-12.4"); ok || err != nil {
		t.Errorf("again: %t, %v", ok, err)
	}
	if names := left(t, s); len(names) != 2 {
		t.Errorf("it keeps %v", names)
	}
}

func noiseOf(n int) []byte {
	data := make([]byte, 0, n)
	for i := 0; len(data) < n; i++ {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		data = append(data, sum[:]...)
	}
	return data[:n]
}

// github answers for github.com and api.github.com.
type github struct{ to *httptest.Server }

// RoundTrip asks the test's server, under the host's name.
func (g github) RoundTrip(r *http.Request) (*http.Response, error) {
	q := r.Clone(r.Context())
	q.URL.Scheme, q.URL.Host, q.URL.Path = "http", strings.TrimPrefix(g.to.URL, "http://"), "/"+r.URL.Host+r.URL.Path
	transport := &http.Transport{DisableKeepAlives: true}
	return transport.RoundTrip(q)
}

func TestGitHubTellsWhatARelaseHoldsAndItsSums(t *testing.T) {
	data := tarball(t, llama(6000))
	const repo = "/ggml-org/llama.cpp/releases"
	m := newMirror(t, map[string][]byte{
		"/github.com" + repo + "/latest/download/nightly-tag.txt": []byte("b6000\n"),
		"/github.com" + repo + "/download/b6000/" + name1:         data,
		"/api.github.com/repos" + repo + "/tags/b6000": fmt.Appendf(nil,
			`{"tag_name":"b6000","assets":[{"name":%q,"size":%d,"digest":"sha256:%x","browser_download_url":"https://github.com%s/download/b6000/%s"}]}`,
			name1, len(data), sha256.Sum256(data), repo, name1),
		"/api.github.com/repos" + repo + "/tags/b5500": fmt.Appendf(nil,
			`{"tag_name":"b5500","assets":[{"name":"llama-b5500-bin-ubuntu-x64.zip","size":5,"digest":null,"browser_download_url":"https://github.com%s/x"}]}`, repo),
	})
	s := newStore(t)
	w := Wanted{Machine: linux, Fetch: quickly()}
	w.Fetch.Transport = github{m.Server}
	if got, err := s.Install(t.Context(), w); err != nil || got.ID != "b6000-cpu" || got.Source != Releases+"/download/b6000/"+name1 {
		t.Errorf("got %+v, %v", got, err)
	}
	w.Version = "b5500" // of before there were sums
	if _, err := s.Install(t.Context(), w); ops.CodeOf(err) != ops.CodeDenied || !strings.Contains(ops.AsError(err).Hint, "--sha256") {
		t.Errorf("got %v", err)
	}
	w.Version = "b6000"
	m.Close()
	if _, err := s.Install(t.Context(), w); !strings.Contains(ops.AsError(err).Hint, "--from takes a mirror") || !strings.Contains(ops.AsError(err).Hint, "RBEE_LLAMACPP_RELEASES") {
		t.Errorf("where GitHub is not reached: %v (%s)", err, ops.AsError(err).Hint)
	}
}

func TestAnInstallThatIsCancelledLeavesNothingUnderTheName(t *testing.T) {
	m := newMirror(t, release(map[string][]byte{}, "b6000", map[string][]byte{name1: tarball(t, llama(6000))}))
	s := newStore(t)
	<-s.turn // somebody else installs
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, ops.Errorf(ops.CodeCancelled, "enough"))
	defer cancel()
	if _, err := s.Install(ctx, Wanted{Version: "b6000", From: m.URL, Machine: linux, Fetch: quickly()}); ops.CodeOf(err) != ops.CodeCancelled || len(s.List()) > 0 {
		t.Errorf("got %v and %v", err, s.List())
	}
}

// listener hears what is narrated.
type listener struct {
	ops.Sink
	hear func(ops.Event)
}

// Emit hears e.
func (l listener) Emit(e ops.Event) { l.hear(e) }

func TestAnInstallThatWaitsForAProgramThatHangsSaysSoAndCanBeCancelled(t *testing.T) {
	hangs := []thing{{name: "llama-b6000/llama-server", text: "#!/bin/sh\nexec sleep 600\n", mode: 0o755}}
	m := newMirror(t, release(map[string][]byte{}, "b6000", map[string][]byte{name1: tarball(t, hangs)}))
	s := newStore(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	ctx = ops.WithSink(ctx, listener{hear: func(e ops.Event) {
		if n, ok := e.(ops.NarrationEvent); ok && n.Human == "llama-server does not answer to --version: waiting, for 20s at most" {
			cancel(ops.Errorf(ops.CodeCancelled, "enough"))
		}
	}})
	_, err := s.Install(ctx, Wanted{Version: "b6000", From: m.URL, Machine: linux, Fetch: quickly()})
	if ops.CodeOf(err) != ops.CodeCancelled || len(s.List()) > 0 {
		t.Errorf("got %v and %v", err, s.List())
	}
}
