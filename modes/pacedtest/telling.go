package pacedtest

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"rbee.dev/rbee/inference"
	"rbee.dev/rbee/inference/enginetest"
)

// Ended is how an engine's request ended.
type Ended struct {
	Pieces    int // of text that were made
	Cancelled bool
}

// telling is an engine that tells.
type telling struct {
	inference.Engine
	socket string
}

// openTelling opens one whose answers have no end of their own.
func openTelling(ctx context.Context, s inference.Spec, pace time.Duration, socket string) (inference.Engine, error) {
	e, err := enginetest.Open(ctx, s, enginetest.Options{Pace: pace, Pieces: 1_000_000})
	return telling{e, socket}, err
}

// counted counts what is written through it.
type counted struct {
	http.ResponseWriter
	writes atomic.Int64
}

func (c *counted) Write(b []byte) (int, error) {
	c.writes.Add(int64(strings.Count(string(b), "data: ")))
	return c.ResponseWriter.Write(b)
}

// Unwrap is for what flushes it.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// ServeHTTP tells at the request's end.
func (e telling) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &counted{ResponseWriter: w}
	e.Engine.ServeHTTP(c, r)
	to, err := net.Dial("unix", e.socket) //nolint:noctx // the test listens
	if err != nil {
		return // it does not any more
	}
	defer to.Close()
	_ = json.NewEncoder(to).Encode(Ended{Pieces: int(c.writes.Load()), Cancelled: r.Context().Err() != nil})
}
