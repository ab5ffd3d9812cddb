package modes_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/inference/llamacpp/llamacpptest"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/testdata"
	"rbee.dev/rbee/transport/ssh/sshtest"
)

// onOneThread is a program that runs another with one thread: more of them than
// the machine has processors would wait for each other.
func onOneThread(t *testing.T, program string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(program))
	if err := os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\nexec '%s' \"$@\" --threads 1\n", program), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	return path
}

// dividing is the environment in which hives find a real llama.cpp, and what it
// divides models with.
func dividing(t *testing.T) []string {
	t.Helper()
	return []string{llamacpp.PathEnv + "=" + onOneThread(t, llamacpptest.Program(t)), llamacpp.RPCPathEnv + "=" + onOneThread(t, llamacpptest.RPC(t))}
}

// newDivided is a place with a second hive, gpu1, both with a real llama.cpp.
func newDivided(t *testing.T) *far {
	t.Helper()
	programs := dividing(t)
	f := newFar(t, sshtest.Options{Env: slices.Clone(programs)}, programs...)
	f.install()
	return f
}

// spawn starts a worker.
func (f *far) spawn(args ...string) (w ops.Worker) {
	f.t.Helper()
	if err := json.Unmarshal([]byte(f.rbee(append([]string{"worker", "spawn", "-o", "json"}, args...)...)), &w); err != nil {
		f.t.Fatal(err)
	}
	return w
}

// greedy asks for a text that has no chance in it.
func (f *far) greedy() string {
	f.t.Helper()
	return f.rbee("infer", "-q", "--model", "tinybee", "--temperature", "0", "-n", "60", "Once upon a time")
}

// listening lists where a process and those that it started listen on TCP, as
// the kernel has it.
func listening(t *testing.T, pid int) (addresses []string) {
	t.Helper()
	for _, child := range children(t, pid) {
		addresses = append(addresses, listening(t, child)...)
	}
	sockets := map[string]bool{}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name, err := os.Readlink(f); err == nil {
			sockets[strings.TrimSuffix(strings.TrimPrefix(name, "socket:["), "]")] = true
		}
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if row := strings.Fields(line); len(row) > 9 && row[3] == "0A" && sockets[row[9]] {
				addresses = append(addresses, row[1])
			}
		}
	}
	return addresses
}

func TestADividedModelAnswersAsAWholeOne(t *testing.T) {
	t.Parallel() // it waits
	f := newDivided(t)
	whole := f.spawn("tinybee", "--hive", "localhost", "--device", "cpu")
	want := f.greedy()
	f.rbee("worker", "delete", whole.ID)
	for _, hives := range []string{"localhost,gpu1", "gpu1,localhost"} {
		t.Run(hives, func(t *testing.T) {
			first, further, _ := strings.Cut(hives, ",")
			main := f.spawn("tinybee", "--hives", hives)
			if main.HiveID != first || main.Model != "tinybee" || main.Engine != "llamacpp" || len(main.Parts) != 1 || main.Parts[0] != further {
				t.Errorf("it is %+v", main)
			}
			if got := f.greedy(); got != want {
				t.Errorf("divided it says %q, whole %q", got, want)
			}
			if list := f.rbee("worker", "list"); !strings.Contains(list, "tinybee with "+further) || !strings.Contains(list, "part of "+first+"/"+main.ID) {
				t.Errorf("listed as %s", list)
			}
			parts := 0
			for _, w := range f.workers() {
				for _, address := range listening(t, w.PID) {
					parts++
					if !strings.HasPrefix(address, "0100007F:") { // 127.0.0.1
						t.Errorf("worker %s listens on %s", w.ID, address)
					}
				}
			}
			if parts != 2 { // the RPC server's port and the one that leads to it
				t.Errorf("%d ports are listened on", parts)
			}
			f.rbee("worker", "delete", main.ID, "--hive", first)
			if left := f.workers(); len(left) > 0 {
				t.Errorf("left: %+v", left)
			}
		})
	}
}

// part is the worker that holds the part of another one's model.
func (f *far) part(of ops.Worker) ops.Worker {
	f.t.Helper()
	for _, w := range f.workers() {
		if w.PartOf == of.HiveID+"/"+of.ID && w.State != ops.WorkerFailed {
			return w
		}
	}
	f.t.Fatalf("%s has no part: %+v", of.ID, f.workers())
	return ops.Worker{}
}

