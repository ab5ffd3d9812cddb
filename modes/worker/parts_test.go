package worker

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/relay"
)

// divided is the parts of a worker on the hives gpu2 and gpu3, and a way for
// queens to come.
type divided struct {
	*parts
	t   *testing.T
	url string
}

func newDivided(t *testing.T) *divided {
	t.Helper()
	p, err := newParts(t.Context(), []string{"gpu2", "gpu3"}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	var handlers sync.WaitGroup
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers.Add(1)
		defer handlers.Done()
		p.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		s.Close()
		handlers.Wait()
	})
	return &divided{parts: p, t: t, url: s.Listener.Addr().String()}
}

// queen holds a session until leave is called.
func (d *divided) queen(dial func(ctx context.Context, part int) (relay.Conn, error)) (leave func()) {
	d.t.Helper()
	d.mu.Lock()
	came := d.came
	d.mu.Unlock()
	conn, err := net.Dial("tcp", d.url)
	if err != nil {
		d.t.Fatal(err)
	}
	upgraded, err := relay.Upgrade(d.t.Context(), conn, relay.SessionPath)
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(d.t.Context()))
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = relay.Serve(ctx, upgraded, dial) // its error is that of ctx
	}()
	leave = sync.OnceFunc(func() {
		cancel()
		<-served
	})
	d.t.Cleanup(leave)
	<-came // the other side has taken it up
	return leave
}

// server is a part that greets with its name, and stays until the other side
// hangs up or it is told to break.
func server(t *testing.T, name string, breaks <-chan struct{}) func(context.Context, int) (relay.Conn, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				_, _ = io.WriteString(c, name)
				gone := make(chan struct{})
				go func() {
					defer close(gone)
					_, _ = io.Copy(io.Discard, c)
				}()
				select {
				case <-gone:
				case <-breaks:
					_ = c.Close()
					<-gone
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return func(context.Context, int) (relay.Conn, error) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		return c.(*net.TCPConn), nil
	}
}

func TestPartsAreReachedThroughTheQueenThatCameLast(t *testing.T) {
	d := newDivided(t)
	d.queen(server(t, "old", nil))
	d.queen(server(t, "new", nil))
	addresses, err := d.Reach(t.Context())
	if err != nil || len(addresses) != 2 || addresses[0] == addresses[1] {
		t.Fatalf("reached at %q, %v", addresses, err)
	}
	for _, a := range addresses {
		if !strings.HasPrefix(a, "127.0.0.1:") {
			t.Errorf("a port on %s", a)
		}
		c, err := net.Dial("tcp", a)
		if err != nil {
			t.Fatal(err)
		}
		word := make([]byte, 3)
		if _, err := io.ReadFull(c, word); err != nil || string(word) != "new" {
			t.Errorf("%s leads to %q, %v", a, word, err)
		}
		_ = c.Close()
	}
	why := errors.New("it ended")
	if got := d.Explain(why); !errors.Is(got, why) || got.Error() != "it ended" {
		t.Errorf("nothing was lost, and it says %v", got)
	}
}

func TestAPartThatBreaksOffIsNamed(t *testing.T) {
	d := newDivided(t)
	breaks := make(chan struct{})
	d.queen(server(t, "x", breaks))
	addresses, err := d.Reach(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", addresses[1])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	close(breaks)
	_, _ = io.ReadAll(c) // until the end of the connection
	why := d.Explain(ops.Errorf(ops.CodeUnavailable, "llama-server ended"))
	if ops.CodeOf(why) != ops.CodeUnavailable || why.Error() != "the part of the model on hive gpu3 was lost: llama-server ended" {
		t.Errorf("it says %v", why)
	}
}

func TestAPartThatBreaksOffIsTold(t *testing.T) {
	d := newDivided(t)
	leave := d.queen(server(t, "x", nil))
	connect := func(address string) net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	addresses, err := d.Reach(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = connect(addresses[0]).Close() // the engine itself hangs up
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	if d.Lost(ctx) {
		t.Error("the engine hung up, and a part counts as lost")
	}
	cancel()
	c := connect(addresses[0])
	defer c.Close()
	leave() // as a queen does who is started again
	if !d.Lost(t.Context()) {
		t.Error("no part is lost")
	}
	d.queen(server(t, "x", nil))
	if _, err := d.Reach(t.Context()); err != nil {
		t.Fatal(err)
	}
	if why := d.Explain(io.EOF); !errors.Is(why, io.EOF) || why.Error() != io.EOF.Error() {
		t.Errorf("reached again, and it says %v", why)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if d.Lost(ctx) {
		t.Error("reached again, and a part counts as lost")
	}
}

func TestPartsThatCannotBeReachedSayWhichAndWhy(t *testing.T) {
	reach := func(d *divided) error {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		d.patience = 100 * time.Millisecond
		_, err := d.Reach(ctx)
		return err
	}
	t.Run("no queen has come", func(t *testing.T) {
		if err := reach(newDivided(t)); err == nil || !strings.Contains(err.Error(), "the part on hive gpu2 cannot be reached: no queen has come") {
			t.Errorf("it says %v", err)
		}
	})
	t.Run("the queen has left", func(t *testing.T) {
		d := newDivided(t)
		d.queen(server(t, "x", nil))()
		if err := reach(d); err == nil || !strings.Contains(err.Error(), "the part on hive gpu2 cannot be reached") {
			t.Errorf("it says %v", err)
		}
	})
	t.Run("a hive is down", func(t *testing.T) {
		d := newDivided(t)
		up := server(t, "x", nil)
		d.queen(func(ctx context.Context, part int) (relay.Conn, error) {
			if part == 0 {
				return up(ctx, part)
			}
			return nil, ops.Errorf(ops.CodeUnavailable, "the hive gpu3 is down: no route to host")
		})
		if err := reach(d); err == nil || err.Error() != "the part on hive gpu3 cannot be reached: the hive gpu3 is down: no route to host" {
			t.Errorf("it says %v", err)
		}
	})
}
