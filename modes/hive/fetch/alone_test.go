package fetch_test

import (
	"math"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func TestFurtherConnectionsAreMadeOnlyWhereOneIsSlow(t *testing.T) {
	for name, fast := range map[string]int64{"fast": 1, "slow": math.MaxInt64} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, 3<<20)
			var clients sync.Map
			var asked, several atomic.Int32
			second := make(chan struct{})
			s.before = func(_ http.ResponseWriter, r *http.Request) bool {
				if _, known := clients.LoadOrStore(r.RemoteAddr, true); !known && several.Add(1) == 2 {
					close(second)
				}
				if asked.Add(1) > 3 && fast > 1 { // waits for company
					select {
					case <-second:
					case <-r.Context().Done():
					}
				}
				return false
			}
			o := quick()
			o.Fast = fast
			path := filepath.Join(t.TempDir(), "x.gguf")
			got, err := newFetcher(t, o).Fetch(t.Context(), s.file(), path, unseen)
			if err != nil {
				t.Fatal(err)
			}
			wantFile(t, path, got, s.data)
			if n := several.Load(); (n > 1) != (fast > 1) {
				t.Errorf("it came over %d connections", n)
			}
		})
	}
}
