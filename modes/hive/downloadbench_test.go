package hive

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"rbee.dev/rbee/testdata"
)

// BenchmarkDownload downloads half a gigabyte from a server on this machine, turn
// and turn about with curl. Its sum is computed and it is synced to the disk; in
// memory, where a sync costs nothing, the difference is ours alone, and on the disk
// curl's file is synced too.
func BenchmarkDownload(b *testing.B) {
	const size = 512 << 20
	served := b.TempDir()
	data := bytes.Repeat(testdata.Tinybee(), size/len(testdata.Tinybee()))
	if err := os.WriteFile(filepath.Join(served, "big.gguf"), data, 0o600); err != nil {
		b.Fatal(err)
	}
	s := httptest.NewServer(http.FileServer(http.Dir(served)))
	b.Cleanup(s.Close)
	b.Run("memory", func(b *testing.B) {
		dir, err := os.MkdirTemp("/dev/shm", "rbee") //nolint:usetesting // in memory
		if err != nil {
			b.Skip("there is no file system in memory")
		}
		b.Cleanup(func() { _ = os.RemoveAll(dir) })
		besideCurl(b, s.URL, dir, "curl -sS -o $0 $1")
	})
	b.Run("disk", func(b *testing.B) { besideCurl(b, s.URL, b.TempDir(), "curl -sS -o $0 $1 && sync $0") })
}

// besideCurl downloads into dir by the command and by ourselves.
func besideCurl(b *testing.B, url, dir, command string) {
	b.Helper()
	m, err := openModels(dir, "localhost")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := m.Close(); err != nil {
			b.Error(err)
		}
	})
	m.askWithin = time.Millisecond
	var ours, curls, shares []float64
	for b.Loop() {
		curled := filepath.Join(dir, "curled")
		began := time.Now()
		if out, err := exec.Command("sh", "-c", command, curled, url+"/big.gguf").CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		curl := time.Since(began).Seconds()
		if err := os.Remove(curled); err != nil {
			b.Fatal(err)
		}
		began = time.Now()
		if _, err := m.download(context.WithoutCancel(b.Context()), url+"/big.gguf", "big"); err != nil {
			b.Fatal(err)
		}
		our := time.Since(began).Seconds()
		ours, curls, shares = append(ours, our), append(curls, curl), append(shares, curl/our)
		if err := m.remove("big"); err != nil {
			b.Fatal(err)
		}
	}
	for name, values := range map[string][]float64{"download-s": ours, "curl-s": curls, "share-of-curl": shares} {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], name)
	}
	b.ReportMetric(0, "ns/op")
}
