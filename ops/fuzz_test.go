package ops_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbee.dev/rbee/ops"
)

// FuzzDecode wants of any body either an operation that survives the wire, or
// an invalid error.
func FuzzDecode(f *testing.F) {
	for _, o := range samples() {
		text, err := ops.Encode(o, "0123456789abcdef")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"operation":"infer","prompt":"a","temperature":1e999,"stop":[null]}`))
	f.Add([]byte(`{"operation":"infer","Prompt":"a","prompt":"\ud800","prompt":null}`))
	f.Add([]byte(`{"operation":"status"}{"operation":"status"}`))
	f.Add([]byte("\xef\xbb\xbf{}"))
	f.Add(bytes.Repeat([]byte(`{"operation":`), 50))
	f.Fuzz(func(t *testing.T, body []byte) {
		o, id, err := ops.Decode[ops.Op](body)
		if err != nil {
			e, ok := errors.AsType[*ops.Error](err)
			if !ok || e.Code != ops.CodeInvalid || e.Message == "" {
				t.Fatalf("the error is %#v, want an invalid one", err)
			}
			return
		}
		if err := o.Validate(); err != nil {
			t.Fatalf("what Decode took is refused: %v", err)
		}
		text, err := ops.Encode(o, id)
		if err != nil {
			t.Fatal(err)
		}
		again, againID, err := ops.Decode[ops.Op](text)
		if err != nil || againID != id || !equal(o, again) {
			t.Fatalf("%s comes back as %#v, %q, %v; want %#v, %q", text, again, againID, err, o, id)
		}
	})
}

// equal compares operations; an empty list of stops is as good as none.
func equal(a, b ops.Op) bool {
	return reflect.DeepEqual(withoutEmpty(a), withoutEmpty(b))
}

func withoutEmpty(o ops.Op) ops.Op {
	if i, ok := o.(ops.Infer); ok && len(i.Stop) == 0 {
		i.Stop = nil
		return i
	}
	return o
}

// FuzzDecodeEvent wants of any event either an error, or one that survives the
// wire and needs one line of it.
func FuzzDecodeEvent(f *testing.F) {
	f.Add("narration", []byte(`{"actor":"hive","action":"a","human":"b","level":"info","at":"2026-01-02T03:04:05Z"}`))
	f.Add("progress", []byte(`{"done":1,"total":2,"unit":"bytes"}`))
	f.Add("token", []byte(`{"text":"\u2028\ud800é"}`))
	f.Add("result", []byte("{\n\"a\": [1, 2.50]\r\n}"))
	f.Add("error", []byte(`{"code":"invalid","message":"a","field":"b","hint":"c"}`))
	f.Add("", []byte("[DONE]"))
	f.Add("", []byte("[ERROR] a\n b"))
	f.Add("", []byte("[CANCELLED]"))
	f.Add("state", []byte("{}"))
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		e, err := ops.DecodeEvent(kind, data)
		if err != nil {
			return
		}
		if e.Kind() != kind {
			t.Fatalf("a %q event became a %q", kind, e.Kind())
		}
		text, err := ops.EncodeEvent(e)
		if err != nil {
			t.Skip("a time that Go reads and does not write")
		}
		if bytes.ContainsAny(text, "\r\n") {
			t.Fatalf("the event has a newline: %q", text)
		}
		again, err := ops.DecodeEvent(kind, text)
		if err != nil {
			t.Fatal(err)
		}
		last, err := ops.EncodeEvent(again)
		if err != nil || !bytes.Equal(text, last) {
			t.Fatalf("the event does not stay as it is: %v\n%s", err, cmp.Diff(string(text), string(last)))
		}
	})
}
