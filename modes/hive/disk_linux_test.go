package hive

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"

	"rbee.dev/rbee/modes/hive/disktest"
	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// onSmallDisk is an empty models' folder on a disk of its own.
func onSmallDisk(t *testing.T, options string) *models {
	t.Helper()
	m, err := openModels(disktest.Small(t, options), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	m.askWithin = time.Millisecond // there is no queen
	m.fetch = fetch.Options{Tries: 2, Backoff: func() backoff.BackOff { return &backoff.ZeroBackOff{} }}
	return m
}

func TestADiskThatFillsUpLeavesNoHalfModel(t *testing.T) {
	m, s := onSmallDisk(t, "size=512k"), server(t)
	// Of this one nobody knows the size before.
	_, err := m.download(t.Context(), s.URL+"/chunked.gguf", "bee")
	e, ok := errors.AsType[*ops.Error](err)
	if !ok || e.Code != ops.CodeUnavailable || !errors.Is(err, syscall.ENOSPC) || e.Message != "there is no room for the model bee on the disk of "+m.dir+": no space left on device" {
		t.Errorf("download() = %v", err)
	}
	_, known := m.download(t.Context(), s.URL+"/tiny.gguf", "bee")
	if ops.CodeOf(known) != ops.CodeConflict || !strings.HasPrefix(known.Error(), "there is no room for the model bee on the disk of "+m.dir+": it takes 1.7 MiB") ||
		ops.AsError(known).Hint != e.Hint || !strings.Contains(e.Hint, m.dir) {
		t.Errorf("one whose size is known: %v", known)
	}
	if left, err := os.ReadDir(m.dir); err != nil || len(left) > 0 {
		t.Errorf("left on the disk: %v, %v", left, err)
	}
}

func TestADiskThatSomebodyElseFillsAtNinetyNinePercentLeavesNoHalfModel(t *testing.T) {
	m := onSmallDisk(t, "size=4m")
	filler := filepath.Join(m.dir, ".filler")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		most := len(testdata.Tinybee()) * 99 / 100
		w.Header().Set("Content-Length", strconv.Itoa(len(testdata.Tinybee())))
		_, _ = w.Write(testdata.Tinybee()[:most])
		_ = http.NewResponseController(w).Flush()
		_ = os.WriteFile(filler, make([]byte, 4<<20), 0o600) // as much as there is room for
		_, _ = w.Write(testdata.Tinybee()[most:])
	}))
	t.Cleanup(s.Close)
	_, err := m.download(t.Context(), s.URL+"/bee.gguf", "")
	if e := ops.AsError(err); e == nil || !strings.Contains(e.Hint, "make room") { // noticed before the first byte, or when it is full
		t.Errorf("download() = %v", err)
	}
	if list, left := m.list(), m.unfinished(t); len(list) > 0 || len(left) > 0 {
		t.Errorf("it leaves %v and %v", list, left)
	}
}

func TestADiskThatIsFullKeepsWhatCameOfALargeModel(t *testing.T) {
	m := onSmallDisk(t, "size=32m")
	m.fetch.Piece = 16 << 20
	filler, content := filepath.Join(m.dir, ".filler"), make([]byte, 24<<20)
	copy(content, "GGUF")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"one"`)
		if r.Header.Get("Range") == "bytes=16777216-25165823" { // the second part
			_ = os.WriteFile(filler, make([]byte, 32<<20), 0o600) // as much as there is room for
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	t.Cleanup(s.Close)
	_, err := m.download(t.Context(), s.URL+"/big.gguf", "")
	if e := ops.AsError(err); e == nil || !strings.HasPrefix(e.Message, "there is no room for the model big") || !strings.Contains(e.Hint, "make room") {
		t.Fatalf("download() = %v", err)
	}
	part, ok := m.partialModel("big")
	if !ok || part.Size < 8<<20 || !strings.HasPrefix(part.Error, "it has come in part only") {
		t.Errorf("left of it is %+v", part)
	}
	if freed, ok, err := m.removePartial("big"); freed != part.Size || !ok || err != nil {
		t.Errorf("removing that frees %d bytes of %d, %v", freed, part.Size, err)
	}
}
