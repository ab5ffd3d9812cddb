package engines

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"

	"rbee.dev/rbee/inference/llamacpp"
	"rbee.dev/rbee/modes/hive/fetch"
	"rbee.dev/rbee/ops"
)

// damaged is the error of an archive that cannot be unpacked, or holds something
// else than it should, unless err says more already.
func (o offer) damaged(ctx context.Context, name string, err error) error {
	if _, said := errors.AsType[*ops.Error](err); said || ctx.Err() != nil {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("it is cut short")
	}
	e := ops.Errorf(ops.CodeUnavailable, "%s is no archive of llama.cpp's that can be used: %w", fetch.Shown(o.urls[name]), err)
	if o.lone {
		return e.WithHint("take another: `rbee engine install` without --from chooses one of llama.cpp's own")
	}
	return e.WithHint("take another VERSION, or another place with --from")
}

// unfit is the error of a release that has come whole, and is of no use here: asked
// for its version the program gave v and err. It was unpacked into temp, which nobody
// finds there afterwards.
func (o offer) unfit(a asset, v llamacpp.Version, temp string, err error) error {
	what, newest, other := a.id(), "without a version", "another build may run: --accelerator, or an older VERSION"
	if o.lone {
		what, newest = fetch.Shown(o.urls[a.name]), "without --from"
		other = "it wants one that is built for " + runtime.GOOS + " on " + runtime.GOARCH + ", and its libraries beside it: `rbee engine install` without --from chooses one"
	}
	if v.Build > 0 && v.Build < llamacpp.Oldest {
		return ops.Errorf(ops.CodeUnsupported, "%s is too old, and is not kept: it is %s, and rbee needs b%d or newer", what, v, llamacpp.Oldest).
			WithHint("`rbee engine install` %s brings the newest", newest)
	}
	e := ops.AsError(err)
	return ops.Errorf(e.Code, "%s does not run on this machine, and is not kept: %s", what, strings.ReplaceAll(e.Message, temp+"/", "")).
		WithHint("%s; or take llama.cpp from the system's packages", other)
}
