package modes_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/inference/enginetest"
)

// told is a command that runs, and what it says on standard error, line by line.
type told struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// tellingInfer is `rbee infer` in the background.
func (p *place) tellingInfer(model string) told {
	p.t.Helper()
	cmd := p.command("infer", "--model", model, "--max-tokens", "3", "x")
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	late := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	p.t.Cleanup(func() { late.Stop() })
	return told{cmd, bufio.NewScanner(stderr)}
}

// hears waits until it says that.
func (w told) hears(t *testing.T, text string) {
	t.Helper()
	for w.lines.Scan() {
		if strings.Contains(w.lines.Text(), text) {
			return
		}
	}
	t.Fatalf("it never says %q: %v", text, w.lines.Err())
}

// end reads what it still says, and waits for its end.
func (w told) end() error {
	for w.lines.Scan() {
		continue
	}
	return w.cmd.Wait()
}

// TestWhoWaitsSeesItsPlaceAndMayLeave: the only slot is taken. Jobs are told their
// places, and new ones as others leave, which they do at once: a job by Ctrl-C, a
// request to the API by its client's end.
func TestWhoWaitsSeesItsPlaceAndMayLeave(t *testing.T) {
	p := cramped(t, 1.5)
	p.rbee("worker", "spawn", "a", "--parallel", "1")
	busy := p.stream("a", enginetest.WordHang)
	<-busy.began
	queen := p.queen()
	first := p.tellingInfer("a")
	awaits(t, queen, "a", 1)
	request := p.stream("a", "x") // which answers by its place first
	awaits(t, queen, "a", 2)
	last := p.tellingInfer("a")
	awaits(t, queen, "a", 3)
	first.hears(t, "queen: place 1 of ")
	last.hears(t, "queen: place 3 of 3 in the queue for a")
	_ = request.body.Close()
	if <-request.ended; !strings.Contains(strings.Join(request.said, "\n"), ": queen: place 2 of ") {
		t.Errorf("the request was told %q", request.said)
	}
	last.hears(t, "queen: place 2 of 2 in the queue for a")
	if err := first.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := first.end(); err == nil || first.cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("the one that was given up ended with %v", err)
	}
	last.hears(t, "queen: place 1 of 1 in the queue for a")
	_ = busy.body.Close()
	if err := last.end(); err != nil {
		t.Errorf("the last: %v", err)
	}
}
