package job

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"rbee.dev/rbee/ops"
)

// refusal is an error with a status that its code alone does not give.
type refusal struct {
	status  int
	failure *ops.Error
}

// Error is the failure's text.
func (r refusal) Error() string { return r.failure.Error() }

// checks refuses what must not reach a handler: requests that a web page could
// have made a browser send, and those without the token.
func (s *Server[O]) checks(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if err := s.checkOrigin(r); err != nil {
			return err
		}
		if !s.tokenless[r.Method+" "+c.Path()] {
			if err := s.checkToken(r); err != nil {
				return err
			}
		}
		if err := checkContentType(r); err != nil {
			return err
		}
		return next(c)
	}
}

// checkOrigin wants a Host that is ours and, where a browser tells the Origin,
// the same one: loopback alone does not keep a web page out (DNS rebinding).
func (s *Server[O]) checkOrigin(r *http.Request) error {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, host) && !slices.Contains(s.Hosts, host) {
		return ops.Errorf(ops.CodeDenied, "the Host %q is not served here", r.Host).
			WithHint("use the address that `rbee queen status` names")
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
		return ops.Errorf(ops.CodeDenied, "requests from web pages of %q are not taken", origin)
	}
	return nil
}

func (s *Server[O]) checkToken(r *http.Request) error {
	if s.Token == "" {
		return nil
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		given = ""
	}
	// Digests, so that the time taken tells not even the length.
	got, want := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(s.Token))
	if subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
		return nil
	}
	message := "the bearer token is wrong"
	if given == "" {
		message = "a bearer token is wanted"
	}
	return refusal{http.StatusUnauthorized, ops.Errorf(ops.CodeDenied, "%s", message).
		WithHint("send \"Authorization: Bearer TOKEN\"; `rbee queen token` prints it on the queen's machine")}
}

// checkContentType takes bodies as JSON only: a browser sends that nowhere
// without asking first.
func checkContentType(r *http.Request) error {
	if r.Method != http.MethodPost {
		return nil
	}
	given := r.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(given); err == nil && kind == "application/json" {
		return nil
	}
	return refusal{http.StatusUnsupportedMediaType, ops.Invalid("Content-Type", "must be application/json, got %q", given)}
}

// fail answers with err as JSON, in the status of its code.
func (s *Server[O]) fail(w *echo.Response, err error) {
	if w.Committed {
		return // a stream: it ends
	}
	status, failure := classify(err)
	if failure.Code == ops.CodeInternal {
		s.Log.Error().Err(err).Msg("a request failed")
	}
	w.Header().Set("Content-Type", "application/json")
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(failure); err != nil {
		s.Log.Debug().Err(err).Msg("an answer did not arrive")
	}
}

func classify(err error) (int, *ops.Error) {
	if r, ok := errors.AsType[refusal](err); ok {
		return r.status, r.failure
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge, ops.Invalid("", "the body is larger than %d bytes", maxBody)
	}
	if e, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch e.Code {
		case http.StatusNotFound:
			return e.Code, ops.Errorf(ops.CodeNotFound, "there is no such route")
		case http.StatusMethodNotAllowed:
			return e.Code, ops.Errorf(ops.CodeInvalid, "the route does not take this method")
		}
		return e.Code, ops.Errorf(ops.CodeInvalid, "%v", e.Message)
	}
	failure := ops.AsError(err)
	return failure.Code.HTTPStatus(), failure
}
