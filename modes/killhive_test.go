package modes_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
	"rbee.dev/rbee/transport/ssh/sshtest"
)

// request is one of many, and what has become of it.
type request struct {
	length int           // tokens, at most
	began  chan struct{} // closed at its first token
	ended  chan struct{} // closed at its end
	tokens int
	err    string
	done   bool // it ended as it should
}

// TestNoRequestIsLostThatHadNotBegunWhenAHiveIsKilled: three hives have a worker of
// one slot each, and more requests than that run and wait, half of them jobs, half
// through OpenAI's API. When everything of one hive is killed, the request that
// its worker was answering fails, and says so; all the others are answered.
func TestNoRequestIsLostThatHadNotBegunWhenAHiveIsKilled(t *testing.T) {
	t.Parallel() // it waits
	f := newFar(t, sshtest.Options{})
	f.install()
	f.further("gpu2")
	hives := []string{"gpu1", "gpu2", "localhost"}
	for _, hive := range hives {
		f.rbee("worker", "spawn", "slow", "--hive", hive, "--parallel", "1")
	}
	ways := []func(*request){f.byJob(), f.byAPI()}
	list := make([]*request, 12)
	var all sync.WaitGroup
	for i := range list {
		list[i] = &request{length: 60, began: make(chan struct{}), ended: make(chan struct{})}
		if i < len(hives) {
			list[i].length = 350 // so that the others wait
		}
		all.Go(func() {
			defer close(list[i].ended)
			ways[i/len(hives)%2](list[i]) // the first, which run, by jobs
		})
		if i < len(hives) {
			<-list[i].began
		}
	}
	for queen := f.queen(); waiting(t, queen) < len(list)-len(hives); {
		select {
		case <-list[0].ended:
			t.Fatal("the first one ended before all the others waited")
		case <-time.After(10 * time.Millisecond):
		}
	}
	pids := []int{f.hive("gpu1").PID}
	for _, w := range f.workers() {
		if w.HiveID == "gpu1" {
			pids = append(pids, w.PID)
		}
	}
	for _, pid := range pids {
		f.kill(pid)
	}
	all.Wait()
	lost := 0
	for i, r := range list {
		switch {
		case r.done:
		case r.tokens > 0 && r.err != "": // one of the first, or on a slow machine one that came after it
			lost++
		default:
			t.Errorf("request %d is lost after %d tokens: %q", i, r.tokens, r.err)
		}
	}
	if len(pids) != 2 || lost != 1 {
		t.Errorf("with %d processes %d requests failed", len(pids), lost)
	}
}

// waiting is how many requests for the slow model wait.
func waiting(t *testing.T, queen *transport.Client) int {
	t.Helper()
	r, err := transport.Call(t.Context(), queen, ops.Status{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Waiting["slow"]
}

// heard notes a token of the request.
func (r *request) heard() {
	if r.tokens++; r.tokens == 1 {
		close(r.began)
	}
}

// byJob asks by a job.
func (p *place) byJob() func(*request) {
	c := p.queen()
	return func(r *request) {
		o := ops.Infer{Model: "slow", Prompt: "Once upon a time", MaxTokens: r.length}
		_, err := c.Do(p.t.Context(), o, "", func(e transport.Received) error {
			if _, ok := e.Event.(ops.TokenEvent); ok {
				r.heard()
			}
			return nil
		})
		if r.done = err == nil; err != nil {
			r.err = err.Error()
		}
	}
}

// byAPI asks by OpenAI's API, as a client of it would.
func (p *place) byAPI() func(*request) {
	url := "http://" + p.record("queen").Address + "/v1/completions"
	return func(r *request) {
		body := fmt.Sprintf(`{"model":"slow","prompt":"Once upon a time","max_tokens":%d,"stream":true}`, r.length)
		answer, err := http.Post(url, "application/json", strings.NewReader(body)) //nolint:noctx // the queen ends with the test
		if err != nil {
			r.err = err.Error()
			return
		}
		defer answer.Body.Close()
		lines := bufio.NewScanner(answer.Body)
		for lines.Scan() {
			switch data, _ := strings.CutPrefix(lines.Text(), "data: "); {
			case data == "[DONE]":
				r.done = r.err == ""
			case strings.Contains(data, `"error"`):
				r.err = data
			case strings.Contains(data, `"text"`):
				r.heard()
			}
		}
		if r.err == "" && !r.done {
			r.err = fmt.Sprintf("status %d, and no end: %v", answer.StatusCode, lines.Err())
		}
	}
}

// TestWhoWaitsIsNotLostWhenTheOnlyHiveIsKilled: one request runs and others wait,
// and the hive is killed, not the worker. It is back in a moment.
func TestWhoWaitsIsNotLostWhenTheOnlyHiveIsKilled(t *testing.T) {
	t.Parallel() // it waits
	p := newPlace(t)
	p.rbee("worker", "spawn", "slow", "--parallel", "1")
	defer http.DefaultClient.CloseIdleConnections()
	ways := []func(*request){p.byJob(), p.byAPI()}
	list := make([]*request, 4)
	var all sync.WaitGroup
	for i := range list {
		list[i] = &request{length: 20, began: make(chan struct{}), ended: make(chan struct{})}
		if i == 0 {
			list[i].length = 300 // so that the others wait
		}
		all.Go(func() {
			defer close(list[i].ended)
			ways[i%2](list[i])
		})
		if i == 0 {
			<-list[i].began
		}
	}
	for queen := p.queen(); waiting(t, queen) < len(list)-1; {
		select {
		case <-list[0].ended:
			t.Fatal("the first one ended before all the others waited")
		case <-time.After(10 * time.Millisecond):
		}
	}
	p.kill(p.record("hive").PID)
	all.Wait()
	for i, r := range list {
		if !r.done {
			t.Errorf("request %d is lost after %d tokens: %q", i, r.tokens, r.err)
		}
	}
}

// TestARequestThatComesWhileTheOnlyHiveThatCanIsAwayWaitsForIt: the hive is killed, the
// others are drained, and requests come until it is back. So where another queen has to
// connect to it first.
func TestARequestThatComesWhileTheOnlyHiveThatCanIsAwayWaitsForIt(t *testing.T) {
	t.Parallel() // it waits
	f := newFar(t, sshtest.Options{})
	f.install()
	f.rbee("hive", "drain", "localhost")
	f.rbee("infer", "-m", "slow", "-n", "1", "hi")
	worker := f.workers()[0]
	defer http.DefaultClient.CloseIdleConnections()
	ways := []func(*request){f.byJob(), f.byAPI()}
	f.kill(f.hive("gpu1").PID)
	var list []*request
	var all sync.WaitGroup
	for i := range 10 {
		r := &request{length: 3, began: make(chan struct{}), ended: make(chan struct{})}
		list = append(list, r)
		all.Go(func() { ways[i%2](r) })
		time.Sleep(50 * time.Millisecond)
	}
	all.Wait()
	for i, r := range list {
		if !r.done {
			t.Errorf("request %d is lost after %d tokens: %q", i, r.tokens, r.err)
		}
	}
	if now := f.workers(); len(now) != 1 || now[0].PID != worker.PID {
		t.Errorf("the worker was not kept: %+v, was %+v", now, worker)
	}
	f.rbee("queen", "restart")
	f.rbee("infer", "-m", "slow", "-n", "1", "hi")
}