// await waits until the workers are as they are wanted.
func (f *far) await(what string, wanted func([]ops.Worker) bool) {
	f.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		list := f.workers()
		if wanted(list) {
			return
		}
		if time.Now().After(end) {
			f.t.Fatalf("it never holds that %s: %+v", what, list)
		}
	}
}

// children lists the processes that a process has started.
func children(t *testing.T, pid int) (list []int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // a thread that has ended
		}
		for _, child := range strings.Fields(string(text)) {
			n, err := strconv.Atoi(child)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, n)
		}
	}
	return list
}

func TestAPartThatIsLostFailsTheAnswerByNameAndTheNextOneWorks(t *testing.T) {
	t.Parallel() // it waits
	f := newDivided(t)
	main := f.spawn("slow", "--hives", "localhost,gpu1", "--flag", "ignore-eos")
	f.flags = []string{"--hive", "localhost"}
	want, holds := f.undisturbed(), f.part(main).PartBytes
	for _, tt := range []struct {
		name string
		do   func()
	}{
		{"its RPC server is killed", func() { f.kill(children(t, f.part(main).PID)[0]) }},
		{"its worker is killed", func() { f.kill(f.part(main).PID) }},
		{"its machine goes down", func() {
			part := f.part(main).PID
			f.kill(f.hive("gpu1").PID) // which comes back, and finds no worker
			f.kill(part)
		}},
		{"the connection is cut", f.server.Drop},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := f.begin()
			tt.do()
			text, code := a.end()
			if code != 1 || !strings.Contains(a.stderr.String(), "the part of the model on hive gpu1 was lost: llama-server") || !strings.HasPrefix(want, text[:100]) {
				t.Errorf("code %d, said %q", code, a.stderr.String())
			}
			if got := f.rbee(f.slowly()...); got != want {
				t.Errorf("the next answer is another: %.100q", got)
			}
			if got := f.part(main).PartBytes; got != holds || got == 0 {
				t.Errorf("the part is to hold %d bytes, before %d", got, holds)
			}
		})
	}
	f.rbee("worker", "delete", main.ID)
	f.await("nothing is left but what failed", func(list []ops.Worker) bool {
		return !slices.ContainsFunc(list, func(w ops.Worker) bool { return w.State != ops.WorkerFailed })
	})
}

func TestADividedModelOutlivesItsQueen(t *testing.T) {
	t.Parallel() // it waits
	f := newDivided(t)
	main := f.spawn("tinybee", "--hives", "gpu1,localhost")
	want := f.greedy()
	part := f.part(main)
	f.kill(f.record("queen").PID)
	if got := f.greedy(); got != want {
		t.Errorf("under the next queen it says %q, before %q", got, want)
	}
	f.rbee("queen", "restart")
	if got := f.greedy(); got != want {
		t.Errorf("after a restart it says %q, before %q", got, want)
	}
	f.server.Drop() // while nothing is asked
	if got := f.greedy(); got != want {
		t.Errorf("after a cut connection it says %q, before %q", got, want)
	}
	if now := f.part(main); now.ID != part.ID || now.PID != part.PID {
		t.Errorf("the part was %+v, and is %+v", part, now)
	}
}

// TestADividedModelComesBackDividedAfterItWasUnloaded: on the hives that it was on, with
// the settings that it had.
func TestADividedModelComesBackDividedAfterItWasUnloaded(t *testing.T) {
	t.Parallel() // it waits
	f := newDivided(t)
	f.env = append(f.env, "RBEE_IDLE_TIMEOUT=2s")
	f.rbee("queen", "restart")
	f.spawn("tinybee", "--hives", "localhost,gpu1", "--context-length", "256")
	want := f.greedy()
	for range 2 { // of which the second comes back from what came back
		f.await("unloaded with its part", func(list []ops.Worker) bool { return len(list) == 0 })
		var said bytes.Buffer
		again := f.command("infer", "--model", "tinybee", "--temperature", "0", "-n", "60", "Once upon a time")
		again.Stderr = &said
		got, err := again.Output()
		if err != nil || string(got) != want {
			t.Errorf("%v: it says %q, before %q", err, got, want)
		}
		says(t, said.String(), "tinybee comes back on localhost as it was started there: --context-length 256 --hives localhost,gpu1", "dividing the model over ")
	}
}

