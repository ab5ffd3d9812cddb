package job

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"rbee.dev/rbee/ops"
)

// preflightKept is how long a browser may go by the answer to a preflight.
const preflightKept = 10 * time.Minute

func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// checkOrigin refuses requests that a web page has made a browser send, unless
// the page is one of ours or its origin was opened. What an opened page needs to
// be let read the answer is put into header (Fetch Standard, 3.3).
func (s *Server[O]) checkOrigin(r *http.Request, header http.Header) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	if len(s.Origins) > 0 {
		header.Add("Vary", "Origin") // the answer to one page is not for another
	}
	if slices.Contains(s.Origins, origin) {
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Expose-Headers", "Retry-After, X-Rbee-Hive, X-Rbee-Worker, X-Rbee-Model, X-Rbee-Job")
		return nil
	}
	if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
		return ops.Errorf(ops.CodeDenied, "requests from web pages of %q are not taken", origin).
			WithHint("%s", s.OriginHint)
	}
	return nil
}

// isPreflight reports whether a browser asks what a page may send.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// preflight tells a browser what the pages of an opened origin may send. Keys
// travel in a header that the page itself sets, never in a cookie, so that no
// page uses what another one was given.
func preflight(r *http.Request, header http.Header) {
	header.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	header.Add("Vary", "Access-Control-Request-Headers")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		header.Set("Access-Control-Allow-Headers", asked) // clients of OpenAI's bring a dozen of their own
	}
	header.Set("Access-Control-Max-Age", seconds(preflightKept))
}
