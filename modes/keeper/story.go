package keeper

import (
	"fmt"

	"github.com/cheggaaa/pb/v3"

	"rbee.dev/rbee/ops"
)

// story shows a person how a job goes, on standard error: what it narrates, a
// line each, and a bar for what takes long where that is a terminal.
type story struct {
	k   *Keeper
	bar *pb.ProgressBar
	of  string // the action that the bar is for
}

func (k *Keeper) newStory() *story { return &story{k: k} }

// tell shows one event.
func (s *story) tell(e ops.Event) {
	switch e := e.(type) {
	case ops.NarrationEvent:
		s.close()
		if e.Level == ops.LevelWarn {
			s.k.say("%s: warning: %s", e.Actor, e.Human)
			return
		}
		s.k.say("%s: %s", e.Actor, e.Human)
	case ops.ProgressEvent:
		s.progress(e)
	case ops.TokenEvent, ops.ResultEvent, ops.ErrorEvent, ops.EndEvent:
	}
}

// barTemplate is how a bar looks: who, how much of how much, how fast once that is
// known.
const barTemplate pb.ProgressBarTemplate = `{{string . "prefix"}}{{counters . }} {{bar . }} {{percent . }} {{speed . "%s/s" " "}}`

func (s *story) progress(e ops.ProgressEvent) {
	if s.k.Quiet || !atTerminal(s.k.Stderr) {
		return // a log has no use for a bar
	}
	if s.bar == nil || s.of != e.Action {
		s.close()
		s.of = e.Action
		s.bar = pb.New64(e.Total).SetTemplate(barTemplate)
		s.bar.Set(pb.Bytes, e.Unit == "bytes")
		s.bar.SetWriter(s.k.Stderr)
		s.bar.Set("prefix", fmt.Sprintf("%s: ", e.Actor))
		s.bar.Start()
	}
	s.bar.SetTotal(e.Total)
	s.bar.SetCurrent(e.Done)
}

// close ends the bar, if there is one.
func (s *story) close() {
	if s.bar != nil {
		s.bar.Finish()
		s.bar = nil
	}
}
