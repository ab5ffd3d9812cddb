package fetch_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"rbee.dev/rbee/modes/hive/disktest"
	"rbee.dev/rbee/modes/hive/fetch"
)

func TestADownloadThatFindsTheDiskFullGoesOnOnceThereIsRoom(t *testing.T) {
	for _, c := range []struct {
		name     string
		piece    int64
		parallel int64
		full     bool // and not noticed before
	}{
		{"in the middle of a piece", 32 << 20, 64 << 20, true},
		{"between pieces", 1 << 20, 64 << 20, false},
		{"over several connections", 4 << 20, 1 << 20, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, s := disktest.Small(t, "size=40m"), newServer(t, 24<<20)
			path, filler := filepath.Join(dir, "x.gguf"), filepath.Join(dir, "filler")
			o := quick()
			o.Piece, o.ParallelFrom = c.piece, c.parallel
			var once sync.Once
			_, err := newFetcher(t, o).Fetch(t.Context(), s.file(), path, func(done, _ int64) {
				if done > 18<<20 {
					once.Do(func() { _ = os.WriteFile(filler, make([]byte, 40<<20), 0o600) }) // as much as there is room for
				}
			})
			err = fetch.NoRoom(err, "it", dir)
			if c.full && !errors.Is(err, syscall.ENOSPC) || err == nil {
				t.Fatalf("it ends with %v", err)
			}
			have, all := fetch.Begun(path)
			if have < 8<<20 || all != 24<<20 {
				t.Errorf("%d of %d bytes are kept", have, all)
			}
			if err := os.WriteFile(filepath.Join(dir, "another"), make([]byte, 4<<20), 0o600); err != nil && c.full {
				t.Errorf("what is kept leaves no room for others: %v", err)
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			s.sentSince()
			got, err := newFetcher(t, o).Fetch(t.Context(), s.file(), path, unseen)
			if err != nil {
				t.Fatal(err)
			}
			wantFile(t, path, got, s.data)
			if n := s.sentSince(); int64(n) > all-have {
				t.Errorf("%d bytes come again, of which %d were there", n, have)
			}
		})
	}
}
