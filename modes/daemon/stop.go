package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"rbee.dev/rbee/modes/home"
)

// WaitEnd returns when the process has ended, or with an error when ctx has.
func WaitEnd(ctx context.Context, p Process) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for p.Alive() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for process %d to end: %w", p.PID, context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}

// Kill ends the process for certain: by SIGTERM, and by SIGKILL when it is
// still there after patience.
func Kill(ctx context.Context, p Process, patience time.Duration) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("end process %d: %w", p.PID, err)
	}
	polite, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if WaitEnd(polite, p) == nil {
		return nil
	}
	return KillNow(ctx, p)
}

// KillNow ends the process by SIGKILL, so that it has no say in what ends with it.
func KillNow(ctx context.Context, p Process) error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	return WaitEnd(ctx, p)
}

// HasWorkers reports whether workers of h run.
func HasWorkers(h home.Home) bool {
	return slices.ContainsFunc(workerRecords(h), func(file string) bool {
		_, alive, err := Running(file)
		return err == nil && alive
	})
}

// KillLeftovers ends a hive and workers of h that still run although what
// should have stopped them is gone, and removes the workers' folders. It reports how
// many processes there were.
func KillLeftovers(h home.Home) (ended int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	files := append([]string{h.PIDFile("hive")}, workerRecords(h)...)
	errs := make([]error, len(files))
	var ending sync.WaitGroup // all at once: each may take its time
	for i, file := range files {
		r, alive, err := Running(file)
		if err != nil || !alive {
			continue
		}
		ended++
		ending.Go(func() { errs[i] = Kill(ctx, r.Process, 5*time.Second) })
	}
	ending.Wait()
	for _, file := range workerRecords(h) {
		errs = append(errs, os.RemoveAll(filepath.Dir(file)))
	}
	return ended, errors.Join(errs...)
}