func TestPartsEndWithTheirWorker(t *testing.T) {
	t.Parallel() // it waits
	f := newDivided(t)
	for _, tt := range []struct {
		name string
		do   func(main ops.Worker)
	}{
		{"it is killed", func(main ops.Worker) { f.kill(main.PID) }},
		{"it is deleted while there is no queen", func(main ops.Worker) {
			f.kill(f.record("queen").PID)
			f.kill(main.PID)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			main := f.spawn("tinybee", "--hives", "localhost,gpu1")
			tt.do(main)
			f.await("the part has ended", func(list []ops.Worker) bool {
				return !slices.ContainsFunc(list, func(w ops.Worker) bool { return w.HiveID == "gpu1" })
			})
		})
	}
	f.spawn("tinybee", "--hives", "gpu1,localhost")
	f.rbee("hive", "stop", "gpu1") // with which its workers end
	f.await("the part has ended", func(list []ops.Worker) bool {
		return !slices.ContainsFunc(list, func(w ops.Worker) bool { return w.PartOf != "" })
	})
	f.rbee("hive", "start", "gpu1")

	main := f.spawn("tinybee", "--hives", "localhost,gpu1")
	part := f.part(main)
	if code, said := f.refused("worker", "delete", part.ID, "--hive", "gpu1"); code != 1 || !strings.Contains(said, "rbee worker delete "+main.ID) {
		t.Errorf("a part that is to be deleted: %d, %s", code, said)
	}
	f.rbee("queen", "stop") // with which this machine's workers end
	if alive(part.PID) {
		t.Error("the part runs on without its worker")
	}
}

// alive reports whether there is a process with the id, zombies aside.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestADivisionThatIsGivenUpLeavesNothing(t *testing.T) {
	t.Parallel() // it waits
	f := newDivided(t)
	cmd := f.command("worker", "spawn", "slow", "--hives", "gpu1,localhost")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if strings.Contains(lines.Text(), "with parts on") {
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("exit code %d", cmd.ProcessState.ExitCode())
	}
	f.await("nothing is left", func(list []ops.Worker) bool { return len(list) == 0 })
}

