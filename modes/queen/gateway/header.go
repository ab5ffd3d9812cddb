package gateway

import (
	"net/http"
	"strings"
)

// hopByHop are headers of one connection (RFC 9110, 7.6.1).
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// forQueen are headers of a request that are for the queen and nobody else: who
// asks, and which page. An engine might log them.
var forQueen = []string{"Authorization", "X-Api-Key", "Cookie", "Origin"}

// toWorker is the header of a client's request as a worker gets it.
func toWorker(client http.Header) http.Header {
	header := client.Clone()
	for _, name := range hopByHop {
		header.Del(name)
	}
	for _, name := range forQueen {
		header.Del(name)
	}
	return header
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
		client.Del(name)
	}
}
