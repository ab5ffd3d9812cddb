package access

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/modes/queen/gateway"
	"rbee.dev/rbee/ops"
)

func TestUsageIsSummedUpByKeyAndModel(t *testing.T) {
	o := newOffice(t)
	k, _ := o.key(ops.KeyCreate{Label: "web"})
	web := &guest{access: o.Access, key: o.keys.byID(k.ID), id: k.ID}
	web.Used(gateway.Use{Model: "bee", TokensIn: 10, TokensOut: 20, Took: time.Second})
	web.Used(gateway.Use{Model: "bee", TokensIn: 1, TokensOut: 2, Took: time.Second / 2, Estimated: true})
	web.Used(gateway.Use{Model: "wasp", TokensIn: 5, Failed: true})
	if err := o.Write(t.Context()); err != nil { // once in between
		t.Fatal(err)
	}
	web.Used(gateway.Use{Model: "bee", TokensIn: 100, TokensOut: 200})
	o.Guest("").Used(gateway.Use{Model: "bee", TokensIn: 3, TokensOut: 4, Took: time.Second / 4})
	o.Guest(k.ID).Used(gateway.Use{Model: "bee", Failed: true, Took: time.Second})

	bee := ops.UsageRow{Key: k.ID, KeyName: "web", Model: "bee", Requests: 4, Errors: 1, TokensIn: 111, TokensOut: 222, Estimated: 1, Seconds: 2.5}
	token := ops.UsageRow{Key: "token", Model: "bee", Requests: 1, TokensIn: 3, TokensOut: 4, Seconds: 0.25}
	wasp := ops.UsageRow{Key: k.ID, KeyName: "web", Model: "wasp", Requests: 1, Errors: 1, TokensIn: 5}
	all := ops.UsageRow{Requests: 6, Errors: 2, TokensIn: 119, TokensOut: 226, Estimated: 1, Seconds: 2.75}
	for by, want := range map[string][]ops.UsageRow{
		"":      {bee, token, wasp},
		"key":   {{Key: k.ID, KeyName: "web", Requests: 5, Errors: 2, TokensIn: 116, TokensOut: 222, Estimated: 1, Seconds: 2.5}, {Key: "token", Requests: 1, TokensIn: 3, TokensOut: 4, Seconds: 0.25}},
		"model": {{Model: "bee", Requests: 5, Errors: 1, TokensIn: 114, TokensOut: 226, Estimated: 1, Seconds: 2.75}, {Model: "wasp", Requests: 1, Errors: 1, TokensIn: 5}},
	} {
		got, err := o.Usage(t.Context(), ops.Usage{By: by})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Usage); diff != "" {
			t.Errorf("by %q (-want +got):\n%s", by, diff)
		}
		if diff := cmp.Diff(all, got.Total); diff != "" {
			t.Errorf("in all, by %q (-want +got):\n%s", by, diff)
		}
	}
}

func TestSecondsAreAddedUpToWholeMilliseconds(t *testing.T) {
	var sum ops.UsageRow
	for range 10 {
		sum = total(sum, ops.UsageRow{Seconds: 0.1}) // which no binary fraction is
	}
	if sum.Seconds != 1 {
		t.Errorf("they are %v", sum.Seconds)
	}
}

func TestUsageOfOneKeyOrModelIsTold(t *testing.T) {
	o := newOffice(t)
	k, _ := o.key(ops.KeyCreate{Label: "web"})
	for _, model := range []string{"bee", "wasp"} {
		o.Guest(k.ID).Used(gateway.Use{Model: model, TokensIn: 1})
		o.Guest("").Used(gateway.Use{Model: model, TokensIn: 10})
	}
	for _, tt := range []struct {
		by   ops.Usage
		want int64
		rows int
	}{
		{ops.Usage{Key: k.ID}, 2, 2},
		{ops.Usage{Key: "web"}, 2, 2},
		{ops.Usage{Key: "token", By: "key"}, 20, 1},
		{ops.Usage{Key: "none"}, 0, 0},
		{ops.Usage{Model: "bee"}, 11, 2},
		{ops.Usage{Key: "web", Model: "wasp"}, 1, 1},
		{ops.Usage{Key: "web", Model: "hornet"}, 0, 0},
	} {
		if got, err := o.Usage(t.Context(), tt.by); err != nil || got.Total.TokensIn != tt.want || len(got.Usage) != tt.rows {
			t.Errorf("%+v: %+v, %v", tt.by, got, err)
		}
	}
}

