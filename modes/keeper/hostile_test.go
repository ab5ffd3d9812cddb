package keeper

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"rbee.dev/rbee/ops"
)

// odd is what a name of another machine's may be: it would clear the terminal, make
// a link of what follows, begin a line of its own and a column of its own.
const odd = "a\x1b[2J\x1b]8;;http://evil\x07\r\nlocalhost  up\tz\u202e"

// fill sets every text in v to odd, every list to two of what it holds, and every
// number to one.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(odd)
	case reflect.Struct:
		if at, ok := v.Addr().Interface().(*time.Time); ok {
			*at = time.Unix(1, 0)
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(`{"operation":"infer","prompt":"\u001b[2J"}`)) // an operation
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
		fill(v.Index(1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.SetMapIndex(key, value)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint64, reflect.Uint32, reflect.Uint16:
		v.SetUint(1)
	case reflect.Float64:
		v.SetFloat(1)
	default:
	}
}

// results are the result types of all operations, and what the job API answers.
func results(t *testing.T) []any {
	t.Helper()
	list := []any{ops.Job{}, ops.Jobs{}}
	for _, o := range ops.All() {
		r, err := ops.DecodeResult(o.Name(), []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if _, text := r.(ops.Answer); !text { // which is shown as it comes
			list = append(list, r)
		}
	}
	return list
}

// TestNothingThatIsShownPlaysTricksOnTheTerminal: a hive, a model's file or an
// engine may say anything.
func TestNothingThatIsShownPlaysTricksOnTheTerminal(t *testing.T) {
	for _, r := range results(t) {
		v := reflect.New(reflect.TypeOf(r)).Elem()
		v.Set(reflect.ValueOf(r))
		fill(v)
		var out, said bytes.Buffer
		k := &Keeper{Flags: Flags{Output: "text"}, Stdout: &out, Stderr: &said}
		if err := k.show(v.Interface()); err != nil {
			t.Errorf("%T: %v", r, err)
		}
		text := out.String() + said.String()
		if strings.ContainsAny(text, "\x1b\r\x07\u202e") {
			t.Errorf("%T plays tricks: %q", r, text)
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "localhost  up") {
				t.Errorf("%T makes up a line: %q", r, text)
				break
			}
		}
	}
}

// TestNothingThatIsShownNeedsToBeThere: a daemon of another build may leave out
// whatever it does not know.
func TestNothingThatIsShownNeedsToBeThere(t *testing.T) {
	for _, r := range results(t) {
		for _, format := range []string{"text", "json"} {
			var out, said bytes.Buffer
			k := &Keeper{Flags: Flags{Output: format}, Stdout: &out, Stderr: &said}
			if err := k.show(r); err != nil || format == "json" && !json.Valid(out.Bytes()) {
				t.Errorf("%T as %s: %q, %v", r, format, out.String(), err)
			}
		}
	}
}
