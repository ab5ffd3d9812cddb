package access

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rbee.dev/rbee/modes/queen/gateway"
	"rbee.dev/rbee/ops"
)

// later is when a refusal says to ask again, 0 where there is none.
func later(t *testing.T, err error) time.Duration {
	t.Helper()
	l, ok := errors.AsType[gateway.LaterError](err)
	if err != nil && (!ok || ops.CodeOf(err).HTTPStatus() != http.StatusTooManyRequests || !strings.Contains(err.Error(), "tokens")) {
		t.Fatalf("refused by %v", err)
	}
	return l.After
}

func TestAKeyIsHeldToItsTokensAMinute(t *testing.T) {
	o := newOffice(t)
	k, _ := o.key(ops.KeyCreate{TokensPerMinute: 60})
	first := o.Guest(k.ID)
	if err := first.Reserve(10); err != nil {
		t.Fatal(err)
	}
	first.Used(gateway.Use{Model: "bee", TokensIn: 100, TokensOut: 49}) // 89 more than there are
	wait := later(t, o.Guest(k.ID).Reserve(10))
	if want := 90 * time.Second; wait.Round(time.Second) != want {
		t.Fatalf("wait %s, want %s: what is owed is not", wait, want)
	}
	o.now = o.now.Add(wait - time.Second)
	if later(t, o.Guest(k.ID).Reserve(10)) == 0 {
		t.Error("let in before that")
	}
	o.now = o.now.Add(time.Second + time.Millisecond)
	if err := o.Guest(k.ID).Reserve(10); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestRequestsAtTheSameTimeDoNotGetMoreThanThereIs(t *testing.T) {
	o := newOffice(t)
	k, _ := o.key(ops.KeyCreate{TokensPerMinute: 1000})
	let := make(chan gateway.Guest, 200)
	var asking sync.WaitGroup
	for range 200 { // none has ended when the last one asks
		asking.Go(func() {
			if g := o.Guest(k.ID); g.Reserve(100) == nil {
				let <- g
			}
		})
	}
	asking.Wait()
	close(let)
	if len(let) != 10 {
		t.Fatalf("%d requests of 100 tokens were let in, of 1000 tokens a minute", len(let))
	}
	if wait := later(t, o.Guest(k.ID).Reserve(1)); wait > heldWait {
		t.Errorf("wait %s for what may be given back at any moment", wait)
	}
	for g := range let { // they use a half of it
		g.Used(gateway.Use{Model: "bee", TokensIn: 20, TokensOut: 30})
	}
	for range 5 {
		if err := o.Guest(k.ID).Reserve(100); err != nil {
			t.Fatalf("what was not used was not given back: %v", err)
		}
	}
	if later(t, o.Guest(k.ID).Reserve(100)) == 0 {
		t.Error("more was given back than was held")
	}
}

func TestARequestLargerThanAMinutesWorthIsLetInAndOwed(t *testing.T) {
	o := newOffice(t)
	k, _ := o.key(ops.KeyCreate{TokensPerMinute: 60})
	g := o.Guest(k.ID)
	if err := g.Reserve(32000); err != nil {
		t.Fatal(err)
	}
	g.Used(gateway.Use{Model: "bee", TokensOut: 120})
	if wait := later(t, o.Guest(k.ID).Reserve(1)); wait.Round(time.Second) != 61*time.Second {
		t.Errorf("wait %s, want the minute that it was too much", wait)
	}
}

func TestTheMinuteGoesOnThroughARestart(t *testing.T) {
	o := newOffice(t)
	k, secret := o.key(ops.KeyCreate{RequestsPerMinute: 3, TokensPerMinute: 60})
	for range 3 {
		if got, err := o.ask(chat, secret); got != 200 {
			t.Fatal(got, err)
		}
	}
	o.Guest(k.ID).Used(gateway.Use{Model: "bee", TokensIn: 90})
	if err := o.Guest(k.ID).Reserve(50); err == nil {
		t.Fatal("let in")
	}
	if err := o.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.now = o.now.Add(10 * time.Second)
	o.reopen()
	if got, _ := o.ask(chat, secret); got != 429 {
		t.Errorf("a fourth request: %d", got)
	}
	if wait := later(t, o.Guest(k.ID).Reserve(1)); wait.Round(time.Second) != 21*time.Second {
		t.Errorf("wait %s for the tokens, want 21 s", wait)
	}
	o.now = o.now.Add(time.Minute)
	if got, err := o.ask(chat, secret); got != 200 {
		t.Errorf("a minute later: %d %v", got, err)
	}
}

func TestWhatTheEndOfTheQueenBreaksOffIsNotHeldForGood(t *testing.T) {
	o := newOffice(t)
	k, _ := o.key(ops.KeyCreate{TokensPerMinute: 1000})
	if err := o.Guest(k.ID).Reserve(1000); err != nil {
		t.Fatal(err)
	}
	if err := o.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.reopen()
	if err := o.Guest(k.ID).Reserve(1000); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

func TestAForgottenKeysJobIsCountedAndBoundByNothing(t *testing.T) {
	o := newOffice(t)
	g := o.Guest("kforgotten")
	if err := g.Reserve(1 << 30); err != nil {
		t.Error(err)
	}
	g.Used(gateway.Use{Model: "bee", TokensIn: 1})
	if got, err := o.Usage(t.Context(), ops.Usage{}); err != nil || len(got.Usage) != 1 || got.Usage[0].Key != "kforgotten" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWhatIsRefusedDoesNotCountAsARequest(t *testing.T) {
	o := newOffice(t)
	k, secret := o.key(ops.KeyCreate{RequestsPerMinute: 1})
	for range 3 {
		if got, err := o.ask(chat, secret); got != 200 {
			t.Fatalf("after those that were refused: %d, %v", got, err)
		}
		o.Guest(k.ID).(*guest).Refused()
	}
	if got, _ := o.ask(chat, secret); got != 200 {
		t.Errorf("the first that is not refused: %d", got)
	}
	if got, _ := o.ask(chat, secret); got != 429 {
		t.Errorf("the second: %d", got)
	}
}
