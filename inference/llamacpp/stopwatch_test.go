package llamacpp

import (
	"bytes"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// side is a way to a llama-server, and the watch at its end.
type side struct {
	client *http.Client
	server *stopwatch
}

// stopwatch takes the time that a server itself needs for the first token of each
// stream, which a header names.
type stopwatch struct {
	asked sync.Map // by name, when the last byte of the request was written
	spoke sync.Map // when the first token came, where that is before the client has it
}

// streamName is that header.
const streamName = "X-Stream"

// of is what the server took for the stream, whose first token the client had then.
func (s *stopwatch) of(name string, then time.Time) time.Duration {
	asked, _ := s.asked.Load(name)
	if spoke, ok := s.spoke.LoadAndDelete(name); ok {
		then, _ = spoke.(time.Time)
	}
	at, _ := asked.(time.Time)
	return then.Sub(at)
}

// watched is the request with the watch at it, to be sent on.
func (s *stopwatch) watched(r *http.Request) *http.Request {
	return r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { s.asked.Store(r.Header.Get(streamName), time.Now()) },
	}))
}

// before is a handler with the watch between it and its server.
func (s *stopwatch) before(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&listening{ResponseWriter: w, watch: s, name: r.Header.Get(streamName)}, s.watched(r))
	})
}

// listening notes when the first token is passed on.
type listening struct {
	http.ResponseWriter
	watch *stopwatch
	name  string
	heard bool
}

// Unwrap lets the answer be flushed.
func (l *listening) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// Write passes it on.
func (l *listening) Write(b []byte) (int, error) {
	if !l.heard && bytes.Contains(b, []byte("data:")) {
		l.heard = true
		l.watch.spoke.Store(l.name, time.Now())
	}
	return l.ResponseWriter.Write(b)
}

// watching sends requests with the watch at them.
type watching struct {
	http.RoundTripper
	watch *stopwatch
}

// RoundTrip sends one.
func (w watching) RoundTrip(r *http.Request) (*http.Response, error) {
	return w.RoundTripper.RoundTrip(w.watch.watched(r))
}
