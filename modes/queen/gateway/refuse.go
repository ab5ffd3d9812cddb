package gateway

import (
	"net/http"
	"strings"

	"rbee.dev/rbee/ops"
)

// Refuse answers a request that was not let in, in the words of the API that it
// is for, with a status that says more than the error's code.
func Refuse(w http.ResponseWriter, r *http.Request, status int, e *ops.Error) {
	ollamas := strings.HasPrefix(r.URL.Path+"/", "/api/")
	switch {
	case ollamas && (status == http.StatusMethodNotAllowed || status == http.StatusNotFound && e.Hint == ""):
		status, e = noneOfOllama(r) // one pattern stands for all of its routes
	case status == http.StatusNotFound && e.Hint == "" && strings.HasPrefix(r.URL.Path+"/", "/v1/"):
		e = ops.Errorf(e.Code, "rbee has no %s", r.URL.Path).WithHint(routesHint)
	}
	_, f := failureOf(e)
	f.Error.status = status
	var text []byte
	switch {
	case ollamas:
		text = (&ollama{}).failure(f.Error, false)
	case strings.HasPrefix(r.URL.Path, "/v1/messages") || fromAnthropic(r):
		text = (&anthropic{}).failure(f.Error, false)
	default:
		f.Error.Type, f.Error.Code = openAIKind(status, f.Error.Code)
		text = marshal(f)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may be gone
}

// openAIKind is the type and code of OpenAI's errors of a status (its guide,
// "Error codes").
func openAIKind(status int, code string) (kind, name string) {
	switch status {
	case http.StatusUnauthorized:
		return "invalid_request_error", "invalid_api_key"
	case http.StatusTooManyRequests:
		return "requests", "rate_limit_exceeded"
	}
	if status < http.StatusInternalServerError {
		return "invalid_request_error", code
	}
	return "server_error", code
}
