package transport

import (
	"bytes"
	"context"
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
	// Token is the bearer token to send, or "".
	Token string
	// DialContext makes connections; nil is net.Dialer's.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Patience is how long Follow tries to get a lost stream back before it
	// gives up; 0 means 30 s.
	Patience time.Duration
	// OnLost, if set, is told when Follow loses its stream and tries again.
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
	if o.DialContext == nil {
		o.DialContext = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	pool := &http.Transport{
		DialContext: o.DialContext, Proxy: nil, // these connections never leave by a proxy
		MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second, DisableCompression: true,
	}
	return &Client{Options: o, pool: pool, http: &http.Client{Transport: pool}}
}

// Close gives idle connections up.
func (c *Client) Close() { c.pool.CloseIdleConnections() }

// Health asks whether the daemon is there and what it is.
func (c *Client) Health(ctx context.Context) (ops.Health, error) {
	var h ops.Health
	return h, c.call(ctx, http.MethodGet, "/health", nil, &h)
}

// Job tells of one job.
func (c *Client) Job(ctx context.Context, id string) (ops.Job, error) {
	var j ops.Job
	return j, c.call(ctx, http.MethodGet, "/v1/jobs/"+url.PathEscape(id), nil, &j)
}

// Jobs lists the daemon's jobs, newest first.
func (c *Client) Jobs(ctx context.Context) (ops.Jobs, error) {
	var list ops.Jobs
	return list, c.call(ctx, http.MethodGet, "/v1/jobs", nil, &list)
}

// Cancel asks a job to end; one that has ended already is left as it is.
func (c *Client) Cancel(ctx context.Context, id string) (ops.Job, error) {
	var j ops.Job
	return j, c.call(ctx, http.MethodDelete, "/v1/jobs/"+url.PathEscape(id), nil, &j)
}

// Post sends in as JSON to a route of the daemon's own and decodes the answer
// into out, unless that is nil.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode the request to %s: %w", c.Name, err)
	}
	return c.call(ctx, http.MethodPost, path, body, out)
}

// call makes one request. Its error is an *ops.Error: the daemon's own, or
// unavailable with ErrUnreachable in the chain when there was no answer.
func (c *Client) call(ctx context.Context, method, path string, body []byte, out any) error {
	r, err := http.NewRequestWithContext(ctx, method, c.BaseURL+path, bytes.NewReader(body))
	if err != nil {
		return ops.Invalid("queen", "%q is no address: %w", c.BaseURL, err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	c.authorize(r.Header.Set)
	answer, err := c.http.Do(r)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return c.failure(answer)
	}
	if out == nil {
		_, err = io.Copy(io.Discard, answer.Body)
	} else {
		err = json.NewDecoder(answer.Body).Decode(out)
	}
	if err != nil {
		return c.unreachable(ctx, fmt.Errorf("read its answer: %w", err))
	}
	return nil
}

func (c *Client) authorize(set func(key, value string)) {
	if c.Token != "" {
		set("Authorization", "Bearer "+c.Token)
	}
}

// unreachable is the error of a request without an answer. A context that has
// ended tells its own reason.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err // without the URL, which tells a person nothing
	}
	if e, ok := errors.AsType[*ops.Error](err); ok {
		return e // from the dialler, which knows better
	}
	return ops.Errorf(ops.CodeUnavailable, "%s %w", c.Name, unanswered{err})
}

// unanswered puts ErrUnreachable before the reason why.
type unanswered struct{ reason error }

// Error is both texts on one line.
func (u unanswered) Error() string { return ErrUnreachable.Error() + ": " + u.reason.Error() }

// Unwrap returns both errors.
func (u unanswered) Unwrap() []error { return []error{ErrUnreachable, u.reason} }

// failure reads the error that the daemon answered with.
func (c *Client) failure(answer *http.Response) *ops.Error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	var e ops.Error
	if err == nil && json.Unmarshal(text, &e) == nil && e.Code != "" {
		return &e
	}
	return ops.Errorf(ops.CodeInternal, "%s answered %s, which is not rbee's protocol", c.Name, answer.Status).
		WithHint("is something else listening at %s?", c.BaseURL)
}
