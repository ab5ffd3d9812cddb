package fetch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"rbee.dev/rbee/ops"
)

// fileOf is a file that holds data.
func fileOf(t *testing.T, data []byte) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTheSumIsThatOfTheFileInWhateverOrderItComes(t *testing.T) {
	data := append([]byte("GGUF"), bytes.Repeat([]byte("0123456789"), 200)...)
	whole := int64(len(data))
	for name, parts := range map[string][]span{
		"in order":                     {{0, 1}, {1, 100}, {100, 1000}, {1000, whole}},
		"ahead of the front":           {{500, 1000}, {0, 500}, {1000, whole}},
		"the end first":                {{1000, whole}, {0, 1000}},
		"more than waits for its turn": {{0, 10}, {10, 20}, {20, 30}, {30, 40}, {40, 50}, {50, 60}, {60, 70}, {70, whole}},
	} {
		d := newDigest(fileOf(t, data), File{Begins: "GGUF"}, newSpans(nil))
		for _, s := range parts {
			b := d.block()
			n := copy(b[:], data[s.From:s.To])
			d.have.add(s.From, s.To)
			d.offer(chunk{b, s.From, n})
		}
		done := make(chan struct{})
		close(done)
		if err := d.follow(t.Context(), done); err != nil {
			t.Fatal(err)
		}
		if want := sha256.Sum256(data); d.sum() != hex.EncodeToString(want[:]) || d.at != whole {
			t.Errorf("%s: %s of %d bytes", name, d.sum(), d.at)
		}
	}
}

func TestAChunkIsSummedOnceAndWithoutTheFileWhereItIsNext(t *testing.T) {
	data := []byte("GGUF and more")
	d := newDigest(fileOf(t, nil), File{Begins: "GGUF"}, newSpans(nil)) // nothing could be read from it
	for range 2 {
		b := d.block()
		if err := d.take(t.Context(), chunk{b, 0, copy(b[:], data)}); err != nil {
			t.Fatal(err)
		}
	}
	if want := sha256.Sum256(data); d.sum() != hex.EncodeToString(want[:]) {
		t.Error("another sum")
	}
}

func TestAWrongBeginningIsTold(t *testing.T) {
	d := newDigest(fileOf(t, nil), File{Begins: "GGUF"}, newSpans(nil))
	for i, part := range []string{"GG", "U", "f"} {
		if err := d.add([]byte(part)); (i == 2) != (ops.CodeOf(err) == ops.CodeUnavailable) {
			t.Errorf("%q: %v", part, err)
		}
	}
}
