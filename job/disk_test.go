package job_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"rbee.dev/rbee/job"
	"rbee.dev/rbee/ops"
)

// full opens a file that has no room.
func full(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("only Linux has a file that is always full: %v", err)
	}
	t.Cleanup(func() { _ = f.Close() }) // the log may have closed it
	return f
}

// filling is work that says three tokens, of which only the first two find room,
// and hands on why it was ended.
type filling struct {
	two, room, ended chan struct{}
	cause            error
	heeds            bool // returns an error when it is ended
}

func newFilling(heeds bool) *filling {
	return &filling{two: make(chan struct{}), room: make(chan struct{}), ended: make(chan struct{}), heeds: heeds}
}

func (f *filling) run(ctx context.Context, _ ops.HiveOp) (any, error) {
	tokens(ctx, 2)
	close(f.two)
	<-f.room
	ops.Emit(ctx, ops.TokenEvent{Text: "lost"})
	<-ctx.Done()
	f.cause = context.Cause(ctx)
	close(f.ended)
	<-f.room
	if f.heeds {
		return nil, ctx.Err()
	}
	return "done", nil
}

// failedForWantOfRoom checks what readers of such a job get.
func failedForWantOfRoom(t *testing.T, frames []frame) {
	t.Helper()
	if len(frames) != 4 || frames[1].data != `{"text":"t2"}` || frames[2].kind != "error" ||
		!strings.Contains(frames[2].data, "cannot write the job's log") || !strings.Contains(frames[2].data, "no space left on device") ||
		!strings.HasPrefix(frames[3].data, "[ERROR] cannot write the job's log") {
		t.Errorf("events %v, want two tokens, an error that says that the disk is full, and the end", frames)
	}
}

func TestAJobWhoseLogHasNoRoomFailsAndSaysWhy(t *testing.T) {
	for name, tail := range map[string]int{"from memory": 64 << 10, "what is older from the file": 1} {
		for _, heeds := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				f := newFilling(heeds)
				d := serve(t, f.run, func(o *job.Options[ops.HiveOp]) { o.TailBytes = tail })
				id := d.submit(infer)
				<-f.two
				file := d.ReplaceLogFile(id, full(t))
				defer file.Close()
				close(f.room)
				failedForWantOfRoom(t, d.all(id))
				failedForWantOfRoom(t, d.all(id)) // a late reader
				if j := d.job(id); j.State != ops.JobFailed || j.Error.Code != ops.CodeInternal || j.Error.Hint == "" {
					t.Errorf("job %+v", j)
				}
				if code := ops.CodeOf(f.cause); code != ops.CodeInternal {
					t.Errorf("the work was ended with code %q (%v)", code, f.cause)
				}
				d.Restart(mustNotRun(t))
				if status, _ := d.request(http.MethodGet, "/v1/jobs/"+id, ""); status != http.StatusNotFound {
					t.Errorf("after a restart the job is %d, want 404: it had failed, and its end is lost", status)
				}
				if left, _ := filepath.Glob(filepath.Join(d.Options.Dir, "[^.]*")); len(left) > 0 {
					t.Errorf("%v are left", left)
				}
			})
		}
	}
}

// mustNotRun is work that nobody asked for.
func mustNotRun(t *testing.T) work {
	return func(context.Context, ops.HiveOp) (any, error) {
		t.Error("the job ran again")
		return nil, nil
	}
}

func TestTheEndIsWrittenWhenThereIsRoomAgain(t *testing.T) {
	f := newFilling(true)
	f.room = make(chan struct{})
	d := serve(t, f.run)
	id := d.submit(infer)
	<-f.two
	file := d.ReplaceLogFile(id, full(t))
	if _, err := file.WriteString(`{"id":3,"kind":"tok`); err != nil { // what found room of the third
		t.Fatal(err)
	}
	f.room <- struct{}{}
	<-f.ended
	d.ReplaceLogFile(id, file)
	close(f.room)
	want := d.all(id)
	failedForWantOfRoom(t, want)
	d.Restart(mustNotRun(t))
	failedForWantOfRoom(t, d.all(id))
	if j := d.job(id); j.State != ops.JobFailed {
		t.Errorf("job %+v", j)
	}
}

func TestAFolderThatCannotBeWrittenToIsAnErrorAtStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	locked := filepath.Join(t.TempDir(), "locked")
	if err := os.Mkdir(locked, 0o500); err != nil {
		t.Fatal(err)
	}
	dirs := map[string]string{"below a file": filepath.Join(file, "jobs"), "a file": file}
	if os.Geteuid() != 0 {
		dirs["no permission"] = locked
	}
	if runtime.GOOS == "linux" {
		dirs["a folder that takes no files"] = "/proc"
	}
	for name, dir := range dirs {
		t.Run(name, func(t *testing.T) {
			_, err := job.NewServer(job.Options[ops.HiveOp]{Dir: dir, Run: mustNotRun(t)})
			if err == nil || !strings.Contains(err.Error(), "folder of the jobs' logs") || !strings.Contains(err.Error(), dir) {
				t.Errorf("NewServer() = %v, want an error that names the folder", err)
			}
		})
	}
}

func TestAJobWhoseLogCannotBeMadeIsRefused(t *testing.T) {
	d := serve(t, mustNotRun(t))
	if err := os.RemoveAll(d.Options.Dir); err != nil {
		t.Fatal(err)
	}
	status, text := d.request(http.MethodPost, "/v1/jobs", infer)
	if status != http.StatusInternalServerError || !strings.Contains(text, "cannot start the job") || !strings.Contains(text, d.Options.Dir) {
		t.Errorf("%d %s, want an error that names the folder", status, text)
	}
	if jobs := d.Jobs(); len(jobs) != 0 {
		t.Errorf("jobs %v", jobs)
	}
}