func TestUsageOutlivesARestartAndTheKey(t *testing.T) {
	o := newOffice(t)
	k, _ := o.key(ops.KeyCreate{Label: "web"})
	o.Guest(k.ID).Used(gateway.Use{Model: "bee", TokensIn: 1})
	if err := o.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Revoke(t.Context(), ops.KeyRevoke{ID: k.ID, Forget: true}); err != nil {
		t.Fatal(err)
	}
	o.reopen()
	got, err := o.Usage(t.Context(), ops.Usage{})
	if err != nil || len(got.Usage) != 1 || got.Usage[0].Key != k.ID || got.Usage[0].KeyName != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestUsageLooksBackAsFarAsAsked(t *testing.T) {
	o := newOffice(t)
	for range 10 { // a day apart
		o.Guest("").Used(gateway.Use{Model: "bee", TokensIn: 1})
		o.now = o.now.Add(24 * time.Hour)
	}
	for since, want := range map[string]int64{"": 7, "3d": 3, "1h": 0, "2w": 10} {
		if got, err := o.Usage(t.Context(), ops.Usage{Since: since}); err != nil || got.Total.Requests != want {
			t.Errorf("since %q: %d, %v; want %d", since, got.Total.Requests, err, want)
		}
	}
}

// TestUsageIsKeptByTheMinuteForADay and by the hour after that, in which nothing is
// lost.
func TestUsageIsKeptByTheMinuteForADay(t *testing.T) {
	o := newOffice(t)
	k, _ := o.key(ops.KeyCreate{Label: "web"})
	for range 60 { // a minute apart, from 12:30 on
		o.Guest("").Used(gateway.Use{Model: "bee", TokensIn: 1, TokensOut: 2, Took: time.Second})
		o.Guest(k.ID).Used(gateway.Use{Model: "bee", Failed: true, Estimated: true})
		o.now = o.now.Add(time.Minute)
	}
	ask := func(since string) ops.UsageReport {
		t.Helper()
		got, err := o.Usage(t.Context(), ops.Usage{Since: since})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for since, want := range map[string]int64{"1m": 2, "90s": 4, "20m": 40, "1h": 120, "1d": 120} {
		if got := ask(since); got.Total.Requests != want || o.now.Sub(got.Since) > 24*time.Hour+time.Minute {
			t.Errorf("since %s, %s: %d requests, want %d", since, got.Since, got.Total.Requests, want)
		}
	}
	kept := func() (rows int) {
		t.Helper()
		if err := o.DB.QueryRowContext(t.Context(), "SELECT count(*) FROM usage").Scan(&rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	all := ask("4w")
	if rows := kept(); rows != 120 {
		t.Errorf("%d rows of sixty minutes and two keys", rows)
	}
	o.now = o.now.Add(24 * time.Hour)
	if got := ask("24h"); got.Total.Requests != 0 {
		t.Errorf("a day later, of the day: %+v", got.Total)
	}
	o.now = o.now.Add(time.Hour)
	for range 2 { // again is no more
		if diff := cmp.Diff(all.Usage, ask("4w").Usage); diff != "" {
			t.Errorf("by the hour (-before +after):\n%s", diff)
		}
	}
	if rows := kept(); rows != 4 {
		t.Errorf("%d rows of two hours and two keys", rows)
	}
	if got := ask("25h"); got.Total.Requests != 60 || got.Since.Minute() != 0 {
		t.Errorf("since the hour %s: %d requests, want 60", got.Since, got.Total.Requests)
	}
}

func TestWhatCannotBeWrittenDownStays(t *testing.T) {
	o := newOffice(t)
	o.Guest("").Used(gateway.Use{Model: "bee", TokensIn: 7})
	broken, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.Write(broken); err == nil {
		t.Fatal("it was written in a context that has ended")
	}
	o.Guest("").Used(gateway.Use{Model: "bee", TokensIn: 1})
	if got, err := o.Usage(t.Context(), ops.Usage{}); err != nil || got.Total.TokensIn != 8 || got.Total.Requests != 2 {
		t.Errorf("%+v, %v", got.Total, err)
	}
}

func TestWhenAKeyWasUsedLastIsRemembered(t *testing.T) {
	o := newOffice(t)
	_, secret := o.key(ops.KeyCreate{})
	if o.List().Keys[0].LastUsedAt != nil {
		t.Error("a key that was never used was")
	}
	if got, err := o.ask(models, secret); got != 200 {
		t.Fatal(got, err)
	}
	if err := o.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.reopen()
	if used := o.List().Keys[0].LastUsedAt; used == nil || math.Abs(used.Sub(o.now).Seconds()) > 1 {
		t.Errorf("used last at %v", used)
	}
}

func TestTheSameKeyTwiceIsOne(t *testing.T) {
	o := newOffice(t)
	k := ops.KeyCreate{Label: "web", Digest: ops.KeyDigest("a secret")}
	first, err := o.Create(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := o.Create(t.Context(), k); err != nil || again.ID != first.ID || len(o.List().Keys) != 1 {
		t.Errorf("again: %+v, %v", again, err)
	}
	k.Label = "another"
	if _, err := o.Create(t.Context(), k); ops.CodeOf(err) != ops.CodeConflict {
		t.Errorf("the secret under another name: %v", err)
	}
}

func TestUsageIsToldThoughTheDiskIsFull(t *testing.T) {
	o := newOffice(t)
	o.Guest("").Used(gateway.Use{Model: "bee", TokensIn: 7})
	if err := o.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := o.DB.ExecContext(t.Context(), "PRAGMA query_only = 1"); err != nil {
		t.Fatal(err)
	}
	o.Guest("").Used(gateway.Use{Model: "bee", TokensIn: 1})
	if got, err := o.Usage(t.Context(), ops.Usage{}); err != nil || got.Total.TokensIn != 7 {
		t.Errorf("%+v, %v", got.Total, err)
	}
}
