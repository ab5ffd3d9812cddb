package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"rbee.dev/rbee/ops"
)

// ErrUnreachable is in the chain of every error that came of no answer at all.
var ErrUnreachable = errors.New("cannot be reached")

// Options say whom a [Client] speaks to.
type Options struct {
	// Name is what errors call the other side, as "the queen".
	Name string
	// BaseURL is where it is; "" is http://localhost, for a DialContext that
	// knows the way by itself.
	BaseURL string
	// TLS says what certificates to trust where BaseURL is https; nil is those
	// that the system does.
	TLS *tls.Config
	// Token is the bearer token to send, or "".
	Token string
	// DialContext makes connections; nil is net.Dialer's.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Patience is how long to go on without an answer: of one request, of
	// Submit when it cannot tell whether the job was taken, and of Follow when
	// its stream broke. 0 means 30 s.
	Patience time.Duration
	// Silence is how long a stream may say nothing at all before it counts as
	// broken. It must be longer than the daemon's heartbeat, which is 15 s;
	// 0 means 60 s.
	Silence time.Duration
	// Answer is how long the daemon may say nothing to a request, and then nothing to
	// whether it is there (GET /health), before it counts as hung; 0 is for ever.
	Answer time.Duration
	// Reaches, if set, reports whether the way to the daemon is open: where it is not,
	// or so slow that it did not answer either, the daemon does not count as hung.
	Reaches func(ctx context.Context) bool
	// KeepIdle is how long a connection is kept that nothing needs; 0 means 90 s.
	KeepIdle time.Duration
	// Hint is what to do where it cannot be reached, HungHint where it hangs, or "".
	Hint, HungHint string
	// OnLost, if set, is told each time that Follow loses its stream and begins
	// to try again. Its context is Follow's.
	OnLost func(ctx context.Context, err error)
}

// Client speaks the job API to one daemon. It may be used by many goroutines.
type Client struct {
	Options
	http *http.Client
	pool *http.Transport
}

// New makes a client. It connects when it is first used.
func New(o Options) *Client {
	if o.Name == "" {
		o.Name = "the daemon"
	}
	if o.BaseURL == "" {
		o.BaseURL = "http://localhost"
	}
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	if o.Silence == 0 {
		o.Silence = time.Minute
	}
	if o.KeepIdle == 0 {
		o.KeepIdle = 90 * time.Second
	}
	if o.DialContext == nil {
		o.DialContext = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	pool := &http.Transport{
		DialContext: telling(o.DialContext), TLSClientConfig: o.TLS, Proxy: nil, // these connections never leave by a proxy
		MaxIdleConnsPerHost: 64, IdleConnTimeout: o.KeepIdle, DisableCompression: true,
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{Options: o, pool: pool, http: &http.Client{Transport: pool, CheckRedirect: stay}}
}

// notDialled marks the error of a request that cannot have reached anybody.
type notDialled struct{ error }

// Unwrap returns the dialler's error.
func (n notDialled) Unwrap() error { return n.error }

// telling returns dial with its errors marked.
func telling(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, notDialled{err}
		}
		return conn, nil
	}
}

// Close gives idle connections up.
func (c *Client) Close() { c.pool.CloseIdleConnections() }

// Health asks whether the daemon is there and what it is.
func (c *Client) Health(ctx context.Context) (ops.Health, error) {
	var h ops.Health
	err := c.ask(ctx, http.MethodGet, "/health", nil, &h)
	return h, err
}

// Job tells of one job.
func (c *Client) Job(ctx context.Context, id string) (ops.Job, error) {
	var j ops.Job
	err := c.call(ctx, http.MethodGet, jobPath(id), nil, &j)
	return j, err
}

// Jobs lists the daemon's jobs, newest first.
func (c *Client) Jobs(ctx context.Context) (ops.Jobs, error) {
	var list ops.Jobs
	err := c.call(ctx, http.MethodGet, "/v1/jobs", nil, &list)
	return list, err
}

// Cancel asks a job to end; one that has ended already is left as it is.
func (c *Client) Cancel(ctx context.Context, id string) (ops.Job, error) {
	var j ops.Job
	err := c.call(ctx, http.MethodDelete, jobPath(id), nil, &j)
	return j, err
}

func jobPath(id string) string { return "/v1/jobs/" + url.PathEscape(id) }

// Post sends in as JSON to a route of the daemon's own and decodes the answer
// into out, unless that is nil.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode the request to %s: %w", c.Name, err)
	}
	return c.call(ctx, http.MethodPost, path, body, out)
}

// Get decodes the answer of a route of the daemon's own into out.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.call(ctx, http.MethodGet, path, nil, out)
}

// call is ask that is given up when the daemon hangs.
func (c *Client) call(ctx context.Context, method, path string, body []byte, out any) error {
	attended, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer c.listen(attended, cancel).close()
	return c.ask(attended, method, path, body, out)
}

// ask makes one request. Its error is the daemon's own, as *ops.Error, or an
// unavailable one with ErrUnreachable in the chain when there was no answer, or
// the cause of ctx when that has ended.
func (c *Client) ask(ctx context.Context, method, path string, body []byte, out any) error {
	bounded, cancel := context.WithTimeoutCause(ctx, c.Patience, fmt.Errorf("no answer within %s", c.Patience))
	defer cancel()
	r, err := http.NewRequestWithContext(bounded, method, c.BaseURL+path, bytes.NewReader(body))
	if err != nil {
		return ops.Invalid("queen", "%q is no address: %w", c.BaseURL, err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	c.authorize(r.Header.Set)
	answer, err := c.http.Do(r)
	if err != nil {
		return c.unanswered(ctx, bounded, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return c.failure(answer)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return c.unanswered(ctx, bounded, fmt.Errorf("its answer broke off: %w", err))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return c.foreign(answer, err)
	}
	return nil
}

func (c *Client) authorize(set func(key, value string)) {
	if c.Token != "" {
		set("Authorization", "Bearer "+c.Token)
	}
}
