package hive

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"os"
	"strings"

	"rbee.dev/rbee/ops"
)

// overTCP is the hive's API for those who want TCP: the same, but nothing at all
// without the token, since whoever reaches the port is not yet somebody of the
// account. Web pages are refused; a browser has no business here.
func overTCP(token string, h http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(given))
		switch {
		case !ownName(r.Host):
			refuse(w, ops.Errorf(ops.CodeDenied, "the Host %q is not served here", r.Host).
				WithHint("use the machine's address, or the name that it calls itself"))
		case r.Header.Get("Origin") != "":
			refuse(w, ops.Errorf(ops.CodeDenied, "requests from web pages are not taken"))
		case !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1:
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"code":"denied","message":"the hive's bearer token is wanted","hint":"it is in hive.token in the hive's state folder"}`))
		default:
			r.Host = "localhost" // which is what the jobs' server knows
			h.ServeHTTP(w, r)
		}
	})
}

// ownName reports whether the Host header names this machine: by an address, which
// no web page can make a browser take for another's (DNS rebinding needs a
// name), or by its own name, on its own or as multicast DNS has it.
func ownName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" || net.ParseIP(host) != nil {
		return true
	}
	own, err := os.Hostname()
	own = strings.ToLower(own)
	return err == nil && own != "" && (host == own || host == own+".local")
}
