package modes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/pacedtest"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
	"rbee.dev/rbee/transport/ssh/lab"
)

// asking is set in the environment of a client that asks the queen at that
// address, on a machine of a lab: the test binary itself, called with a token,
// how many streams, and how many tokens of each. It asks the hives localhost and
// gpu1 turn and turn about and prints what it measured.
const asking = "RBEE_TEST_ASKING"

// paces is what a client measured, of each hive.
type paces struct {
	First, Whole map[string][]time.Duration
}

func runAsking(queen string, args []string) int {
	const rounds = 10
	streams, err1 := strconv.Atoi(args[2])
	tokens, err2 := strconv.Atoi(args[3])
	if err1 != nil || err2 != nil {
		return 2
	}
	c := transport.New(transport.Options{BaseURL: queen, Token: args[1]})
	defer c.Close()
	p := paces{map[string][]time.Duration{}, map[string][]time.Duration{}}
	for range rounds {
		for _, hive := range []string{"localhost", "gpu1"} {
			all := make([]asked, streams)
			var running sync.WaitGroup
			for i := range all {
				running.Go(func() { all[i] = askHive(context.Background(), c, hive, tokens) })
			}
			running.Wait()
			for _, a := range all {
				if a.err != nil {
					fmt.Fprintln(os.Stderr, hive, a.err)
					return 1
				}
				p.First[hive], p.Whole[hive] = append(p.First[hive], a.first), append(p.Whole[hive], a.whole)
			}
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(p); err != nil {
		return 1
	}
	return 0
}

// askHive asks for one answer of a hive.
func askHive(ctx context.Context, c *transport.Client, hive string, tokens int) (a asked) {
	o := ops.Infer{Model: "tinybee", Prompt: "Once upon a time", MaxTokens: tokens}
	o.HiveID = hive
	return askFor(ctx, c, o)
}

// BenchmarkLabTunnel compares answers of a hive reached through the SSH
// connection with those of a hive on the queen's own machine, both with the
// engine that makes 100 tokens a second.
func BenchmarkLabTunnel(b *testing.B) {
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for _, kind := range []struct{ name, sshd string }{{"channels", ""}, {"pipe", "\nAllowStreamLocalForwarding no"}} {
		b.Run(kind.name, func(b *testing.B) {
			l := lab.Start(b, lab.Machine{Name: "gpu1", SSHD: "SetEnv " + pacedtest.Pace + "=10ms" + kind.sshd})
			home := b.TempDir()
			run := func(extra []string, args ...string) []byte {
				b.Helper()
				cmd := l.Command(exe, args...)
				cmd.Env = append(append(cmd.Env, "RBEE_HOME="+home, "RBEE_LISTEN=127.0.0.1:0", "RBEE_QUEEN="), extra...)
				var stderr strings.Builder
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if err != nil {
					b.Fatalf("%v: %v: %s", args, err, stderr.String())
				}
				return out
			}
			rbee := func(args ...string) { b.Helper(); run([]string{pacedtest.Pace + "=10ms"}, args...) }
			rbee("queen", "start")
			b.Cleanup(func() { rbee("queen", "stop") })
			rbee("hive", "install", "--host", "gpu1")
			for _, hive := range []string{"localhost", "gpu1"} {
				rbee("worker", "spawn", "tinybee", "--hive", hive, "--parallel", "64")
			}
			record, err := daemon.Read(filepath.Join(home, "state", "queen.pid"))
			if err != nil {
				b.Fatal(err)
			}
			token, err := os.ReadFile(filepath.Join(home, "state", "queen.token"))
			if err != nil {
				b.Fatal(err)
			}
			var one, many paces
			for b.Loop() {
				for streams, p := range map[int]*paces{1: &one, 64: &many} {
					out := run([]string{asking + "=http://" + record.Address}, strings.TrimSpace(string(token)), strconv.Itoa(streams), "100")
					if err := json.Unmarshal(out, p); err != nil {
						b.Fatal(err)
					}
				}
			}
			rbee("hive", "uninstall", "gpu1")
			added := median(one.First["gpu1"]) - median(one.First["localhost"])
			b.ReportMetric(float64(added.Microseconds())/1000, "added-ms")
			b.ReportMetric(float64(median(many.Whole["localhost"]))/float64(median(many.Whole["gpu1"])), "64-streams-share")
			b.ReportMetric(0, "ns/op")
		})
	}
}
