package hive

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
)

// answerWithin is how long a worker that was found may take to say what it is.
const answerWithin = 3 * time.Second

// startingWithin is how long a process may take from its start to its pid file.
const startingWithin = time.Second

// adopt takes back the workers that an earlier hive process started and that
// still run, and clears away what is left of the others, but for the newest logs.
func (f *fleet) adopt(ctx context.Context) error {
	entries, err := os.ReadDir(f.home.Workers())
	if err != nil {
		return err
	}
	for _, e := range entries {
		folder := f.home.Worker(e.Name())
		record, alive := runningIn(ctx, folder)
		if !alive {
			if err := bury(folder); err != nil {
				f.log.Warn().Err(err).Msg("the folder of a dead worker stays")
			}
			continue
		}
		if err := f.takeBack(ctx, e.Name(), folder, record); err != nil {
			f.log.Warn().Err(err).Str("worker", e.Name()).Int("pid", record.PID).Msg("a worker that was found is of no use; ending it")
			err = errors.Join(daemon.Kill(ctx, record.Process, endWithin), unmake(folder))
			if err != nil {
				f.log.Error().Err(err).Str("worker", e.Name()).Msg("it cannot be ended")
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clearGraves()
	return nil
}

// runningIn is the live worker of a folder, if there is one. One that a hive
// started just before it ended may not have its pid file yet.
func runningIn(ctx context.Context, folder string) (daemon.Record, bool) {
	for {
		record, alive, err := daemon.Running(filepath.Join(folder, home.WorkerPID))
		if err != nil || alive || record.PID != 0 {
			return record, alive
		}
		info, err := os.Stat(folder)
		if err != nil || time.Since(info.ModTime()) > startingWithin {
			return record, false
		}
		select {
		case <-ctx.Done():
			return record, false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// takeBack makes a running process a member of the fleet again.
func (f *fleet) takeBack(ctx context.Context, id, folder string, r daemon.Record) error {
	m := newMember(id, folder, f.hive, want{})
	m.process = r.Process
	state, err := firstState(ctx, m)
	if err != nil {
		return err
	}
	m.heard(state)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members[id] = m
	f.owners.Go(func() { f.own(m) })
	return nil
}

// firstState asks a worker that was found running what it is.
func firstState(ctx context.Context, m *member) (ops.Worker, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var state ops.Worker
	var err error
	for ctx.Err() == nil {
		for text, broken := range m.client.State(ctx) {
			if err = broken; err != nil {
				break
			}
			err = json.Unmarshal(text, &state)
			return state, err
		}
		select { // it has its pid file, but does not listen yet
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return state, errors.Join(errors.New("it does not answer"), err)
}
