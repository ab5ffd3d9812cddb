package modes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rbee.dev/rbee/modes/pacedtest"
)

// held is what a queen holds in memory at one moment: as the system counts it, then
// as her runtime does once it has collected.
type held struct {
	resident, anonymous, file float64 // MB
	pacedtest.Memory
}

func (h held) live() float64 { return float64(h.Live) / 1e6 }

// String is a line of a report.
func (h held) String() string {
	mb := func(n uint64) float64 { return float64(n) / 1e6 }
	return fmt.Sprintf("%.1f MB resident, of which %.1f of files and %.1f of her own; live on the heap %.1f, stacks %.1f, the runtime's tables %.1f",
		h.resident, h.file, h.anonymous, h.live(), mb(h.Stacks), mb(h.Tables))
}

// scales weighs a queen.
type scales struct {
	pid   int
	asked uint64 // collections that the weighing asked for
	http  http.Client
}

// newScales sets scales up for the chain that open makes.
func newScales(t *testing.T, open func() *chain) (*scales, *chain) {
	t.Helper()
	folder, err := os.MkdirTemp("", "rbee") //nolint:usetesting // the test's is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	path := filepath.Join(folder, "memory")
	t.Setenv(pacedtest.MemoryAt, path)
	c := open()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return &scales{pid: c.pid, http: http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}}, c
}

// ask asks the queen's runtime, with POST after two collections. It tells of those that
// she has asked for herself.
func (s *scales) ask(t *testing.T, method string) (m pacedtest.Memory) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://queen/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&m); err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		s.asked += 2
	}
	m.Collections -= s.asked
	return m
}

// weigh asks the system first, so that the collection changes nothing of that.
func (s *scales) weigh(t *testing.T) held {
	t.Helper()
	return held{
		resident: resident(t, s.pid), anonymous: status(t, s.pid, "RssAnon"), file: status(t, s.pid, "RssFile"),
		Memory: s.ask(t, http.MethodPost),
	}
}

// settled waits until the queen has given back what she did not need any more, by
// collections since before.
func (s *scales) settled(t *testing.T, before pacedtest.Memory) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		m := s.ask(t, http.MethodGet)
		if m.Collections > before.Collections && m.Idle < 1<<20 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the queen has given nothing back: %+v, before %+v", m, before)
		}
	}
}

// TestAThousandAnswersAtOnceThroughOneQueen holds that none is lost and none
// reordered, and that the queen's memory goes back: to about what it was, and no less
// so after the third thousand than after the first.
func TestAThousandAnswersAtOnceThroughOneQueen(t *testing.T) {
	const jobs, rounds = 1000, 3
	s, c := newScales(t, func() *chain { return newChain(t, "0s", 64) })
	start := s.weigh(t)
	t.Logf("the queen at the start: %v", start)
	var quiet []held // after each round
	for range rounds {
		before := s.ask(t, http.MethodGet)
		together(t, c.queen, jobs, 50, 0)
		t.Logf("after %d answers: %v", jobs, s.weigh(t))
		if raced { // which takes the clients so long that there are never so many at once
			continue
		}
		c.queen.Close() // its connections take memory there
		s.settled(t, before)
		quiet = append(quiet, s.weigh(t))
		t.Logf("once it was quiet: %v", quiet[len(quiet)-1])
	}
	if raced {
		return
	}
	// Some stays: a thousand jobs are remembered, the runtime keeps what it knows
	// goroutines and memory by, and the code that ran is there.
	const staysLive, staysAnonymous, grows = 5, 20, 5 // MB, with room for machines of more cores
	first, end := quiet[0], quiet[rounds-1]
	if end.live() > start.live()+staysLive {
		t.Errorf("the queen keeps %.1f MB in use, of %.1f at the start", end.live(), start.live())
	}
	if end.anonymous > start.anonymous+staysAnonymous {
		t.Errorf("the queen keeps %.1f MB of memory, of %.1f at the start", end.anonymous, start.anonymous)
	}
	if end.live() > first.live()+1 || end.anonymous > first.anonymous+grows {
		t.Errorf("the queen grows: %v after the first thousand, %v after the last", first, end)
	}
}
