package hive_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

func TestAHiveDownloadsWithWhatItWasGiven(t *testing.T) {
	var mu sync.Mutex
	var got []string
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		got = append(got, r.Header.Get("Authorization"))
		mu.Unlock()
		if strings.HasPrefix(r.URL.Path, "/api/") {
			_, _ = w.Write([]byte(`[{"type":"file","path":"x-Q8_0.gguf","size":` + strconv.Itoa(len(testdata.Tinybee())) + `}]`))
			return
		}
		_, _ = w.Write(testdata.Tinybee())
	}))
	t.Cleanup(hub.Close)
	t.Setenv("HF_TOKEN", "")
	t.Setenv("HF_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("HF_HOME", t.TempDir())
	h := start(t)
	give := func(set map[string]string) (all ops.Variables) {
		t.Helper()
		if err := h.Client.Post(t.Context(), ops.EnvironmentPath, ops.Environment{HiveID: "localhost", Set: set}, &all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	want := ops.Variables{HiveID: "localhost", Variables: []ops.Variable{
		{Name: "HF_TOKEN", Given: true}, {Name: "HF_ENDPOINT", Value: hub.URL, Given: true}, {Name: "HTTPS_PROXY", Value: "http://bob:xxxxx@127.0.0.1:2", Given: true},
	}}
	set := map[string]string{"HF_TOKEN": "hf_verysecret", "HF_ENDPOINT": hub.URL, "HTTPS_PROXY": "http://bob:pass@127.0.0.1:2"}
	if diff := cmp.Diff(want, give(set)); diff != "" {
		t.Error(diff)
	}
	do(t, h.Client, ops.ModelDownload{Model: "hf:bees/x"})
	mu.Lock()
	defer mu.Unlock()
	if len(got) < 2 || got[0] != "Bearer hf_verysecret" {
		t.Errorf("the Hub hears %q", got)
	}
	if info, err := os.Stat(h.home.HiveEnvironment()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its file is %v, %v", info, err)
	}
	err := filepath.WalkDir(h.home.State, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || path == h.home.HiveEnvironment() {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), "hf_verysecret") {
			t.Errorf("the token is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	want = ops.Variables{HiveID: "localhost", Variables: []ops.Variable{{Name: "HF_ENDPOINT", Value: "http://127.0.0.1:1"}}}
	if diff := cmp.Diff(want, give(map[string]string{"HF_TOKEN": "", "HF_ENDPOINT": "", "HTTPS_PROXY": ""})); diff != "" {
		t.Error(diff)
	}
	file := filepath.Join(os.Getenv("HF_HOME"), "token") // as Hugging Face's own tools keep one
	if err := os.WriteFile(file, []byte("hf_verysecret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want.Variables = append(want.Variables, ops.Variable{Name: "HF_TOKEN", File: file})
	if diff := cmp.Diff(want, give(nil)); diff != "" {
		t.Error(diff)
	}
	err = h.Client.Post(t.Context(), ops.EnvironmentPath, ops.Environment{HiveID: "localhost", Set: map[string]string{"PATH": "x"}}, nil)
	wantError(t, err, ops.CodeInvalid, `a hive has no variable "PATH"`)
	if err := os.WriteFile(h.home.HiveEnvironment(), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = h.Client.Post(t.Context(), ops.EnvironmentPath, ops.Environment{HiveID: "localhost"}, nil)
	wantError(t, err, ops.CodeInternal, "read the hive's environment")
}
