package slice

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// slices are those of a process's threads in nanoseconds. Kernels before 6.12
// say 0 of each.
func slices(t *testing.T, pid int) map[uint64]int {
	t.Helper()
	threads, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		t.Fatal(err)
	}
	all := map[uint64]int{}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		a, err := unix.SchedGetAttr(id, 0)
		if err != nil {
			t.Fatal(err)
		}
		all[a.Runtime]++
	}
	return all
}

// shortAgain has this process's threads have short slices until the test's end, and
// returns what the kernel is to say of each: 0 where it keeps none for ordinary
// threads, which shows in their usual ones.
func shortAgain(t *testing.T) (want uint64) {
	t.Helper()
	if slices(t, os.Getpid())[0] == 0 {
		want = short
	}
	t.Cleanup(func() {
		if err := Usual(); err != nil {
			t.Error(err)
		}
	})
	if err := Short(); err != nil {
		t.Fatal(err)
	}
	return want
}

func TestEveryThreadHasShortSlicesAndGetsItsOwnBack(t *testing.T) {
	want := shortAgain(t)
	hold, started := make(chan struct{}), make(chan struct{})
	for range 3 { // threads that are new
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			started <- struct{}{}
			<-hold
		}()
		<-started
	}
	if got := slices(t, os.Getpid()); len(got) != 1 || got[want] < 4 {
		t.Errorf("after Short there are threads with slices of %v ns, want %d alone", got, want)
	}
	close(hold)
	if err := Usual(); err != nil {
		t.Fatal(err)
	}
	if got := slices(t, os.Getpid()); got[short] > 0 {
		t.Errorf("after Usual there are threads with slices of %v ns", got)
	}
}

func TestChildrenOfAShortSlicedProcessMayHaveTheUsualOnes(t *testing.T) {
	want := shortAgain(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	child := func() map[uint64]int {
		cmd := exec.CommandContext(t.Context(), "cat")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		got := slices(t, cmd.Process.Pid)
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		return got
	}
	back := UsualHere()
	if got := child(); got[short] > 0 {
		t.Errorf("the child's threads have slices of %v ns", got)
	}
	back()
	if got := child(); got[want] == 0 {
		t.Errorf("once it is undone the child's threads have slices of %v ns", got)
	}
}

func TestASliceChangesNoPriority(t *testing.T) {
	runtime.LockOSThread() // never unlocked: the thread ends with its priority
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	before.Nice = 3
	if err := unix.SchedSetAttr(0, before, 0); err != nil {
		t.Fatal(err)
	}
	back := UsualHere()
	defer back()
	if err := set(0, short); err != nil {
		t.Fatal(err)
	}
	if after, err := unix.SchedGetAttr(0, 0); err != nil || after.Nice != 3 {
		t.Errorf("its nice value was 3 and is %d now, %v", after.Nice, err)
	}
}
