package job_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
)

// follower is work that forwards: it says the tokens from where its cursor is,
// to the end of n, and stops early, for a restart, before `until`.
func follower(n, until int, reached chan<- struct{}) work {
	return func(ctx context.Context, _ ops.HiveOp) (any, error) {
		sink := ops.SinkOf(ctx)
		for i := int(sink.Cursor().Last); i < n; i++ {
			if i == until {
				close(reached)
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
			sink.Mark(ops.TokenEvent{Text: fmt.Sprintf("t%d", i+1)}, ops.Cursor{Target: "w", JobID: "j", Last: uint64(i + 1)})
		}
		return "done", nil
	}
}

func TestAJobGoesOnAfterARestart(t *testing.T) {
	const n = 100
	dir := t.TempDir()
	in := func(o *job.Options[ops.HiveOp]) { o.Dir = dir }
	reached := make(chan struct{})
	d := serve(t, follower(n, 60, reached), in)
	id := d.submit(infer)
	first, err := d.read(t.Context(), id, 0, 60)
	if err != nil {
		t.Fatal(err)
	}
	<-reached
	bounded, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := d.Detach(bounded); err != nil {
		t.Fatal(err)
	}
	if rest, err := d.read(t.Context(), id, 60, -1); err != nil || len(rest) != 0 {
		t.Errorf("a stream of the restarting daemon: %v, %v, want it closed without an end", rest, err)
	}
	d.Close()

	d = serve(t, follower(n, -1, nil), in)
	rest, err := d.read(t.Context(), id, 60, -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := inOrder(append(first, rest...), n); err != nil {
		t.Error(err)
	}
	if err := inOrder(d.all(id), n); err != nil {
		t.Errorf("a new reader: %v", err)
	}
	if j := d.job(id); j.StartedAt == nil || !j.StartedAt.Equal(j.CreatedAt) {
		t.Errorf("it counts as begun at %v, and was at %v", j.StartedAt, j.CreatedAt)
	}
}

// killed copies a daemon's folder while a job runs, as a kill would leave it,
// with half a line at the end of the log.
func killed(t *testing.T, n, until int) (dir, id string) {
	t.Helper()
	from, dir := t.TempDir(), t.TempDir()
	reached := make(chan struct{})
	d := serve(t, follower(n, until, reached), func(o *job.Options[ops.HiveOp]) { o.Dir = from })
	id = d.submit(infer)
	<-reached
	text, err := os.ReadFile(filepath.Join(from, id+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, `{"id":9999,"kind":"token","da`...)
	if err := os.WriteFile(filepath.Join(dir, id+".jsonl"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, id
}

func TestAJobGoesOnAfterAKill(t *testing.T) {
	dir, id := killed(t, 50, 30)
	d := serve(t, follower(50, -1, nil), func(o *job.Options[ops.HiveOp]) { o.Dir = dir })
	if err := inOrder(d.all(id), 50); err != nil {
		t.Error(err)
	}
}

func TestAFinishedJobIsRememberedAcrossARestart(t *testing.T) {
	dir := t.TempDir()
	in := func(o *job.Options[ops.HiveOp]) { o.Dir = dir }
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		tokens(ctx, 5)
		return nil, errors.New("odd")
	}, in)
	id := d.submit(infer)
	want := d.all(id)
	d.Close()
	d = serve(t, func(context.Context, ops.HiveOp) (any, error) { t.Error("it ran again"); return nil, nil }, in)
	got := d.all(id)
	if len(got) != len(want) || got[6] != want[6] {
		t.Errorf("got %v, want %v", got, want)
	}
	if j := d.job(id); j.State != ops.JobFailed || j.Error == nil || j.Error.Message != "odd" || j.Operation != "infer" {
		t.Errorf("job %+v", j)
	}
}

func TestAJobThatCannotBeTakenUpFailsAndOtherFilesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old0000000000000.jsonl", `{"job_id":"old0000000000000","operation":"dream","op":{"operation":"dream"},"created_at":"2026-01-01T00:00:00Z"}`+"\n")
	write("broken0000000000.jsonl", "not a log\n")
	write("empty00000000000.jsonl", "")
	write("note.txt", "a person's")
	d := serve(t, nothing, func(o *job.Options[ops.HiveOp]) { o.Dir = dir })
	if j := d.job("old0000000000000"); j.State != ops.JobFailed || j.Error.Code != ops.CodeUnsupported {
		t.Errorf("a job of an operation that is no more: %+v", j)
	}
	if status, _ := d.request("GET", "/v1/jobs/broken0000000000", ""); status != 404 {
		t.Errorf("a broken log became a job: %d", status)
	}
}

// large is an operation of more than a prompt's usual size.
var large = `{"operation":"infer","prompt":"` + strings.Repeat("x", 300<<10) + `"}`

func TestAFinishedJobWithALargeOperationIsNotRunAgain(t *testing.T) {
	d := serve(t, func(ctx context.Context, _ ops.HiveOp) (any, error) {
		tokens(ctx, 3)
		return "done", nil
	})
	id := d.submit(large)
	d.all(id)
	d.Restart(mustNotRun(t))
	if err := inOrder(d.all(id), 3); err != nil {
		t.Error(err)
	}
	if again := d.submit(strings.Replace(large, "{", `{"job_id":"`+id+`",`, 1)); again != id {
		t.Errorf("the same operation under the same id is job %s", again)
	}
}

func TestAPasswordInAnOperationIsNotTold(t *testing.T) {
	var ran ops.HiveOp
	d := serve(t, func(_ context.Context, o ops.HiveOp) (any, error) { ran = o; return "done", nil })
	id := d.submit(`{"operation":"model_download","model":"http://bee:secret@host/x.gguf"}`)
	d.all(id)
	if o, ok := ran.(ops.ModelDownload); !ok || o.Model != "http://bee:secret@host/x.gguf" {
		t.Errorf("what ran is %+v", ran)
	}
	for _, path := range []string{"/v1/jobs", "/v1/jobs/" + id} {
		if _, text := d.request(http.MethodGet, path, ""); strings.Contains(text, "secret") || !strings.Contains(text, "bee:xxxxx@host") {
			t.Errorf("%s tells %s", path, text)
		}
	}
}

func TestALargeOperationIsToldOfItsJobAndNotInLists(t *testing.T) {
	d := serve(t, nothing)
	id := d.submit(large)
	d.all(id)
	var o ops.Infer
	if err := json.Unmarshal(d.job(id).Op, &o); err != nil || len(o.Prompt) != 300<<10 {
		t.Errorf("the job's prompt has %d bytes, %v", len(o.Prompt), err)
	}
	_, text := d.request(http.MethodGet, "/v1/jobs", "")
	var list ops.Jobs
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Jobs) != 1 || string(list.Jobs[0].Op) != "null" {
		t.Errorf("the list has %d bytes, %v", len(text), err)
	}
}

// left returns a daemon over a folder that a killed process left: the log of one
// job called left, with lines behind its first.
func left(t *testing.T, run work, lines string) *daemon {
	t.Helper()
	dir := t.TempDir()
	head := `{"job_id":"` + leftID + `","operation":"infer","op":` + infer + `,"created_at":"2026-01-01T00:00:00Z"}` + "\n"
	if err := os.WriteFile(filepath.Join(dir, leftID+".jsonl"), []byte(head+lines), 0o600); err != nil {
		t.Fatal(err)
	}
	return serve(t, run, func(o *job.Options[ops.HiveOp]) { o.Dir = dir })
}

const leftID = "left-by-a-process-01"

func TestAResultWithoutItsEndIsNotToldTwice(t *testing.T) {
	d := left(t, func(context.Context, ops.HiveOp) (any, error) { return "done", nil },
		`{"id":1,"kind":"token","data":{"text":"t1"}}`+"\n"+`{"id":2,"kind":"result","data":"half-told"}`+"\n")
	if err := inOrder(d.all(leftID), 1); err != nil {
		t.Error(err)
	}
}

func TestAJobsOwnWordsSurviveALongError(t *testing.T) {
	d := serve(t, func(context.Context, ops.HiveOp) (any, error) {
		return nil, errors.New(strings.Repeat("very ", 10<<10) + "odd")
	})
	id := d.submit(infer)
	want := d.all(id)
	d.Restart(mustNotRun(t))
	if diff := cmp.Diff(want, d.all(id), cmp.AllowUnexported(frame{})); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
}

func TestAJobWhoseLogHadNoNameYetIsTakenUp(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const one, two = "the-first-job-of-it", "the-second-job-of-it"
	head := func(id, prompt string) string {
		return `{"job_id":"` + id + `","operation":"infer","op":{"operation":"infer","prompt":"` + prompt + `"},"created_at":"2026-01-02T03:04:05Z"}` + "\n"
	}
	put(".spare-1", head(one, "a")+`{"id":1,"kind":"token","data":{"text":"said before"}}`+"\n")
	put(".spare-2", "")
	put(".spare-3", head(two, "b")[:40])                     // torn
	put(".spare-4", head("../../outside-of-here", "c"))      // nobody's id
	put(two+".jsonl", head(two, "the older one has the id")) // and keeps it
	put(".spare-5", head(two, "d"))
	d := serve(t, func(ctx context.Context, o ops.HiveOp) (any, error) {
		ops.Emit(ctx, ops.TokenEvent{Text: "said now"})
		return o.(ops.Infer).Prompt, nil
	}, func(o *job.Options[ops.HiveOp]) { o.Dir = dir })
	for id, want := range map[string][]string{
		one: {`{"text":"said before"}`, `{"text":"said now"}`, `"a"`, "[DONE]"},
		two: {`{"text":"said now"}`, `"the older one has the id"`, "[DONE]"},
	} {
		var got []string
		for _, f := range d.all(id) {
			got = append(got, f.data)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("job %s (-want +got):\n%s", id, diff)
		}
	}
	if jobs := d.list(); len(jobs) != 2 {
		t.Errorf("there are %d jobs: %v", len(jobs), jobs)
	}
	d.Close()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Errorf("the folder holds %v, %v", files, err)
	}
}

