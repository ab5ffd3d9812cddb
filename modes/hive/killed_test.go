package hive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
	"rbee.dev/rbee/transport"
)

// counted counts what is written of answers.
type counted struct {
	http.ResponseWriter
	sent *atomic.Int64
	half func() // is called when half of the file was sent, and again after each piece
}

// Write counts.
func (c counted) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	if c.sent.Add(int64(n)) > bees/2 {
		c.half()
	}
	return n, err
}

// bees is how large the file is, in bytes, about.
const bees = 96 << 20

func TestADownloadOfAHiveThatIsKilledCostsLittleAgain(t *testing.T) {
	data := bytes.Repeat(testdata.Tinybee(), bees/len(testdata.Tinybee()))
	var sent atomic.Int64
	var kill func()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"one"`)
		http.ServeContent(counted{w, &sent, kill}, r, "", time.Time{}, bytes.NewReader(data))
	}))
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetWriteBuffer(32 << 10) // what lies here when the hive dies was not downloaded
		return ctx
	}
	h := newHome(t)
	c := client(t, h)
	first := process(t, h)
	restarted := make(chan struct{})
	kill = sync.OnceFunc(func() { // who sends waits for its end
		time.Sleep(500 * time.Millisecond) // so that a hive that has no processor takes what came
		_ = first.Process.Kill()
		_ = first.Wait()
		go func() { // received below
			defer close(restarted)
			process(t, h)
		}()
	})
	s.Start()
	t.Cleanup(s.Close)
	if _, err := c.Do(t.Context(), ops.ModelDownload{Model: s.URL + "/bee.gguf"}, "", func(transport.Received) error { return nil }); err != nil {
		t.Fatal(err)
	}
	<-restarted
	again := sent.Load() - int64(len(data))
	t.Logf("%d bytes came again", again)
	if again > 8<<20 {
		t.Errorf("%d bytes came again", again)
	}
	m := do(t, c, ops.ModelGet{ID: "bee"})
	if want := fmt.Sprintf("%x", sha256.Sum256(data)); m.SHA256 != want || m.Size != int64(len(data)) {
		t.Errorf("it is %+v, want %s", m, want)
	}
}
