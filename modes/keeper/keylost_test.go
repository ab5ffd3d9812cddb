package keeper

import (
	"context"
	"strings"
	"sync"
	"testing"

	"rbee.dev/rbee/ops"
)

func TestAKeyWhoseSecretCannotBeShownIsTakenBack(t *testing.T) {
	for _, tt := range []struct {
		name, output string
		digest       *string
		deaf         bool // the queen does not revoke
		want         string
		revoked      bool
	}{
		{name: "as text", want: "the key was taken back", revoked: true},
		{name: "as JSON", output: "json", want: "the key was taken back", revoked: true},
		{name: "where that fails, too", deaf: true, want: "`rbee key revoke k1 --forget` takes the key back", revoked: true},
		{name: "not one whose secret is somebody's own", digest: new(strings.Repeat("a", 64))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var asked []ops.Op
			c := newClient(t, func(_ context.Context, o ops.Op) (any, error) {
				mu.Lock()
				defer mu.Unlock()
				if asked = append(asked, o); len(asked) > 1 {
					if tt.deaf {
						return nil, ops.Errorf(ops.CodeInternal, "the database is read-only")
					}
					return ops.KeyEnded{ID: "k1"}, nil
				}
				return ops.Key{ID: "k1", Name: "lost"}, nil
			})
			c.Stdout, c.Output = &full{}, tt.output
			err := (&KeyCreate{Name: new("lost"), Digest: tt.digest}).Run(t.Context(), c.Keeper)
			if err == nil || !strings.Contains(err.Error(), "no space left") || !strings.Contains(ops.AsError(err).Hint, tt.want) {
				t.Errorf("it ends with %v (%s)", err, ops.AsError(err).Hint)
			}
			if got := len(asked) == 2; got != tt.revoked {
				t.Fatalf("the queen was asked %+v", asked)
			}
			if tt.revoked && asked[1] != (ops.KeyRevoke{ID: "k1", Forget: true}) {
				t.Errorf("the queen was asked %+v", asked[1])
			}
		})
	}
}
