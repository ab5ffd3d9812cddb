package gateway

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"rbee.dev/rbee/ops"
)

const (
	headMetered = 512  // of an answer's beginning: llama.cpp counts embeddings there
	tailMetered = 1024 // of its end, where the rest is counted
	tokenBytes  = 4    // of English text, about
	mostTokens  = 1e9  // what counts more is no count
)

// meter is the writer of an answer in OpenAI's words. It sees how the answer ends
// and what the engine counted, and decodes nothing of it: counts are looked for
// by their names in the answer's beginning and end, which no text can hold,
// since a text's quotes are escaped.
type meter struct {
	http.ResponseWriter
	guest  Guest
	began  time.Time
	model  string
	given  bool      // a worker was given the request
	ended  ops.Ended // how the answer did, once that is known
	prompt int       // bytes of the request
	text   bool      // the answer is one

	status int
	events int   // parts of a stream
	bytes  int64 // of the answer
	head   []byte
	tail   []byte
}

// metered begins to watch an answer. The function it returns says that the
// answer was given, and must run however it ended.
func metered(w http.ResponseWriter, r *http.Request, a asked, size int) (http.ResponseWriter, func(broken bool)) {
	g := guestOf(r.Context())
	if g == nil {
		return w, func(bool) {}
	}
	m := &meter{ResponseWriter: w, guest: g, began: time.Now(), model: a.model, prompt: size, text: makesText(r.URL.Path)}
	return m, func(broken bool) {
		g.Used(m.use(broken))
	}
}

// means notes the own name of the model that the request of an answer means, and
// whether a worker of it was given the request.
func means(w http.ResponseWriter, model string, given bool) {
	if m, ok := w.(*meter); ok {
		m.model, m.given = model, m.given || given
	}
}

// over notes how an answer has ended.
func over(w http.ResponseWriter, how ops.Ended) {
	if m, ok := w.(*meter); ok {
		m.ended = how
	}
}

// failed reports whether the client met an error, which one that goes away has not;
// broken is as use has it.
func (m *meter) failed(broken bool) bool {
	switch m.ended {
	case ops.EndedGone:
		return false
	case ops.EndedFailed, ops.EndedBroken:
		return true
	}
	return broken || m.status >= http.StatusBadRequest
}

// Unwrap lets flushes and deadlines through (see [http.ResponseController]).
func (m *meter) Unwrap() http.ResponseWriter { return m.ResponseWriter }

// WriteHeader begins the answer.
func (m *meter) WriteHeader(status int) {
	m.status = status
	m.ResponseWriter.WriteHeader(status)
}

// Write passes a part of the answer on.
func (m *meter) Write(p []byte) (int, error) {
	if len(p) == 0 || p[0] == ':' { // a comment is not part of the answer
		return m.ResponseWriter.Write(p)
	}
	m.bytes += int64(len(p))
	m.events += bytes.Count(p, []byte("\n\n")) + bytes.Count(p, []byte("\n\r\n"))
	if room := headMetered - len(m.head); room > 0 {
		m.head = append(m.head, p[:min(room, len(p))]...)
	}
	if len(p) >= tailMetered {
		m.tail = append(m.tail[:0], p[len(p)-tailMetered:]...)
	} else {
		if extra := len(m.tail) + len(p) - tailMetered; extra > 0 {
			m.tail = m.tail[:copy(m.tail, m.tail[extra:])]
		}
		m.tail = append(m.tail, p...)
	}
	return m.ResponseWriter.Write(p)
}

// use sums the answer up; broken says that its connection had to be broken. What no
// engine got has cost no tokens, nor has an error that is all there was.
func (m *meter) use(broken bool) Use {
	u := Use{Model: m.model, Took: time.Since(m.began)}
	u.Failed = m.failed(broken)
	if u.Failed && !m.given && (m.status == http.StatusNotFound || ops.IsModelReference(u.Model)) {
		u.Model = "" // there is none of that name, and names make no entries
	}
	if !m.given || m.status >= http.StatusBadRequest || u.Failed && m.events == 1 {
		return u
	}
	var told bool
	if u.TokensIn, u.TokensOut, told = counts(m.tail); !told {
		u.TokensIn, u.TokensOut, told = counts(m.head)
	}
	if told {
		return u
	}
	u.Estimated, u.TokensIn = true, m.prompt/tokenBytes
	switch {
	case m.events > 0: // engines send a token in each
		u.TokensOut = m.events
	case m.text:
		u.TokensOut = int(m.bytes / tokenBytes)
	}
	return u
}

// counts finds what an engine has counted: OpenAI's usage, of completions or of
// responses, or the timings of llama.cpp, which it always sends.
func counts(text []byte) (in, out int, told bool) {
	for _, names := range [][2]string{{"prompt_tokens", "completion_tokens"}, {"input_tokens", "output_tokens"}} {
		in, hasIn := number(text, names[0])
		if out, hasOut := number(text, names[1]); hasIn || hasOut {
			return in, out, true
		}
	}
	fresh, hasIn := number(text, "prompt_n")
	out, hasOut := number(text, "predicted_n")
	if !hasIn && !hasOut {
		return 0, 0, false
	}
	cached, _ := number(text, "cache_n")
	return fresh + cached, out, true
}

// number is the last one in text that stands behind the name.
func number(text []byte, name string) (int, bool) {
	quoted := `"` + name + `":`
	at := bytes.LastIndex(text, []byte(quoted))
	if at < 0 {
		return 0, false
	}
	rest := bytes.TrimLeft(text[at+len(quoted):], " ")
	end := bytes.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	n, err := strconv.Atoi(string(rest[:end]))
	if err != nil || n > mostTokens {
		return 0, false
	}
	return n, true
}
