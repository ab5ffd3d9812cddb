package fetch_test

import (
	"net/http"
	"path/filepath"
	"testing"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

func TestTheServerThatBringsTheBeginningFirstIsTheSoonerOne(t *testing.T) {
	good, hangs, fails := newServer(t, 3<<20), newServer(t, 3<<20), newServer(t, 10)
	hangs.before = func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	}
	fails.before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusInternalServerError)
		return true
	}
	f := newFetcher(t, quick())
	for _, c := range []struct {
		name   string
		a, b   *server
		second bool
	}{
		{"the first", good, hangs, false},
		{"the second", hangs, good, true},
		{"the first fails", fails, good, true},
		{"the second fails", good, fails, false},
	} {
		if second, err := f.Sooner(t.Context(), c.a.file(), c.b.file()); err != nil || second != c.second {
			t.Errorf("%s: %t, %v", c.name, second, err)
		}
	}
	if _, err := f.Sooner(t.Context(), fails.file(), fails.file()); ops.CodeOf(err) != ops.CodeUnavailable {
		t.Errorf("neither: %v", err)
	}
	if n := good.sentSince(); n > 8<<20 {
		t.Errorf("it sent %d bytes", n)
	}
}

func TestADownloadGoesOnFromAnotherServerWhereTheSumIsKnown(t *testing.T) {
	one, two := newServer(t, 8<<20), newServer(t, 8<<20)
	two.tag = `"another"`
	path := filepath.Join(t.TempDir(), "x.gguf")
	begin(t, one, path)
	what := two.file()
	if got := fetch.Have(path, what); got != 0 {
		t.Errorf("without a sum %d bytes count", got)
	}
	begun := one.file()
	begun.SHA256 = sumOf(one.data)
	o := quick()
	o.Connections = 1
	if err := fetch.Discard(path); err != nil {
		t.Fatal(err)
	}
	beginAs(t, begun, path)
	what.SHA256, what.Size = begun.SHA256, int64(len(two.data))
	if got := fetch.Have(path, what); got < 4<<20 {
		t.Errorf("with it %d do", got)
	}
	got, err := newFetcher(t, o).Fetch(t.Context(), what, path, unseen)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, got, two.data)
	if n := two.sentSince(); n > len(two.data)*3/4 {
		t.Errorf("the second server sent %d bytes", n)
	}
}
