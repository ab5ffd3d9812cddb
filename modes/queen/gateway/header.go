package gateway

import (
	"net/http"
	"slices"
	"strings"
)

// hopByHop are headers of one connection (RFC 9110, 7.6.1).
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// stays reports whether a header of a client's request is not passed on to the
// worker. The name is in its canonical form.
func stays(name string) bool {
	switch name {
	case "Authorization", "X-Api-Key", "Cookie", "Origin": // for the queen and nobody else: an engine might log them
		return true
	case "Host", "Content-Length", "Expect", "Accept-Encoding": // sending decides on them
		return true
	}
	return slices.Contains(hopByHop, name)
}

// fromWorker adds the header of a worker's answer to the client's. Which pages
// may read it the queen says: some engines let all of them.
func fromWorker(client, worker http.Header) {
	for name, values := range worker {
		switch {
		case strings.HasPrefix(name, "Access-Control-"), name == "Server": // who answers is rbee
		case name == "Vary":
			client[name] = append(client[name], values...)
		default:
			client[name] = values
		}
	}
	for _, name := range hopByHop {
		delete(client, name)
	}
}
