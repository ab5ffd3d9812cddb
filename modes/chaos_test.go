package modes_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rbee.dev/rbee/inference/gguf"
	"rbee.dev/rbee/inference/gguf/gguftest"
	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
)

// place is a home of rbee's own, with a model whose answers take seconds, so
// that there is time to kill something in the middle of one.
type place struct {
	t     *testing.T
	home  string
	flags []string // flags that say which hive answers; none is the queen's choice

	program string   // rbee as it runs here; "" is the one that was built
	env     []string // beside the home
}

// slow is a random model: what it says is no language, but always the same.
var slow = sync.OnceValue(func() []byte {
	vocabulary, err := gguf.Parse(testdata.Tinybee())
	if err != nil {
		panic(err)
	}
	return gguftest.Model{Type: gguf.Q8_0, Width: 768, Layers: 8, Heads: 12, KVHeads: 6, FFN: 2048, Context: 4096, Seed: 3, Vocabulary: vocabulary}.Bytes()
})

func newPlace(t *testing.T, env ...string) *place {
	t.Helper()
	p := &place{t: t, home: t.TempDir(), env: env}
	dir := filepath.Join(p.home, "cache", "models", "slow")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "slow.gguf"), slow(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.rbee("queen", "stop")
		p.nothingRuns()
	})
	return p
}

func (p *place) command(args ...string) *exec.Cmd {
	cmd := exec.Command(cmp.Or(p.program, binary), args...)
	cmd.Env = append(append(os.Environ(), "RBEE_HOME="+p.home, "RBEE_LISTEN=127.0.0.1:0", "RBEE_QUEEN="), p.env...)
	return cmd
}

