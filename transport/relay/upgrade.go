package relay

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"rbee.dev/rbee/ops"
)

// The routes of workers that become connections.
const (
	// SessionPath is of a worker that has parts: a [Session].
	SessionPath = "/v1/parts"
	// PartPath is of a worker that is one: a connection with its engine.
	PartPath = "/v1/part"
)

// protocol is what a connection is upgraded to.
const protocol = "rbee-relay"

// Upgrade asks the daemon behind conn for the route at path and makes conn what
// is spoken there. The connection is closed where that fails, with the daemon's
// own error as *ops.Error where it gave one. The context bounds the asking.
func Upgrade(ctx context.Context, conn net.Conn, path string) (_ Conn, err error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		if !stop() && err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			_ = conn.Close()
		}
	}()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", protocol)
	if err := r.Write(conn); err != nil {
		return nil, fmt.Errorf("ask for %s: %w", path, err)
	}
	buffered := bufio.NewReader(conn)
	answer, err := http.ReadResponse(buffered, r)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", path, err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		defer answer.Body.Close()
		return nil, refusal(answer)
	}
	return upgraded{Conn: conn, read: buffered}, nil
}

// refusal is the error of an answer that upgrades nothing.
func refusal(answer *http.Response) error {
	var e ops.Error
	if text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10)); err == nil && json.Unmarshal(text, &e) == nil && e.Code != "" {
		return &e
	}
	return ops.Errorf(ops.CodeUnsupported, "the worker answers %s", answer.Status)
}

// Accept answers a request of [Upgrade] and takes its connection over. Its
// error was answered with.
func Accept(w http.ResponseWriter, r *http.Request) (Conn, error) {
	if r.Header.Get("Upgrade") != protocol {
		err := ops.Invalid("Upgrade", "must be %s: this route is for the queen", protocol)
		refuse(w, err)
		return nil, err
	}
	control := http.NewResponseController(w)
	conn, buffered, err := control.Hijack()
	if err != nil {
		err = fmt.Errorf("take a connection over: %w", err)
		refuse(w, err)
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol)
	if err = errors.Join(err, conn.SetDeadline(time.Time{})); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return upgraded{Conn: conn, read: buffered.Reader}, nil
}

// Refuse answers a request with an error.
func Refuse(w http.ResponseWriter, err error) { refuse(w, err) }

func refuse(w http.ResponseWriter, err error) {
	e := ops.AsError(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Code.HTTPStatus())
	_ = json.NewEncoder(w).Encode(e) // the other side may be gone
}

// Conn is a connection of which each direction can end by itself.
type Conn interface {
	net.Conn
	// CloseWrite tells the other side that nothing more comes.
	CloseWrite() error
}

// upgraded is a connection of which the beginning may have been read already.
type upgraded struct {
	net.Conn
	read *bufio.Reader
}

// Read reads what came with the upgrade first.
func (u upgraded) Read(p []byte) (int, error) { return u.read.Read(p) }

// CloseWrite ends this side's direction.
func (u upgraded) CloseWrite() error {
	if half, ok := u.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return u.Conn.Close()
}
