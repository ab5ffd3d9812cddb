package modes_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the database driver of queens

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh/lab"
)

// timed runs a command on the queen's machine of a lab, which must succeed.
func timed(b *testing.B, cmd *exec.Cmd) time.Duration {
	b.Helper()
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %v: %s", cmd.Args, err, out)
	}
	return time.Since(began)
}

// BenchmarkLabInstall installs the stripped binary over a link of 1 Gbit/s, where an
// answer takes 1 ms: from
// the command to the hive's answer, the copy beside scp's of the same file, and
// again with nothing to do.
func BenchmarkLabInstall(b *testing.B) {
	stripped := filepath.Join(b.TempDir(), "rbee")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", stripped, "rbee.dev/rbee")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	timed(b, build)
	l := lab.Start(b, lab.Machine{Name: "gpu1", Delay: 500 * time.Microsecond})
	l.Machine("gpu1").Limit("1gbit")
	home := b.TempDir()
	rbee := func(args ...string) time.Duration {
		b.Helper()
		cmd := l.Command(stripped, args...)
		cmd.Env = append(cmd.Env, "RBEE_HOME="+home, "RBEE_LISTEN=127.0.0.1:0", "RBEE_QUEEN=")
		return timed(b, cmd)
	}
	rbee("queen", "start")
	b.Cleanup(func() { rbee("queen", "stop") })
	token := func() string {
		text, err := os.ReadFile(filepath.Join(home, "state", "queen.token"))
		if err != nil {
			b.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	var fresh, again, scp, copied []time.Duration
	for b.Loop() {
		fresh = append(fresh, rbee("hive", "install", "--host", "gpu1"))
		copied = append(copied, copying(b, l, home, token()))
		again = append(again, rbee("hive", "install", "--host", "gpu1"))
		rbee("hive", "uninstall", "gpu1")
		scp = append(scp, timed(b, l.Command("scp", "-q", "-F", filepath.Join(l.Home, ".ssh", "config"), stripped, "gpu1:copy")))
	}
	b.ReportMetric(float64(median(fresh).Milliseconds()), "install-ms")
	b.ReportMetric(float64(median(again).Milliseconds()), "again-ms")
	b.ReportMetric(float64(median(copied).Milliseconds()), "copy-ms")
	b.ReportMetric(float64(median(scp).Milliseconds()), "scp-ms")
	b.ReportMetric(0, "ns/op")
}

// copying is how long the copy of the newest install took, by what the job said:
// from the copy's beginning, the check of what arrived included, to the start of
// the hive.
func copying(b *testing.B, l *lab.Lab, home, token string) time.Duration {
	b.Helper()
	record, err := daemon.Read(filepath.Join(home, "state", "queen.pid"))
	if err != nil {
		b.Fatal(err)
	}
	get := func(path string) []byte {
		b.Helper()
		out, err := l.Command("curl", "-sS", "-H", "Authorization: Bearer "+token, "http://"+record.Address+path).Output()
		if err != nil {
			b.Fatal(err)
		}
		return out
	}
	var list ops.Jobs
	if err := json.Unmarshal(get("/v1/jobs"), &list); err != nil {
		b.Fatal(err)
	}
	newest := slices.IndexFunc(list.Jobs, func(j ops.Job) bool { return j.Operation == "hive_install" })
	at := map[string]time.Time{}
	for line := range strings.Lines(string(get("/v1/jobs/" + list.Jobs[newest].ID + "/stream"))) {
		var n ops.NarrationEvent
		if data, ok := strings.CutPrefix(line, "data: {"); ok && json.Unmarshal([]byte("{"+data), &n) == nil && n.Action != "" && !n.At.IsZero() {
			at[n.Action] = n.At
		}
	}
	return at["hive_start"].Sub(at["binary_copy"])
}

// BenchmarkListOfFiftyHives lists fifty hives, half of which refuse connections
// and half of which never answer.
func BenchmarkListOfFiftyHives(b *testing.B) {
	home := b.TempDir()
	rbee := func(args ...string) time.Duration {
		b.Helper()
		cmd := exec.Command(binary, args...)
		cmd.Env = append(os.Environ(), "RBEE_HOME="+home, "RBEE_LISTEN=127.0.0.1:0", "RBEE_QUEEN=")
		return timed(b, cmd)
	}
	rbee("queen", "start")
	rbee("queen", "stop")
	db, err := sql.Open("sqlite", filepath.Join(home, "state", "queen.db"))
	if err != nil {
		b.Fatal(err)
	}
	for i := range 50 {
		host := []string{"127.0.0.1", "192.0.2.1"}[i%2] // one refuses, of the other nothing is ever heard (RFC 5737)
		remote := fmt.Sprintf(`{"host":%q,"port":1,"user":"alice","site":{"data":"/d","state":"/s","models":"/m"}}`, host)
		if _, err := db.ExecContext(b.Context(), "INSERT INTO hives (id, snapshot, seen_at, remote) VALUES (?, '{}', 0, ?)", fmt.Sprintf("hive%d", i), remote); err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	rbee("queen", "start")
	b.Cleanup(func() { rbee("queen", "stop") })
	var list []time.Duration
	for b.Loop() {
		list = append(list, rbee("hive", "list"))
	}
	b.ReportMetric(float64(median(list).Microseconds())/1000, "list-ms")
	b.ReportMetric(0, "ns/op")
}
