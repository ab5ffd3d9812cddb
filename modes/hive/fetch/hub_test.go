package fetch_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// hub speaks the Hub's API, with a file list of two pages, and sends those who
// download to another server.
func hub(t *testing.T, sizes map[string]int) *httptest.Server {
	t.Helper()
	data := content(7, 1000)
	cdn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the token went to the CDN")
		}
		w.Header().Set("ETag", `"cdn"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	t.Cleanup(cdn.Close)
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	mux.HandleFunc("GET /api/models/bees/tiny-GGUF/tree/main", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") == "" {
			w.Header().Set("Link", fmt.Sprintf(`<%s%s?recursive=true&cursor=two>; rel="next"`, s.URL, r.URL.Path))
			_, _ = fmt.Fprint(w, `[{"type":"directory","path":"UD","size":0},{"type":"file","path":"README.md","size":9}]`)
			return
		}
		var rows []string
		for name, size := range sizes {
			rows = append(rows, fmt.Sprintf(`{"type":"file","path":%q,"size":%d,"oid":"aa","lfs":{"oid":%q,"size":%d,"pointerSize":135}}`, name, size, sumOf(data), size))
		}
		_, _ = fmt.Fprintf(w, "[%s]", strings.Join(rows, ","))
	})
	mux.HandleFunc("GET /api/models/bees/gated/tree/main", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Error-Code", "GatedRepo")
		w.WriteHeader(http.StatusForbidden)
	})
	mux.HandleFunc("GET /api/models/bees/private/tree/main", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprintf(w, `[{"type":"file","path":"x-Q8_0.gguf","size":1000,"lfs":{"oid":%q}}]`, sumOf(data))
	})
	mux.HandleFunc("GET /api/models/bees/elsewhere/tree/main", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", `<`+cdn.URL+`/more>; rel="next"`)
		_, _ = fmt.Fprint(w, `[]`)
	})
	mux.HandleFunc("GET /api/models/bees/cut/tree/main", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `[{"type":"file","path":"x-F16-00003-of-00003.gguf","size":9},{"type":"file","path":"x-F16-00001-of-00003.gguf","size":9}]`)
	})
	mux.HandleFunc("GET /api/models/bees/nameless/tree/main", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `[{"type":"file","path":"x.gguf","size":9}]`)
	})
	mux.HandleFunc("GET /api/models/bees/empty/tree/main", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `[]`) })
	mux.HandleFunc("GET /api/models/bees/void/tree/main", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /api/models/bees/broken/tree/main", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{`) })
	mux.HandleFunc("GET /api/models/bees/other/tree/main", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{"error":"x"}`) })
	mux.HandleFunc("GET /api/models/bees/page/tree/main", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `<!DOCTYPE html>`) })
	mux.HandleFunc("GET /api/models/bees/untyped/tree/main", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = fmt.Fprint(w, "<html>")
	})
	mux.Handle("GET /bees/private/resolve/main/x-Q8_0.gguf", http.RedirectHandler(cdn.URL+"/blob", http.StatusFound))
	mux.HandleFunc("GET /bees/tiny-GGUF/resolve/main/mmproj-F16.gguf", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content(8, 500)))
	})
	mux.Handle("GET /bees/tiny-GGUF/resolve/main/tiny-Q4_K_M.gguf", http.RedirectHandler(cdn.URL+"/blob", http.StatusFound))
	return s
}

// fetcherOf is one whose Hub is at url, signed in by token.
func fetcherOf(t *testing.T, url, token string) *fetch.Fetcher {
	t.Helper()
	o := quick()
	env := map[string]string{"HF_ENDPOINT": url, "HF_TOKEN": token}
	o.Env = func(key string) string { return env[key] }
	return newFetcher(t, o)
}

func TestAModelIsChosenFromWhatTheRepositoryHolds(t *testing.T) {
	const gib = 1 << 30
	s := hub(t, map[string]int{
		"tiny-Q2_K.gguf": 1 * gib, "tiny-Q4_K_M.gguf": 4 * gib, "tiny-Q8_0.gguf": 8 * gib, "tiny-Q3_K_M.gguf": 3 * gib,
		"mmproj-tiny-F16.gguf": gib / 2, "mmproj-tiny-F32.gguf": gib, "other/mmproj-BF16.gguf": 5, "tiny.imatrix.gguf": 1000,
		"BF16/tiny-BF16-00001-of-00002.gguf": 10 * gib, "BF16/tiny-BF16-00002-of-00002.gguf": 6 * gib,
		"cut/tiny-F32-00001-of-00003.gguf": gib, "cut/tiny-F32-00003-of-00003.gguf": gib,
	})
	f := fetcherOf(t, s.URL+"/", "")
	for _, c := range []struct {
		ref    string
		memory uint64
		want   []string
		says   string
	}{
		{"hf:bees/tiny-GGUF", 0, []string{"tiny-Q4_K_M.gguf"}, "the usual choice"},
		{"hf:bees/tiny-GGUF", 64 * gib, []string{"tiny-Q4_K_M.gguf"}, "(Q4_K_M, 4.0 GiB): the usual choice"},
		{"hf:bees/tiny-GGUF", 5 * gib, []string{"tiny-Q3_K_M.gguf"}, "the best that fits into 5.0 GiB: it takes about 4.3 GiB to run, and Q4_K_M would take 5.4 GiB; a card is not used; with it comes mmproj-tiny-F16.gguf (512 MiB), by which it takes images"},
		{"hf:bees/tiny-GGUF:q8_0", gib, []string{"tiny-Q8_0.gguf"}, "as asked"},
		{"hf:bees/tiny-GGUF:tiny-Q2_K.gguf", gib, []string{"tiny-Q2_K.gguf"}, "as asked"},
		{"hf:bees/tiny-GGUF:TINY-q2_k", gib, []string{"tiny-Q2_K.gguf"}, "as asked"},
		{"hf:bees/tiny-GGUF:BF16/tiny-BF16", 0, []string{"tiny-BF16-00001-of-00002.gguf", "tiny-BF16-00002-of-00002.gguf"}, "as asked"},
		{"hf:bees/tiny-GGUF:BF16", 0, []string{"tiny-BF16-00001-of-00002.gguf", "tiny-BF16-00002-of-00002.gguf"}, "16 GiB in 2 parts"},
	} {
		t.Run(c.ref, func(t *testing.T) {
			got, err := f.Hub(t.Context(), c.ref, fetch.Room{Memory: c.memory, Unused: "a card is not used"})
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(got.Why, "; a card is not used") != strings.Contains(got.Why, "the best that fits") {
				t.Errorf("of the card it says %q", got.Why)
			}
			c.want = append(c.want, "mmproj-tiny-F16.gguf")
			if diff := cmp.Diff(c.want, got.Names); diff != "" || !strings.Contains(got.Why, c.says) {
				t.Errorf("%s, because %q", diff, got.Why)
			}
			if len(got.Files) != len(c.want) || !strings.HasSuffix(got.Files[0].URL, "/"+c.want[0]) || len(got.Files[0].SHA256) != 64 {
				t.Errorf("its files are %+v", got.Files)
			}
		})
	}
}

func TestWhatAModelTakesIsReadFromItsFilesBeginningWhereThatDecides(t *testing.T) {
	const gib = 1 << 30
	s := hub(t, map[string]int{"tiny-Q4_K_M.gguf": 4 * gib, "tiny-Q3_K_M.gguf": 3 * gib, "tiny-Q8_0.gguf": 8 * gib})
	f := fetcherOf(t, s.URL, "")
	for _, c := range []struct {
		name   string
		memory uint64
		more   uint64 // that a model takes beside its weights
		known  bool
		asked  bool
		want   string
		says   string
	}{
		{"by the rule it fits, and by its file it does not", 5 * gib, 3 * gib / 2, true, true, "tiny-Q3_K_M.gguf", "the best that fits into 5.0 GiB: it takes about 4.5 GiB to run, and Q4_K_M would take 5.5 GiB"},
		{"by the rule it does not, and by its file it does", 9 * gib / 2, gib / 4, true, true, "tiny-Q4_K_M.gguf", "the usual choice"},
		{"its file tells too little", 9 * gib / 2, 0, false, true, "tiny-Q3_K_M.gguf", "it takes about 3.8 GiB to run, and Q4_K_M would take 4.9 GiB"},
		{"there is room in any case", 64 * gib, 60 * gib, true, false, "tiny-Q4_K_M.gguf", "the usual choice"},
		{"nobody knows how much room there is", 0, 60 * gib, true, false, "tiny-Q4_K_M.gguf", "the usual choice"},
	} {
		asked := false
		got, err := f.Hub(t.Context(), "hf:bees/tiny-GGUF", fetch.Room{Memory: c.memory, Need: func(model, projector fetch.Beginning) (uint64, bool) {
			asked = true
			if !bytes.Equal(model.Head, content(7, 1000)) || projector.Head != nil || projector.Size != 0 {
				t.Errorf("%s: its beginning is %d bytes, with %+v", c.name, len(model.Head), projector)
			}
			return uint64(model.Size) + c.more, c.known //nolint:gosec // not negative
		}})
		if err != nil || got.Names[0] != c.want || !strings.Contains(got.Why, c.says) || asked != c.asked {
			t.Errorf("%s: %v, because %q; asked: %t; %v", c.name, got.Names, got.Why, asked, err)
		}
	}
	_, err := f.Hub(t.Context(), "hf:bees/tiny-GGUF", fetch.Room{Memory: gib, Need: func(fetch.Beginning, fetch.Beginning) (uint64, bool) { return 0, false }})
	wantCode(t, err, ops.CodeInvalid)
	if e := ops.AsError(err); !strings.Contains(e.Error(), "fits into the 1.0 GiB that a model can have on this machine: the smallest, Q3_K_M, takes about 3.8 GiB to run") {
		t.Errorf("what fits nowhere: %v", e)
	}
}

func TestAProjectorTakesRoomOfTheModels(t *testing.T) {
	const gib = 1 << 30
	s := hub(t, map[string]int{"tiny-Q4_K_M.gguf": 4 * gib, "tiny-Q3_K_M.gguf": 3 * gib, "mmproj-F16.gguf": gib, "far/mmproj-F16.gguf": 9 * gib})
	f := fetcherOf(t, s.URL, "")
	for _, c := range []struct {
		name   string
		memory uint64
		want   string
	}{
		{"it fits with both", 5 * gib, "tiny-Q4_K_M.gguf"},
		{"it fits alone, and not with its projector", 5*gib - 1, "tiny-Q3_K_M.gguf"},
	} {
		got, err := f.Hub(t.Context(), "hf:bees/tiny-GGUF", fetch.Room{Memory: c.memory, Need: func(model, projector fetch.Beginning) (uint64, bool) {
			if !bytes.Equal(projector.Head, content(8, 500)) || projector.Size != gib {
				t.Errorf("the projector's beginning is %d bytes of %d", len(projector.Head), projector.Size)
			}
			return uint64(model.Size + projector.Size), true //nolint:gosec // not negative
		}})
		if err != nil || got.Names[0] != c.want || got.Names[1] != "mmproj-F16.gguf" {
			t.Errorf("%s: %v, %v", c.name, got.Names, err)
		}
	}
}

func TestWhatARepositoryDoesNotGiveIsAnErrorThatHelps(t *testing.T) {
	s := hub(t, map[string]int{
		"a-Q8_0.gguf": 8 << 30, "b-Q8_0.gguf": 8 << 30, "cut-F16-00001-of-00003.gguf": 5, "cut-F16-00003-of-00003.gguf": 5,
		"cut-Q4_0-00001-of-00004.gguf": 5, "cut-Q4_0-00004-of-00004.gguf": 5, "cut/cut-F32-00002-of-00008.gguf": 5, "cut/cut-F32-00007-of-00008.gguf": 5,
	})
	f := fetcherOf(t, s.URL, "")
	for _, c := range []struct {
		ref  string
		code ops.Code
		says string
	}{
		{"hf:bees", ops.CodeInvalid, "hf:OWNER/REPOSITORY"},
		{"hf:../etc", ops.CodeInvalid, "hf:OWNER/REPOSITORY"},
		{"hf:bees/a/b", ops.CodeInvalid, "hf:OWNER/REPOSITORY"},
		{"hf:bees/gated", ops.CodeDenied, "HF_TOKEN"},
		{"hf:bees/private", ops.CodeDenied, "HF_TOKEN"},
		{"hf:bees/nothing", ops.CodeNotFound, "there is no bees/nothing on the Hub check the name at " + s.URL},
		{"hf:bees/nameless:Q8_0", ops.CodeNotFound, "bees/nameless has no Q8_0 it has x.gguf; hf:bees/nameless:x.gguf takes that file, whose name tells no quantisation"},
		{"hf:bees/empty", ops.CodeNotFound, "holds no GGUF file"},
		{"hf:bees/broken", ops.CodeUnavailable, "cannot be read"},
		{"hf:bees/void", ops.CodeUnavailable, "gives as the file list of bees/void is empty is it the Hub, or a mirror"},
		{"hf:bees/tiny-GGUF: Q8_1 ", ops.CodeNotFound, "has no Q8_1 did you mean Q8_0?"},
		{"hf:bees/other", ops.CodeUnavailable, "gives as the file list of bees/other is none is it the Hub, or a mirror"},
		{"hf:bees/page", ops.CodeUnavailable, "is a web page, not a file list something else answers there"},
		{"hf:bees/untyped", ops.CodeUnavailable, "gives as the file list of bees/untyped is none is it the Hub, or a mirror"},
		{"hf:bees/elsewhere", ops.CodeUnavailable, "which is elsewhere"},
		{"hf:bees/tiny-GGUF:Q8_1", ops.CodeNotFound, "did you mean Q8_0? It has F16, F32, Q4_0, Q8_0"},
		{"hf:bees/tiny-GGUF:fp8", ops.CodeNotFound, "has no fp8 it has F16, F32, Q4_0, Q8_0"},
		{"hf:bees/tiny-GGUF:Q8_0", ops.CodeInvalid, "name one, as in hf:bees/tiny-GGUF:a-Q8_0.gguf; there are a-Q8_0.gguf, b-Q8_0.gguf"},
		{"hf:bees/tiny-GGUF:a-Q8.gguf", ops.CodeNotFound, "did you mean a-Q8_0.gguf or b-Q8_0.gguf"},
		{"hf:bees/tiny-GGUF:story.gguf", ops.CodeNotFound, "it has a-Q8_0.gguf, b-Q8_0.gguf, cut-F16-00001-of-00003.gguf, cut-F32-00002-of-00008.gguf"},
		{"hf:bees/tiny-GGUF:F16", ops.CodeNotFound, "has cut-F16 only in part: part 2 of 3 is missing"},
		{"hf:bees/tiny-GGUF:Q4_0", ops.CodeNotFound, "has cut-Q4_0 only in part: parts 2 and 3 of 4 are missing"},
		{"hf:bees/tiny-GGUF:cut/cut-F32-00002-of-00008.gguf", ops.CodeNotFound, "has cut-F32 only in part: 6 of 8 parts, 1, 3, 4 and others, are missing"},
		{"hf:bees/cut", ops.CodeNotFound, "bees/cut has x-F16 only in part: part 2 of 3 is missing"},
		{"hf:bees/tiny-GGUF", ops.CodeInvalid, "takes about 9.3 GiB to run; a card is not used"},
	} {
		t.Run(c.ref, func(t *testing.T) {
			_, err := f.Hub(t.Context(), c.ref, fetch.Room{Memory: 4 << 30, Unused: "a card is not used"})
			wantCode(t, err, c.code)
			if e := ops.AsError(err); !strings.Contains(e.Error()+" "+e.Hint, c.says) {
				t.Errorf("%q (%q) does not say %q", e.Error(), e.Hint, c.says)
			}
		})
	}
}

func TestNamesThatLeadElsewhereOrMeanSomethingToATerminalAreLeftOut(t *testing.T) {
	var said told
	ctx := ops.WithSink(t.Context(), &said)
	odd := []string{"../../etc/x-Q4_K_M.gguf", "/etc/x-Q4_K_M.gguf", "a\x1b[31mRED-Q4_K_M.gguf", "n\x00ul-Q4_K_M.gguf", `c:\x-Q4_K_M.gguf`, "a/./b-Q4_K_M.gguf", "\u202efugg-Q4_K_M.gguf"}
	var list []map[string]any
	for _, name := range append(odd, "fine one/good-Q8_0.gguf") {
		list = append(list, map[string]any{"type": "file", "path": name, "size": 9})
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(list) }))
	t.Cleanup(s.Close)
	got, err := fetcherOf(t, s.URL, "").Hub(ctx, "hf:bees/odd", fetch.Room{})
	if err != nil || got.Source != "hf:bees/odd:fine one/good-Q8_0.gguf" {
		t.Errorf("it takes %+v, %v", got, err)
	}
	if text := said.all(); strings.ContainsAny(text, "\x1b\x00\u202e") || strings.Count(text, "leaving it out") != len(odd) {
		t.Errorf("it says %q", text)
	}
	list = list[:len(odd)]
	_, err = fetcherOf(t, s.URL, "").Hub(ctx, "hf:bees/odd", fetch.Room{})
	wantCode(t, err, ops.CodeNotFound)
}

func TestOfAFileThatTheHubListsNobodyIsAskedForItsAddress(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			_, _ = fmt.Fprint(w, `[{"type":"file","path":"x-Q8_0.gguf","size":9}]`)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, "<html>")
	}))
	t.Cleanup(s.Close)
	f := fetcherOf(t, s.URL, "")
	got, err := f.Hub(t.Context(), "hf:bees/page", fetch.Room{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Fetch(t.Context(), got.Files[0], filepath.Join(t.TempDir(), "x"), nil)
	wantCode(t, err, ops.CodeUnavailable)
	if hint := ops.AsError(err).Hint; !strings.HasPrefix(hint, strings.TrimPrefix(s.URL, "http://")+" lists the file there") {
		t.Errorf("the hint is %q", hint)
	}
	_, err = fetcherOf(t, "http://", "").Hub(t.Context(), "hf:bees/page", fetch.Room{})
	if wantCode(t, err, ops.CodeInvalid); !strings.HasSuffix(err.Error(), `got "http://"`) {
		t.Errorf("an address without a host: %v", err)
	}
}

func TestAFileListIsAskedForAgainWhereTheServerCannotAnswerNow(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprint(w, `[{"type":"file","path":"x-Q8_0.gguf","size":9}]`)
	}))
	t.Cleanup(s.Close)
	got, err := fetcherOf(t, s.URL, "").Hub(t.Context(), "hf:bees/busy", fetch.Room{})
	if err != nil || got.Name != "x-Q8_0" || asked.Load() != 2 {
		t.Errorf("after %d times it takes %+v, %v", asked.Load(), got, err)
	}
}

func TestAFileListThatNeverComesIsGivenUp(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	t.Cleanup(s.Close)
	_, err := fetcherOf(t, s.URL, "").Hub(t.Context(), "hf:bees/busy", fetch.Room{})
	wantCode(t, err, ops.CodeUnavailable)
	if hint := ops.AsError(err).Hint; !strings.Contains(hint, "try again later") {
		t.Errorf("the hint is %q", hint)
	}
}

func TestWhoHasATokenIsToldWhatItLacksAndWhoHasNoneHowToGiveOne(t *testing.T) {
	s := hub(t, nil)
	home := t.TempDir()
	file := filepath.Join(home, "token")
	if err := os.WriteFile(file, []byte("of-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env  map[string]string
		says []string
		not  string
	}{
		"none":      {map[string]string{}, []string{"the hive has no token", "ask for access at " + s.URL + "/bees/gated", "~/.cache/huggingface/token", "`rbee hive env localhost HF_TOKEN`"}, "gives no access"},
		"a setting": {map[string]string{"HF_TOKEN": "hf_secret"}, []string{"the hive's token, from HF_TOKEN, gives no access", s.URL + "/bees/gated", "/settings/tokens"}, "has no token"},
		"a file":    {map[string]string{"HF_HOME": home}, []string{"the hive's token, from " + file + ", gives no access"}, "has no token"},
	} {
		o := quick()
		o.Env = func(key string) string { return map[string]string{"HF_ENDPOINT": s.URL}[key] + c.env[key] }
		_, err := newFetcher(t, o).Hub(t.Context(), "hf:bees/gated", fetch.Room{Memory: 0})
		wantCode(t, err, ops.CodeDenied)
		hint := ops.AsError(err).Hint
		for _, says := range c.says {
			if !strings.Contains(hint, says) {
				t.Errorf("%s: %q does not say %q", name, hint, says)
			}
		}
		if strings.Contains(hint, c.not) || strings.Contains(hint, "secret") {
			t.Errorf("%s: %q", name, hint)
		}
	}
}

func TestAPrivateModelComesWithATokenThatStaysWithTheHub(t *testing.T) {
	s := hub(t, nil)
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "token"), []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := quick()
	env := map[string]string{"HF_ENDPOINT": s.URL, "HF_HOME": home}
	o.Env = func(key string) string { return env[key] }
	f := newFetcher(t, o)
	got, err := f.Hub(t.Context(), "hf:bees/private", fetch.Room{Memory: 0})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.gguf")
	r, err := f.Fetch(t.Context(), got.Files[0], path, unseen)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, r, content(7, 1000))
}