// rbee runs a command to its end, which must be good.
func (p *place) rbee(args ...string) string {
	p.t.Helper()
	cmd := p.command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		p.t.Fatalf("rbee %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

// record is the pid file of a daemon.
func (p *place) record(name string) daemon.Record {
	p.t.Helper()
	r, err := daemon.Read(filepath.Join(p.home, "state", name+".pid"))
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// kill ends a process as if the power had gone.
func (p *place) kill(pid int) {
	p.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) workers() []ops.Worker {
	p.t.Helper()
	var list ops.Workers
	if err := json.Unmarshal([]byte(p.rbee("worker", "list", "-o", "json")), &list); err != nil {
		p.t.Fatal(err)
	}
	return list.Workers
}

// nothingRuns checks that no process of this home is left.
func (p *place) nothingRuns() {
	p.t.Helper()
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, path := range environs {
		text, err := os.ReadFile(path)
		if err == nil && bytes.Contains(text, []byte("RBEE_HOME="+p.home)) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline")) // it may be gone meanwhile
			p.t.Errorf("a process is left: %s %s", filepath.Dir(path), bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
}

// answer is an infer that runs, and what it has said so far.
type answer struct {
	cmd    *exec.Cmd
	mu     sync.Mutex
	stdout bytes.Buffer
	stderr bytes.Buffer
	some   chan struct{} // closed when enough was said to be in the middle
}

// Write takes what the command prints.
func (a *answer) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.stdout.Len()
	a.stdout.Write(b)
	if before < 200 && a.stdout.Len() >= 200 {
		close(a.some)
	}
	return len(b), nil
}

// slowly is the command whose answer takes seconds.
func (p *place) slowly() []string {
	return append([]string{"infer", "--model", "slow", "--raw", "--temperature", "0", "--max-tokens", "350", "Once upon a time"}, p.flags...)
}

// begin starts an answer and returns when it is in the middle.
func (p *place) begin() *answer {
	p.t.Helper()
	return p.watch(p.slowly()...)
}

// watch starts a command that shows an answer, and returns when it is in the
// middle.
func (p *place) watch(args ...string) *answer {
	p.t.Helper()
	a := &answer{cmd: p.command(args...), some: make(chan struct{})}
	a.cmd.Stdout, a.cmd.Stderr = a, &a.stderr
	if err := a.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-a.some:
	case <-time.After(60 * time.Second):
		_ = a.cmd.Process.Kill()
		p.t.Fatalf("no answer: %s", a.stderr.String())
	}
	return a
}

// end waits for the answer and returns its text and exit code.
func (a *answer) end() (string, int) {
	_ = a.cmd.Wait()
	return a.stdout.String(), a.cmd.ProcessState.ExitCode()
}

// undisturbed is the answer that the others are held against.
func (p *place) undisturbed() string {
	p.t.Helper()
	text := p.rbee(p.slowly()...)
	if len(text) < 500 {
		p.t.Fatalf("the slow model says too little: %d bytes", len(text))
	}
	return text
}

func TestAKilledWorkerFailsItsAnswerAndTheNextOneWorks(t *testing.T) {
	t.Parallel() // it waits
	p := newPlace(t)
	want := p.undisturbed()
	a := p.begin()
	worker := p.workers()[0]
	p.kill(worker.PID)
	text, code := a.end()
	if code != 1 || !strings.Contains(a.stderr.String(), worker.ID) || !strings.HasPrefix(want, text[:100]) {
		t.Errorf("code %d, said %q", code, a.stderr.String())
	}
	if list := p.workers(); len(list) != 1 || list[0].State != ops.WorkerFailed || list[0].Error == "" {
		t.Errorf("the worker is shown as %+v", list)
	}
	if got := p.rbee(p.slowly()...); got != want {
		t.Error("the next answer is another")
	}
}

func TestAnAnswerGoesOnThroughAKillOrARestart(t *testing.T) {
	t.Parallel() // it waits
	p := newPlace(t)
	want := p.undisturbed()
	worker := p.workers()[0]
	for _, tt := range []struct {
		name string
		do   func()
	}{
		{"the hive is killed", func() { p.kill(p.record("hive").PID) }},
		{"the hive is told to end", func() { _ = syscall.Kill(p.record("hive").PID, syscall.SIGTERM) }},
		{"the queen is restarted", func() { p.rbee("queen", "restart") }},
		{"the queen is killed", func() { p.kill(p.record("queen").PID) }},
		{"the queen and the hive are killed", func() { p.kill(p.record("queen").PID); p.kill(p.record("hive").PID) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := p.begin()
			tt.do()
			text, code := a.end()
			if code != 0 || text != want {
				t.Errorf("code %d, %d bytes of %d, said %q", code, len(text), len(want), a.stderr.String())
			}
			if list := p.workers(); len(list) != 1 || list[0].ID != worker.ID || list[0].PID != worker.PID {
				t.Errorf("the worker was not kept: %+v, was %+v", list, worker)
			}
		})
	}
}

func TestCtrlCCancelsTheJobOnTheWorker(t *testing.T) {
	p := newPlace(t)
	for name, signals := range map[string][]os.Signal{
		"one signal":                            {os.Interrupt},
		"two at once, as timeout(1) sends them": {os.Interrupt, os.Interrupt},
		`Ctrl-\`:                                {syscall.SIGQUIT},
	} {
		t.Run(name, func(t *testing.T) {
			a := p.begin()
			for _, s := range signals {
				if err := a.cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
			}
			if _, code := a.end(); code != 130 || !strings.Contains(a.stderr.String(), "rbee: cancelled") {
				t.Errorf("code %d, said %q", code, a.stderr.String())
			}
			// The keeper does not wait for the end that it asked for.
			list, w := p.rbee("job", "list"), p.workers()[0]
			for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && (strings.Contains(list, "running") || w.Running > 0); {
				list, w = p.rbee("job", "list"), p.workers()[0]
			}
			if !strings.Contains(list, "cancelled") || strings.Contains(list, "running") {
				t.Errorf("jobs: %s", list)
			}
			if w.Running != 0 || w.State != ops.WorkerReady {
				t.Errorf("the worker still works: %+v", w)
			}
		})
	}
}

func TestQueenStopCancelsAnswersAndLeavesNothing(t *testing.T) {
	p := newPlace(t)
	a := p.begin()
	p.rbee("queen", "stop")
	if _, code := a.end(); code != 130 {
		t.Errorf("code %d, said %q", code, a.stderr.String())
	}
	p.nothingRuns()
}

func TestWhatADeadQueenLeftIsStopped(t *testing.T) {
	p := newPlace(t)
	p.rbee("worker", "spawn", "tinybee")
	p.kill(p.record("queen").PID)
	p.kill(p.record("hive").PID)
	p.rbee("queen", "stop")
	p.nothingRuns()
}

func TestOnlyOneQueen(t *testing.T) {
	p := newPlace(t)
	var all sync.WaitGroup
	for range 5 { // keepers at the same time start one queen
		all.Go(func() { p.rbee("hive", "list") })
	}
	all.Wait()
	cmd := p.command("queen", "serve")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), fmt.Sprintf("already running, pid %d", p.record("queen").PID)) {
		t.Errorf("a second queen: %v, %s", err, out)
	}
}

func TestAPortInUseIsSaid(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := newPlace(t)
	cmd := p.command("infer", "x")
	cmd.Env = append(cmd.Env, "RBEE_LISTEN="+l.Addr().String())
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 3 || !strings.Contains(string(out), "address already in use") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestAHomeWithALongPathOrASpaceWorks(t *testing.T) {
	p := newPlace(t)
	p.home = filepath.Join(t.TempDir(), "a b", strings.Repeat("long/", 40))
	if out := p.rbee("infer", "-n", "3", "--seed", "1", "Once"); len(out) < 3 {
		t.Errorf("said %q", out)
	}
	p.rbee("queen", "stop")
	p.nothingRuns()
}

func TestAStalePIDFileIsNoObstacle(t *testing.T) {
	p := newPlace(t)
	p.rbee("hive", "list")
	p.kill(p.record("queen").PID)
	if out := p.rbee("infer", "-n", "3", "Once"); out == "" {
		t.Error("said nothing")
	}
}

func TestAHomeThatCannotBeWrittenIsSaid(t *testing.T) {
	p := newPlace(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := p.command("infer", "x")
	cmd.Env = append(cmd.Env, "RBEE_HOME="+filepath.Join(file, "home"))
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "a file is there, or on the way") {
		t.Errorf("%v: %s", err, out)
	}
}