func TestWhatCannotBeDividedLeavesNothing(t *testing.T) {
	t.Parallel() // it waits
	programs := dividing(t)
	f := newFar(t, sshtest.Options{Env: []string{programs[0], llamacpp.RPCPathEnv + "=/nowhere"}}, programs...)
	f.install()
	for _, tt := range []struct {
		name, hives, model string
		code               int
		says               []string
	}{
		{"a hive there is not", "localhost,gpu7", "tinybee", 1, []string{"hives: ", `there is no hive "gpu7"`, `did you mean "gpu1"`}},
		{"one hive twice", "localhost,localhost", "tinybee", 2, []string{"hives: "}},
		{"a hive without an RPC server", "localhost,gpu1", "tinybee", 1, []string{"there is no rpc-server that can be run on hive gpu1", llamacpp.RPCPathEnv}},
		{"a model there is not", "gpu1,localhost", "tinybear", 1, []string{`no model "tinybear"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, said := f.refused("worker", "spawn", tt.model, "--hives", tt.hives)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, part := range tt.says {
				if !strings.Contains(said, part) {
					t.Errorf("it says %s, want %q in it", said, part)
				}
			}
			if strings.Contains(said, "holds a part") {
				t.Errorf("a part is started for it: %s", said)
			}
			if left := f.workers(); len(left) > 0 {
				t.Errorf("left: %+v", left)
			}
		})
	}
	if _, said := f.refused("worker", "spawn", "--engine", "builtin", "tinybee", "--hives", "localhost,gpu1"); !strings.Contains(said, "must be llamacpp to divide a model") {
		t.Errorf("the builtin engine: %s", said)
	}
}

// strangeRPC is the first word of a command line that makes the test binary an
// rpc-server of a version that no llama.cpp works with; --host H --port P follow.
const strangeRPC = "strange-rpc"

func serveStrangeRPC(host, port string) int {
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return 1
	}
	llamacpptest.ServeRPC(l)
	return 0
}

func TestHivesWithDifferentLlamaCppsAreToldSo(t *testing.T) {
	t.Parallel() // it waits
	script := func(text string) string {
		path := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil { //nolint:gosec // it is to be run
			t.Fatal(err)
		}
		return path
	}
	f := newFar(t, sshtest.Options{Env: []string{
		llamacpp.PathEnv + "=" + script("echo 'version: 6000 (abcdef)'"),
		llamacpp.RPCPathEnv + "=" + script("exec '"+os.Args[0]+"' "+strangeRPC+" \"$@\""),
	}}, llamacpp.PathEnv+"="+onOneThread(t, llamacpptest.Program(t)))
	f.install()
	code, said := f.refused("worker", "spawn", "tinybee", "--hives", "localhost,gpu1")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, part := range []string{"versions of llama.cpp that do not work together", "b6000 on gpu1, and must be the same: `rbee engine install ", " --hive gpu1`"} {
		if !strings.Contains(said, part) {
			t.Errorf("it says %s, want %q in it", said, part)
		}
	}
	f.await("nothing is left but what failed", func(list []ops.Worker) bool {
		return !slices.ContainsFunc(list, func(w ops.Worker) bool { return w.State != ops.WorkerFailed })
	})
}

// TestADividedModelWhosePartWasStoppedSaysSoAtOnce: nobody waits for a hive that
// somebody has stopped, and it is said once.
func TestADividedModelWhosePartWasStoppedSaysSoAtOnce(t *testing.T) {
	t.Parallel() // it waits
	f := newDivided(t)
	main := f.spawn("tinybee", "--hives", "localhost,gpu1")
	want := f.greedy()
	f.rbee("hive", "stop", "gpu1")
	for _, args := range [][]string{{"-m", "tinybee"}, {"-m", "tinybee", "--hive", "localhost"}, {"--worker", main.ID}} {
		_, said := f.fails(1, append([]string{"infer", "-n", "1", "hi"}, args...)...)
		says(t, said, "worker "+main.ID+" of localhost cannot do without the hive gpu1, which has a part of tinybee and is down: stopped by `rbee hive stop`", "`rbee hive start gpu1` starts it")
		if n := strings.Count(said, "gpu1, which has a part"); n != 1 {
			t.Errorf("it is said %d times: %s", n, said)
		}
	}
	f.rbee("hive", "start", "gpu1")
	if got := f.greedy(); got != want {
		t.Errorf("the answer is another: %.100q", got)
	}
}

// TestAModelThatFitsDividedIsSaidToFitSo: of one that is too big for each machine.
func TestAModelThatFitsDividedIsSaidToFitSo(t *testing.T) {
	t.Parallel() // it waits
	f := newDivided(t)
	free := uint64(0)
	for _, d := range f.hive("gpu1").Devices {
		if d.ID == "cpu" {
			free = d.MemoryFreeBytes
		}
	}
	dir := filepath.Join(f.home, "cache", "models", "big")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "big.gguf")
	if err := os.WriteFile(file, testdata.Tinybee(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, int64(free+free/3)); err != nil { //nolint:gosec // a hole, of a machine's memory
		t.Fatal(err)
	}
	const fits = "divided over localhost and gpu1 it fits: `rbee worker spawn big --hives localhost,gpu1`"
	for _, args := range [][]string{{"worker", "spawn", "big"}, {"worker", "spawn", "big", "--hive", "localhost"}, {"infer", "-m", "big", "hi"}} {
		if code, said := f.refused(args...); code != 1 || !strings.Contains(said, "are free for it") || !strings.Contains(said, fits) {
			t.Errorf("%s: %d, %s", args, code, said)
		}
	}
	if left := f.workers(); len(left) > 0 {
		t.Errorf("it was only asked, and there are %+v", left)
	}
	f.rbee("hive", "drain", "gpu1")
	if code, said := f.refused("worker", "spawn", "big", "--hive", "localhost"); code != 1 || strings.Contains(said, "divided") {
		t.Errorf("with the other one drained: %d, %s", code, said)
	}
}
