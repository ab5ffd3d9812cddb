package ops

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// Reserved keys of an operation's JSON object beside its own fields.
const (
	keyOperation = "operation"
	keyJobID     = "job_id"
)

// Encode writes o as a flat JSON object with its name under "operation" and,
// unless it is empty, the submitter's choice of job id under "job_id".
func Encode(o Op, jobID string) ([]byte, error) {
	fields, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", o.Name(), err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "{%q:%q", keyOperation, o.Name())
	if jobID != "" {
		fmt.Fprintf(&b, ",%q:%q", keyJobID, jobID)
	}
	if rest := bytes.TrimPrefix(fields, []byte("{")); len(rest) > 1 {
		b.WriteByte(',')
		b.Write(rest)
	} else {
		b.WriteByte('}')
	}
	return b.Bytes(), nil
}

// Decode reads one operation of the arm O (an interface such as [HiveOp], or
// one operation such as [Infer]) and the submitter's job id, if there is one.
// It is strict: an unknown operation or field, a key in another spelling or
// given twice, a wrong type, a value out of range or anything after the object
// is an *Error with code invalid that names the field.
func Decode[O Op](body []byte) (o O, jobID string, err error) {
	fields, err := object(body)
	if err != nil {
		return o, "", err
	}
	proto, err := operation[O](fields)
	if err != nil {
		return o, "", err
	}
	if jobID, err = takeJobID(fields); err != nil {
		return o, "", err
	}
	value := reflect.New(reflect.TypeOf(proto))
	if err := decodeFields(proto, body, fields, value.Interface()); err != nil {
		return o, "", err
	}
	o = value.Elem().Interface().(O)
	return o, jobID, o.Validate()
}

// object splits a JSON object into its members, refusing doubled keys, which
// encoding/json would let pass, and anything behind the object.
func object(body []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(body) { // the decoder would put other characters in
		return nil, Invalid("body", "is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, Invalid("body", "must be one JSON object with an \"operation\"")
	}
	fields := map[string]json.RawMessage{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, notJSON(err)
		}
		key, _ := t.(string) // inside an object the decoder yields only strings here
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, notJSON(err)
		}
		if _, twice := fields[key]; twice {
			return nil, Invalid(clip(key), "is given twice")
		}
		fields[key] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, notJSON(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, Invalid("body", "has something behind the JSON object")
	}
	return fields, nil
}

func notJSON(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Invalid("body", "is not JSON: it ends too early")
	}
	return Invalid("body", "is not JSON: %w", err)
}

// operation takes the operation's name out of fields and returns its zero
// value, if the arm O has it.
func operation[O Op](fields map[string]json.RawMessage) (Op, error) {
	raw, ok := fields[keyOperation]
	if !ok {
		return nil, Invalid(keyOperation, "must be given")
	}
	delete(fields, keyOperation)
	var name string
	if err := json.Unmarshal(raw, &name); err != nil || isNull(raw) {
		return nil, Invalid(keyOperation, "must be a string")
	}
	var names []string
	for _, proto := range All() {
		_, mine := proto.(O)
		switch {
		case mine && proto.Name() == name:
			return proto, nil
		case mine:
			names = append(names, proto.Name())
		case proto.Name() == name:
			return nil, elsewhere(proto)
		}
	}
	e := Invalid(keyOperation, "unknown operation %q", clip(name))
	if near := Nearest(name, names); near != "" {
		e = e.WithHint("did you mean %q?", near)
	}
	return nil, e
}

// isNull reports whether a value is null, which the decoder would leave out.
func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

// elsewhere is the error of an operation that another daemon does.
func elsewhere(proto Op) error {
	whose := "the queen's"
	if _, hive := proto.(HiveOp); hive {
		whose = "a hive's"
	}
	return Invalid(keyOperation, "%s is an operation of %s, and is not done here", proto.Name(), whose).
		WithHint("send it to the queen: `rbee queen status` names her address")
}

func takeJobID(fields map[string]json.RawMessage) (string, error) {
	raw, ok := fields[keyJobID]
	if !ok {
		return "", nil
	}
	delete(fields, keyJobID)
	var id string
	if err := json.Unmarshal(raw, &id); err != nil || isNull(raw) {
		return "", Invalid(keyJobID, "must be a string")
	}
	return id, CheckJobID(id)
}

// decodeFields fills dst, a pointer to an operation, from its JSON, of which
// fields are the members.
func decodeFields(proto Op, body []byte, fields map[string]json.RawMessage, dst any) error {
	known := FieldNames(proto)
	if err := refuseUnknown(proto, known, fields); err != nil {
		return err
	}
	for _, key := range known {
		if loneSurrogate(fields[key]) {
			return Invalid(key, "holds half a character: one of \\ud800 to \\udfff by itself")
		}
	}
	if json.Unmarshal(body, dst) == nil {
		return nil
	}
	for _, key := range known { // one member at a time, so that the error is known to be this one's
		raw, ok := fields[key]
		if !ok {
			continue
		}
		one, err := json.Marshal(map[string]json.RawMessage{key: raw})
		if err != nil {
			return Invalid(key, "is not JSON: %w", err)
		}
		if err := json.Unmarshal(one, dst); err != nil {
			return wrongType(key, err)
		}
	}
	return nil
}

// refuseUnknown names the first of fields that is not one of known.
func refuseUnknown(proto Op, known []string, fields map[string]json.RawMessage) error {
	var unknown []string
	for key := range fields {
		if !slices.Contains(known, key) {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	key := slices.Min(unknown)
	e := Invalid(clip(key), "is no field of %s", proto.Name())
	if near := Nearest(key, known); near != "" {
		e = e.WithHint("did you mean %q?", near)
	}
	return e
}

func wrongType(key string, err error) error {
	t, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return Invalid(key, "cannot be read: %w", err)
	}
	return Invalid(key, "must be %s, got %s", kindName(t.Type), clip(t.Value))
}

// kindName names a Go type as a writer of JSON would.
func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	default:
		return "of type " + t.String()
	}
}

// FieldNames lists the JSON names of o's fields in the order of declaration.
func FieldNames(o Op) []string { return fieldNames(nil, reflect.TypeOf(o)) }

func fieldNames(names []string, t reflect.Type) []string {
	for f := range t.Fields() {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case tag == "" && f.Anonymous:
			names = fieldNames(names, f.Type)
		case tag != "" && tag != "-":
			names = append(names, tag)
		}
	}
	return names
}
