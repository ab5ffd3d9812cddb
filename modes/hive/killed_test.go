package hive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
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
}

// Write counts.
func (c counted) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

func TestADownloadOfAHiveThatIsKilledCostsLittleAgain(t *testing.T) {
	data := bytes.Repeat(testdata.Tinybee(), 96<<20/len(testdata.Tinybee()))
	var sent atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"one"`)
		http.ServeContent(counted{w, &sent}, r, "", time.Time{}, bytes.NewReader(data))
	}))
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetWriteBuffer(32 << 10) // what lies here when the hive dies was not downloaded
		return ctx
	}
	s.Start()
	t.Cleanup(s.Close)
	h := newHome(t)
	c := client(t, h)
	first := process(t, h)
	restarted := make(chan struct{})
	killed := false
	_, err := c.Do(t.Context(), ops.ModelDownload{Model: s.URL + "/bee.gguf"}, "", func(r transport.Received) error {
		if p, ok := r.Event.(ops.ProgressEvent); ok && p.Done > int64(len(data)/2) && p.Done < int64(len(data)) && !killed {
			killed = true
			_ = first.Process.Kill()
			_ = first.Wait()
			go func() { // received below
				defer close(restarted)
				process(t, h)
			}()
		}
		return nil
	})
	if err != nil || !killed {
		t.Fatalf("killed: %t, %v", killed, err)
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
