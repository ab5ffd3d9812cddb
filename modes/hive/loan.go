package hive

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"rbee.dev/rbee/ops"
)

// loan is a model that another hive copies: from its first request for a file until
// it says that it is over, or says nothing for a while.
type loan struct {
	hive     string // that gets it, or ""
	job      string // it is for, or ""
	requests int    // under way
	heard    time.Time
}

// loanLapses is after how long a hive counts as gone that asks for no more of a model
// and has not said that it has it.
const loanLapses = time.Minute

// stands reports whether somebody may still want the model.
func (l *loan) stands() bool { return l.requests > 0 || time.Since(l.heard) < loanLapses }

// lend notes that a file of a model is asked for, until the function that it
// returns is called. The model stays lent for a while: a copy is many requests.
func (m *models) lend(id, hive, job string) (over func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := slices.DeleteFunc(m.lent[id], func(l *loan) bool { return !l.stands() })
	i := slices.IndexFunc(list, func(l *loan) bool { return l.hive == hive && l.job == job })
	if i < 0 {
		i, list = len(list), append(list, &loan{hive: hive, job: job})
	}
	l := list[i]
	l.requests++
	m.lent[id] = list
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		l.requests--
		l.heard = time.Now()
	}
}

// takeBack notes that a hive wants no more of a model.
func (m *models) takeBack(id, hive, job string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := slices.DeleteFunc(m.lent[id], func(l *loan) bool { return l.hive == hive && l.job == job })
	if m.lent[id] = list; len(list) == 0 {
		delete(m.lent, id)
	}
}

// unlent refuses what would break a copy of the model that is being made.
func (m *models) unlent(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.lent[id], (*loan).stands)
	if i < 0 {
		return nil
	}
	l := m.lent[id][i]
	return ops.Errorf(ops.CodeConflict, "the model %s is being copied to hive %s", id, l.hive).WithHint("%s", endIt(l.job))
}

// endIt is how a person ends the job by which a model comes, "" where it is not known.
func endIt(job string) string {
	if job == "" {
		return "`rbee job list` shows the job that it is for, and `rbee job cancel` ends that"
	}
	return fmt.Sprintf("`rbee job follow %s` shows how far that is, `rbee job cancel %s` ends it", job, job)
}

// jobOf is the job of ctx as the queen calls it, or "".
func jobOf(ctx context.Context) string {
	if sink := ops.SinkOf(ctx); sink != nil {
		return strings.TrimSuffix(sink.JobID(), ops.ForModel)
	}
	return ""
}

// giveBackWithin bounds how long it may take to say that a copy is over: the loan
// lapses by itself.
const giveBackWithin = time.Second

// giveBack tells the hive that p's files come from that no more is wanted of them,
// unless what had them brought goes on after a restart.
func (m *models) giveBack(ctx context.Context, p plan) {
	at, err := url.Parse(p.files[0].URL)
	if err != nil || errors.Is(context.Cause(ctx), ops.ErrDetached) {
		return
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(at.Path, "/"), "/")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackWithin)
	defer cancel()
	answer, err := m.wants.ask(ctx, ops.Want{HiveID: p.hive, Model: id, Over: true})
	if err == nil {
		_ = answer.Body.Close() // it has no error
	}
}
