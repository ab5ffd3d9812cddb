package fetch_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"

	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// server serves one file as good servers do, and misbehaves as it is told.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	data    []byte
	tag     string
	changed time.Time // as Last-Modified says; zero says nothing
	cut     int       // how many bytes of an answer come before it breaks off; 0 is all
	cuts    int       // how many answers break off
	noRange bool
	before  func(w http.ResponseWriter, r *http.Request) bool // answers itself where it returns true
	asked   []string                                          // the Range headers
	sent    int                                               // bytes of the file
}

func newServer(t *testing.T, size int) *server {
	t.Helper()
	s := &server{data: content(1, size), tag: `"one"`}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// content is size bytes that begin as a model does.
func content(seed uint64, size int) []byte {
	data := make([]byte, size)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	copy(data, "GGUF")
	return data
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// ServeHTTP serves the file.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Header.Get("Range"))
	data, tag, cut, before := s.data, s.tag, 0, s.before
	if s.cuts > 0 {
		s.cuts--
		cut = s.cut
	}
	s.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	out := &cutter{ResponseWriter: w, server: s, left: cut}
	if tag != "" {
		w.Header().Set("ETag", tag)
	}
	if s.noRange {
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		_, _ = out.Write(data)
		return
	}
	http.ServeContent(out, r, "", s.changed, bytes.NewReader(data))
}

// sentSince is how many bytes were sent since it was asked last.
func (s *server) sentSince() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.sent
	s.sent = 0
	return n
}

// cutter breaks an answer off after left bytes, unless that is 0.
type cutter struct {
	http.ResponseWriter
	server *server
	left   int
}

// Write writes what may still come.
func (c *cutter) Write(b []byte) (int, error) {
	last := c.left > 0 && len(b) >= c.left
	if last {
		b = b[:c.left]
	}
	n, err := c.ResponseWriter.Write(b)
	c.server.mu.Lock()
	c.server.sent += n
	c.server.mu.Unlock()
	if last {
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	if c.left > 0 {
		c.left -= n
	}
	return n, err
}

// quick are options that never wait, and to which no connection is fast.
func quick() fetch.Options {
	return fetch.Options{Tries: 4, Piece: 64 << 10, ParallelFrom: 1 << 20, Fast: math.MaxInt64, Backoff: func() backoff.BackOff { return &backoff.ZeroBackOff{} }}
}

func newFetcher(t *testing.T, o fetch.Options) *fetch.Fetcher {
	t.Helper()
	f := fetch.New(o)
	t.Cleanup(f.Close)
	return f
}

func (s *server) file() fetch.File {
	return fetch.File{URL: s.URL + "/x.gguf", Size: -1, Begins: "GGUF"}
}

func unseen(int64, int64) {}

func wantCode(t *testing.T, err error, code ops.Code) {
	t.Helper()
	if ops.CodeOf(err) != code {
		t.Fatalf("got %v (%s), want %s", err, ops.CodeOf(err), code)
	}
}
