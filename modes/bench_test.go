package modes_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/modes/daemon"
)

// benchHome is a home for measuring. On a disk whose files are slow to create,
// each of a job's three logs costs its share; RBEE_BENCH_HOME names another
// place.
func benchHome(b *testing.B) string {
	b.Helper()
	if dir := os.Getenv("RBEE_BENCH_HOME"); dir != "" {
		home, err := os.MkdirTemp(dir, "rbee") //nolint:usetesting // where the person wants it
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = os.RemoveAll(home) })
		return home
	}
	return b.TempDir()
}

// firstToken runs an infer and returns how long its first byte took.
func firstToken(b *testing.B, home string) time.Duration {
	b.Helper()
	cmd := exec.Command(binary, "infer", "-q", "--max-tokens", "8", "Once upon a time")
	cmd.Env = append(os.Environ(), "RBEE_HOME="+home, "RBEE_LISTEN=127.0.0.1:0", "RBEE_QUEEN=")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadByte(); err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return took
}

func stop(b *testing.B, home string) {
	b.Helper()
	cmd := exec.Command(binary, "queen", "stop", "-q")
	cmd.Env = append(os.Environ(), "RBEE_HOME="+home)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("queen stop: %v: %s", err, out)
	}
}

// report gives the median, best and worst in milliseconds.
func report(b *testing.B, times []time.Duration) {
	b.Helper()
	slices.Sort(times)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(times[len(times)/2]), "ms/median")
	b.ReportMetric(ms(times[0]), "ms/best")
	b.ReportMetric(ms(times[len(times)-1]), "ms/worst")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFirstTokenFromNothing measures `rbee infer` in an empty home, to the
// first byte of its answer.
func BenchmarkFirstTokenFromNothing(b *testing.B) {
	var times []time.Duration
	for b.Loop() {
		home := benchHome(b)
		times = append(times, firstToken(b, home))
		stop(b, home)
	}
	report(b, times)
}

// BenchmarkFirstTokenWithEverythingUp measures the same with queen, hive and
// worker running: the keeper's start, the chain, and the model's prompt.
func BenchmarkFirstTokenWithEverythingUp(b *testing.B) {
	home := benchHome(b)
	firstToken(b, home)
	defer stop(b, home)
	var times []time.Duration
	for b.Loop() {
		times = append(times, firstToken(b, home))
	}
	report(b, times)
}

// BenchmarkIdleMemory reports what queen, hive and worker hold in memory after
// an answer, in megabytes resident.
func BenchmarkIdleMemory(b *testing.B) {
	home := benchHome(b)
	firstToken(b, home)
	defer stop(b, home)
	for b.Loop() {
		for _, mode := range []string{"queen", "hive"} {
			r, err := daemon.Read(home + "/state/" + mode + ".pid")
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(resident(b, r.PID), "MB/"+mode)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// resident is how much memory a process holds, in MB.
func resident(tb testing.TB, pid int) float64 {
	tb.Helper()
	return status(tb, pid, "VmRSS")
}

// status is a size in a process's status (proc_pid_status(5)), in MB.
func status(tb testing.TB, pid int, name string) float64 {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				tb.Fatal(err)
			}
			return kb / 1000
		}
	}
	tb.Fatalf("no %s in it: %s", name, text)
	return 0
}
