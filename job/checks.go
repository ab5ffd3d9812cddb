package job

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"rbee.dev/rbee/ops"
)

// checks refuses what must not reach a handler: requests that a web page could
// have made a browser send, and those of who may not use the route.
func (s *Server[O]) checks(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if err := s.checkHost(r); err != nil {
			return err
		}
		if err := s.checkOrigin(r, c.Response().Header()); err != nil {
			return err
		}
		if isPreflight(r) {
			preflight(r, c.Response().Header())
			return c.NoContent(http.StatusNoContent)
		}
		route := r.Method + " " + c.Path()
		if !s.known[route] && r.Method != http.MethodOptions { // a route of any method may answer that
			return next(c) // which says that there is no such route, or that it takes other methods
		}
		admitted, err := s.admit(r, route)
		if err != nil {
			return err
		}
		if err := checkContentType(r); err != nil {
			return err
		}
		c.SetRequest(admitted)
		return next(c)
	}
}

// admit asks who may use the route.
func (s *Server[O]) admit(r *http.Request, route string) (*http.Request, error) {
	switch {
	case s.Admit != nil:
		return s.Admit(r, route)
	case route == http.MethodGet+" /health", route == http.MethodHead+" /health":
		return r, nil
	}
	return r, s.checkToken(r)
}

// checkHost wants a Host that is ours: loopback alone does not keep a web page
// out (DNS rebinding). An address that the request has really come to is ours
// too, since no name was looked up for it.
func (s *Server[O]) checkHost(r *http.Request) error {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, host) || slices.Contains(s.Hosts, host) || host == localIP(r) {
		return nil
	}
	return ops.Errorf(ops.CodeDenied, "the Host %q is not served here", r.Host).
		WithHint("%s", s.HostHint)
}

// localIP is the address that the request's connection has on this side, or "".
func localIP(r *http.Request) string {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return ""
	}
	return addr.IP.String()
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
	return Refusal{Status: http.StatusUnauthorized, Failure: ops.Errorf(ops.CodeDenied, "%s", message).
		WithHint("send \"Authorization: Bearer TOKEN\" (rbee: --token or RBEE_TOKEN); `rbee queen token` prints it on the queen's machine")}
}

// checkContentType takes bodies as JSON only, which a browser sends nowhere without
// asking first, and as they are.
func checkContentType(r *http.Request) error {
	if r.Method != http.MethodPost {
		return nil
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return Refusal{Status: http.StatusUnsupportedMediaType, Failure: ops.Invalid("Content-Encoding", "must not be there, got %q", coding).
			WithHint("send the body as it is, not compressed")}
	}
	given := r.Header.Get("Content-Type")
	kind, with, _ := strings.Cut(given, ";")
	if strings.EqualFold(strings.TrimSpace(kind), "application/json") {
		return checkCharset(with)
	}
	return Refusal{Status: http.StatusUnsupportedMediaType, Failure: ops.Invalid("Content-Type", "must be application/json, got %q", given).
		WithHint("send \"Content-Type: application/json\": it keeps web pages from asking")}
}

// checkCharset wants JSON to be UTF-8, where the parameters of its type say what it is;
// any others do not matter.
func checkCharset(parameters string) error {
	_, named, err := mime.ParseMediaType("application/json;" + parameters)
	charset, is := named["charset"]
	if err != nil || !is || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "us-ascii") {
		return nil
	}
	return Refusal{Status: http.StatusUnsupportedMediaType, Failure: ops.Invalid("Content-Type", "must be JSON as UTF-8, got the charset %q", charset).
		WithHint("send \"Content-Type: application/json\" and the body as UTF-8")}
}

// fail answers with err as JSON, in the status of its code, or in the words that
// Tell has for the route.
func (s *Server[O]) fail(w *echo.Response, r *http.Request, err error) {
	if w.Committed {
		return // a stream: it ends
	}
	refusal := classify(err, w.Header())
	if refusal.Failure.Code == ops.CodeInternal {
		s.Log.Error().Err(err).Msg("a request failed")
	}
	refusal.announce(w.Header())
	if s.Tell != nil && s.Tell(w, r, refusal) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(refusal.Status)
	if err := json.NewEncoder(w).Encode(refusal.Failure); err != nil {
		s.Log.Debug().Err(err).Msg("an answer did not arrive")
	}
}

// classify is err as it is told; of a route that was found, header says what it takes.
func classify(err error, header http.Header) Refusal {
	if r, ok := errors.AsType[Refusal](err); ok {
		return r
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		err = ops.Invalid("body", "is larger than %d MiB, which is the most", maxBody>>20)
	}
	if e, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch e.Code {
		case http.StatusNotFound:
			return Refusal{Status: e.Code, Failure: ops.Errorf(ops.CodeNotFound, "there is no such route")}
		case http.StatusMethodNotAllowed:
			e := ops.Errorf(ops.CodeInvalid, "the route does not take this method")
			if taken := strings.TrimPrefix(header.Get(echo.HeaderAllow), "OPTIONS, "); taken != "" {
				e = e.WithHint("ask by %s", strings.ReplaceAll(taken, ", ", " or "))
			}
			return Refusal{Status: http.StatusMethodNotAllowed, Failure: e}
		}
		return Refusal{Status: e.Code, Failure: ops.Errorf(ops.CodeInvalid, "%v", e.Message)}
	}
	failure := ops.AsError(err)
	return Refusal{Status: failure.Code.HTTPStatus(), Failure: failure}
}
