package keeper

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestAReaderThatGoesIsNoticedWithoutAWord: nothing is written to find it out.
func TestAReaderThatGoesIsNoticedWithoutAWord(t *testing.T) {
	reader, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ctx, stop := whileRead(t.Context(), out)
	defer stop()
	if _, err := out.WriteString("hello"); err != nil || ctx.Err() != nil {
		t.Fatalf("while it is read: %v, %v", err, ctx.Err())
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), ErrReaderGone) {
		t.Errorf("the cause is %v", context.Cause(ctx))
	}
}

// TestAReaderThatStaysEndsNothing: and the end of the watch is none of it.
func TestAReaderThatStaysEndsNothing(t *testing.T) {
	reader, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer out.Close()
	ctx, stop := whileRead(t.Context(), out)
	stop()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		t.Errorf("the cause is %v", cause)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "answer"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, out := range []interface{ Write([]byte) (int, error) }{&bytes.Buffer{}, file} {
		ctx, stop := whileRead(t.Context(), out)
		if stop(); ctx != t.Context() {
			t.Errorf("%T is watched", out)
		}
	}
}
