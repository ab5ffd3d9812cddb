package job_test

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/job/jobtest"
	"rbee.dev/rbee/ops"
)

// victim names the folder of jobs of a daemon that this binary is to be.
const victim = "JOB_TEST_DIR"

// serveAsVictim is a daemon in a process of its own, that says where it listens
// and whose jobs talk until it is killed.
func serveAsVictim(dir string) error {
	s, err := job.NewServer(job.Options[ops.HiveOp]{Dir: dir, Run: follower(math.MaxInt, -1, nil), Log: zerolog.Nop()})
	if err != nil {
		return err
	}
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	return http.Serve(l, s) //nolint:gosec // it is killed soon
}

func TestAJobGoesOnWhenItsProcessWasKilled(t *testing.T) {
	dir := t.TempDir()
	process := exec.CommandContext(t.Context(), os.Args[0])
	process.Env = append(os.Environ(), victim+"="+dir)
	process.Stderr = os.Stderr
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{Server: &jobtest.Server[ops.HiveOp]{URL: strings.TrimSpace(url)}, t: t}
	id := d.submit(infer)
	before, err := d.read(t.Context(), id, 0, 2000)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = process.Wait() // it says that it was killed

	d = serve(t, func(ctx context.Context, o ops.HiveOp) (any, error) {
		n := int(ops.SinkOf(ctx).Cursor().Last)
		return follower(n+10, -1, nil)(ctx, o)
	}, func(o *job.Options[ops.HiveOp]) { o.Dir = dir })
	after, err := d.read(t.Context(), id, uint64(len(before)), -1)
	if err != nil {
		t.Fatal(err)
	}
	all := append(before, after...)
	t.Logf("killed at event %d, at the earliest at %d", len(all)-12, len(before))
	if err := inOrder(all, len(all)-2); err != nil {
		t.Error(err)
	}
}