func TestALogThatWasNeverBegunMakesRoomForItsID(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "half a first line": `{"job_id":"` + leftID} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, leftID+".jsonl")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			d := serve(t, func(context.Context, ops.HiveOp) (any, error) { return "done", nil },
				func(o *job.Options[ops.HiveOp]) { o.Dir = dir })
			if n := len(d.Jobs()); n != 0 {
				t.Errorf("%d jobs", n)
			}
			id := d.submit(`{"operation":"infer","prompt":"x","job_id":"` + leftID + `"}`)
			if err := inOrder(d.all(id), 0); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAReaderFollowsAJobThroughManyRestarts(t *testing.T) {
	const n, each = 90, 10
	var reached chan struct{}
	runTo := func(until int) work {
		reached = make(chan struct{})
		return follower(n, until, reached)
	}
	d := serve(t, runTo(each), func(o *job.Options[ops.HiveOp]) { o.TailBytes = 1 })
	id := d.submit(infer)
	var got []frame
	for until := each; until < n; until += each {
		part, err := d.read(t.Context(), id, uint64(len(got)), each)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, part...)
		<-reached
		d.Restart(runTo(until + each))
	}
	part, err := d.read(t.Context(), id, uint64(len(got)), -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := inOrder(append(got, part...), n); err != nil {
		t.Error(err)
	}
}
