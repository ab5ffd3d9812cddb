package modes_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

func TestAJobOutlivesItsCommandAndIsFollowedFromItsFirstEvent(t *testing.T) {
	p := newPlace(t)
	p.rbee("queen", "start")
	cmd := p.command("infer", "-o", "events", "-n", "60", "Once upon a time")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), `"event":"token"`) {
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its status is the signal's
	var list ops.Jobs
	if err := json.Unmarshal([]byte(p.rbee("job", "list", "-o", "json")), &list); err != nil || len(list.Jobs) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	told := p.rbee("job", "follow", list.Jobs[0].ID)
	var job ops.Job
	if err := json.Unmarshal([]byte(p.rbee("job", "get", list.Jobs[0].ID, "-o", "json")), &job); err != nil || job.State != ops.JobCompleted {
		t.Errorf("it is %s, %v", job.State, err)
	}
	if answer := p.rbee("job", "follow", list.Jobs[0].ID); strings.TrimSpace(told) == "" || answer != told {
		t.Errorf("followed while it ran: %q, and when it has ended: %q", told, answer)
	}
}

// TestAJobIsCancelledWhoseReaderGoesBeforeItHasSaidAnything: `-o json` says nothing
// before the end.
func TestAJobIsCancelledWhoseReaderGoesBeforeItHasSaidAnything(t *testing.T) {
	p := newPlace(t)
	p.rbee("worker", "spawn", "slow")
	cmd := p.command("infer", "-o", "json", "-m", "slow", "-n", "300", "Once")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("it ends with %v", err)
	}
	var list ops.Jobs
	if err := json.Unmarshal([]byte(p.rbee("job", "list", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, job := range list.Jobs {
		if job.Operation == "infer" && job.State == ops.JobCompleted {
			t.Errorf("the answer was made for nobody: %+v", job)
		}
	}
}

// TestAWorkerThatIsKilledFailsAnAnswerInJSONToo: in all its forms it is one answer,
// which can be followed as it comes, and no other worker begins it anew.
func TestAWorkerThatIsKilledFailsAnAnswerInJSONToo(t *testing.T) {
	p := newPlace(t)
	p.rbee("worker", "spawn", "slow")
	cmd := p.command(append(p.slowly(), "-o", "json")...)
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var id string
	for end := time.Now().Add(time.Minute); id == "" && time.Now().Before(end); {
		var list ops.Jobs
		if err := json.Unmarshal([]byte(p.rbee("job", "list", "-o", "json")), &list); err != nil {
			t.Fatal(err)
		}
		for _, job := range list.Jobs {
			if job.Operation == "infer" {
				id = job.ID
			}
		}
	}
	follower := p.watch("job", "follow", id)
	p.kill(p.workers()[0].PID)
	if _, code := follower.end(); code != 1 {
		t.Errorf("who follows it ends with %d: %s", code, follower.stderr.String())
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 || out.Len() > 0 {
		t.Errorf("it ends with %v and prints %s", err, out.String())
	}
}
