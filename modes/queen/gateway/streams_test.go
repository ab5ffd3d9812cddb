package gateway

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	manyStreams = 2000
	streamEvery = 50 * time.Millisecond // 20 tokens a second
	streamFor   = time.Minute
)

// drip is an engine that sends a token at a steady pace, each with its number
// and the time at which it was sent.
func drip(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	tick := time.NewTicker(streamEvery)
	defer tick.Stop()
	for n := range int(streamFor / streamEvery) {
		_, _ = fmt.Fprintf(w, "data: {\"sent\":%d,\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word%d\"}}]}\n\n", time.Now().UnixNano(), n)
		if control.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

// dripOrInstant is the engine: its first request warms the queen up.
func dripOrInstant(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if bytes.Contains(body, []byte(`"stream":true`)) {
		drip(w, r)
		return
	}
	instant(w, r)
}

// follow reads one stream and returns how late its tokens were, and how many
// were lost or out of place.
func follow(c *http.Client, addr string) (late []time.Duration, lost int, err error) {
	answer, err := c.Post("http://"+addr+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"bee","stream":true,"messages":[{"role":"user","content":"hello"}]}`)) //nolint:noctx // a benchmark
	if err != nil {
		return nil, 0, err
	}
	defer answer.Body.Close()
	late = make([]time.Duration, 0, int(streamFor/streamEvery))
	lines := bufio.NewReaderSize(answer.Body, 1024)
	for done := false; ; {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			if done {
				return late, lost + int(streamFor/streamEvery) - len(late), nil
			}
			return late, lost, err
		}
		text, ok := bytes.CutPrefix(line, []byte(`data: {"sent":`))
		if !ok {
			done = done || string(line) == "data: [DONE]\n"
			continue
		}
		number, _, _ := bytes.Cut(text, []byte(","))
		sent, err := strconv.ParseInt(string(number), 10, 64)
		if err != nil || !bytes.Contains(text, fmt.Appendf(nil, `" word%d"`, len(late))) {
			lost++
		}
		late = append(late, time.Since(time.Unix(0, sent)))
	}
}

// residentOf is how much memory a process has, in bytes (proc_pid_statm(5)).
func residentOf(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		b.Skip("only Linux tells what a process holds")
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages * os.Getpagesize())
}

// BenchmarkStreams sends two thousand streams of twenty tokens a second through
// one queen for a minute: what is lost, how late tokens come, and what memory a
// stream takes there.
func BenchmarkStreams(b *testing.B) {
	engine, _ := begin(b, "drip", "")
	addr, pid := begin(b, "gateway", engine)
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: manyStreams}}
	b.Cleanup(c.CloseIdleConnections)
	took(b, c, addr, []byte(`{"model":"bee","messages":[]}`)) // the code is there
	before := residentOf(b, pid)
	for b.Loop() {
		var mu sync.Mutex
		var late []time.Duration
		lost, failed := 0, 0
		var all sync.WaitGroup
		for range manyStreams {
			all.Go(func() {
				l, n, err := follow(c, addr)
				mu.Lock()
				defer mu.Unlock()
				late, lost = append(late, l...), lost+n
				if err != nil {
					failed++
					b.Log(err)
				}
			})
			time.Sleep(time.Millisecond) // who comes all in one moment measures the handshakes
		}
		time.Sleep(streamFor / 2)
		b.ReportMetric((residentOf(b, pid)-before)/manyStreams/1000, "kB/stream")
		all.Wait()
		slices.Sort(late)
		if len(late) == 0 {
			b.Fatal("no token came")
		}
		b.ReportMetric(float64(len(late)), "tokens")
		b.ReportMetric(float64(lost), "lost")
		b.ReportMetric(float64(failed), "broken")
		b.ReportMetric(float64(late[len(late)/2].Microseconds())/1000, "late-ms")
		b.ReportMetric(float64(late[len(late)*99/100].Microseconds())/1000, "late-p99-ms")
	}
	b.ReportMetric(0, "ns/op")
}
