package gateway

import (
	"context"
	"net"
	"net/http"
)

type clientKey struct{}

// WithClient returns a context in which the request is client's: the id of the
// API key that it came with. Clients get their turns by it.
func WithClient(ctx context.Context, client string) context.Context {
	return context.WithValue(ctx, clientKey{}, client)
}

// ClientOf is whose request the context is of, or "" where nobody has said.
func ClientOf(ctx context.Context) string {
	client, _ := ctx.Value(clientKey{}).(string)
	return client
}

// clientOf is whose request r is: who the context names, else the machine that
// it comes from.
func clientOf(r *http.Request) string {
	if client := ClientOf(r.Context()); client != "" {
		return client
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
