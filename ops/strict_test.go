package ops_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"rbee.dev/rbee/ops"
)

// wantInvalid wants err to be about field, with text in its message and hint
// in its hint.
func wantInvalid(t *testing.T, err error, field, text, hint string) {
	t.Helper()
	e, ok := errors.AsType[*ops.Error](err)
	if !ok {
		t.Fatalf("the error is %v, want an *ops.Error", err)
	}
	if e.Code != ops.CodeInvalid || e.Field != field {
		t.Errorf("the error is %s about %q (%s), want invalid about %q", e.Code, e.Field, e.Message, field)
	}
	if !strings.Contains(e.Message, text) {
		t.Errorf("the message is %q, want %q in it", e.Message, text)
	}
	if hint == "" && e.Hint != "" || !strings.Contains(e.Hint, hint) {
		t.Errorf("the hint is %q, want %q in it", e.Hint, hint)
	}
	if len(e.Message) > 500 {
		t.Errorf("the message has %d bytes", len(e.Message))
	}
}

func TestDecodeRefuses(t *testing.T) {
	long := strings.Repeat("x", 1<<16)
	for name, tt := range map[string]struct{ body, field, text, hint string }{
		"nothing":                    {``, "body", "one JSON object", ""},
		"a list":                     {`[]`, "body", "one JSON object", ""},
		"a string":                   {`"status"`, "body", "one JSON object", ""},
		"null":                       {`null`, "body", "one JSON object", ""},
		"what is no JSON":            {`operation=status`, "body", "one JSON object", ""},
		"another encoding":           {"{\"operation\":\"infer\",\"prompt\":\"caf\xe9\"}", "body", "is not UTF-8", ""},
		"half a character":           {`{"operation":"infer","prompt":"a\\\\\ud83d"}`, "prompt", "half a character", ""},
		"its other half":             {`{"operation":"infer","prompt":"a\udc1d"}`, "prompt", "half a character", ""},
		"two first halves":           {`{"operation":"infer","prompt":"\ud83d\ud83d\udc1d"}`, "prompt", "half a character", ""},
		"half a character in a list": {`{"operation":"infer","prompt":"a","stop":["b","\uD83D\u0041"]}`, "stop", "half a character", ""},
		"half an object":             {`{"operation":"status"`, "body", "ends too early", ""},
		"half a value":               {`{"operation":"stat`, "body", "ends too early", ""},
		"a comma too many":           {`{"operation":"status",}`, "body", "not JSON", ""},
		"a second object":            {`{"operation":"status"}{}`, "body", "something behind", ""},
		"garbage behind":             {`{"operation":"status"} x`, "body", "something behind", ""},
		"an operation that is null":  {`{"operation":null}`, "operation", "must be a string", ""},
		"a job id that is null":      {`{"operation":"status","job_id":null}`, "job_id", "must be a string", ""},
		"no operation":               {`{"prompt":"a"}`, "operation", "must be given", ""},
		"another spelling of it":     {`{"Operation":"status"}`, "operation", "must be given", ""},
		"a number for an operation":  {`{"operation":7}`, "operation", "must be a string", ""},
		"an unknown operation":       {`{"operation":"dance"}`, "operation", `unknown operation "dance"`, ""},
		"a mistyped operation":       {`{"operation":"worker_spwan"}`, "operation", "unknown", `did you mean "worker_spawn"?`},
		"an operation in capitals":   {`{"operation":"INFER"}`, "operation", "unknown", `did you mean "infer"?`},
		"a very long operation":      {`{"operation":"` + long + `"}`, "operation", "unknown", ""},
		"the operation given twice":  {`{"operation":"status","operation":"infer"}`, "operation", "given twice", ""},
		"an unknown field":           {`{"operation":"infer","prompt":"a","colour":"red"}`, "colour", "is no field of infer", ""},
		"a mistyped field":           {`{"operation":"infer","prompt":"a","max_token":1}`, "max_token", "no field", `did you mean "max_tokens"?`},
		"a field in other spelling":  {`{"operation":"infer","Prompt":"a"}`, "Prompt", "no field", `did you mean "prompt"?`},
		"a field in camel case":      {`{"operation":"infer","prompt":"a","maxTokens":1}`, "maxTokens", "no field", `did you mean "max_tokens"?`},
		"a field of another op":      {`{"operation":"status","prompt":"a"}`, "prompt", "is no field of status", ""},
		"a field by its Go name":     {`{"operation":"worker_spawn","Engine":"builtin"}`, "Engine", "no field", ""},
		"an embedded struct by name": {`{"operation":"worker_list","OnHive":{"hive_id":"gpu1"}}`, "OnHive", "no field", ""},
		"a field given twice":        {`{"operation":"infer","prompt":"a","prompt":"b"}`, "prompt", "given twice", ""},
		"a field twice, escaped":     {`{"operation":"infer","prompt":"a","\u0070rompt":"b"}`, "prompt", "given twice", ""},
		"a job id that is a number":  {`{"operation":"status","job_id":1234567890123456}`, "job_id", "must be a string", ""},
		"a job id that is short":     {`{"operation":"status","job_id":"short"}`, "job_id", "16 to 64", ""},
		"an empty job id":            {`{"operation":"status","job_id":""}`, "job_id", "16 to 64", ""},
		"a job id with a slash":      {`{"operation":"status","job_id":"../../../etc/passwd"}`, "job_id", "letters, digits", ""},
		"a job id with a newline":    {`{"operation":"status","job_id":"0123456789abcdef\n"}`, "job_id", "letters, digits", ""},
		"a very long job id":         {`{"operation":"status","job_id":"` + long + `"}`, "job_id", "16 to 64", ""},
		"a very long field name":     {`{"operation":"status","` + long + `":1}`, strings.Repeat("x", 80) + "…", "no field", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := ops.Decode[ops.Op]([]byte(tt.body))
			wantInvalid(t, err, tt.field, tt.text, tt.hint)
		})
	}
}

func TestOfSeveralUnknownFieldsTheSameOneIsNamedEachTime(t *testing.T) {
	for range 20 {
		_, _, err := ops.Decode[ops.Op]([]byte(`{"operation":"status","d":1,"b":1,"c":1,"a":1}`))
		wantInvalid(t, err, "a", "no field", "")
	}
}

func TestDecodeNamesTheFieldAndTheTypeItWants(t *testing.T) {
	body := func(operation, field, value string) string {
		required := map[string]string{"infer": `"prompt":"a"`, "worker_get": `"id":"a"`, "hive_uninstall": `"hive_id":"a"`, "ssh_test": `"ssh_host":"a"`}[operation]
		if required == "" || strings.HasPrefix(required, `"`+field+`"`) {
			return fmt.Sprintf(`{"operation":%q,%q:%s}`, operation, field, value)
		}
		return fmt.Sprintf(`{"operation":%q,%s,%q:%s}`, operation, required, field, value)
	}
	for _, tt := range []struct{ operation, field, value, want string }{
		{"infer", "hive_id", `7`, "must be a string, got number"},
		{"infer", "model", `["a"]`, "must be a string, got array"},
		{"infer", "prompt", `7`, "must be a string, got number"},
		{"infer", "system", `{}`, "must be a string, got object"},
		{"infer", "raw", `"yes"`, "must be true or false, got string"},
		{"infer", "max_tokens", `"7"`, "must be a whole number, got string"},
		{"infer", "max_tokens", `1.5`, "must be a whole number, got number 1.5"},
		{"infer", "max_tokens", `1e30`, "must be a whole number, got number 1e30"},
		{"infer", "temperature", `"hot"`, "must be a number, got string"},
		{"infer", "temperature", `1e999`, "must be a number, got number 1e999"},
		{"infer", "top_p", `true`, "must be a number, got bool"},
		{"infer", "top_k", `0.5`, "must be a whole number, got number 0.5"},
		{"infer", "min_p", `[]`, "must be a number, got array"},
		{"infer", "seed", `"random"`, "must be a whole number, got string"},
		{"infer", "seed", `9223372036854775808`, "must be a whole number, got number"},
		{"infer", "stop", `"a"`, "must be a list, got string"},
		{"infer", "stop", `[7]`, "must be a string, got number"},
		{"infer", "worker", `1`, "must be a string"},
		{"infer", "device", `0`, "must be a string"},
		{"infer", "worker_id", `1`, "must be a string"},
		{"infer", "stream", `"no"`, "must be true or false"},
		{"worker_spawn", "parallel", `"4"`, "must be a whole number"},
		{"worker_spawn", "context_length", `4096.5`, "must be a whole number"},
		{"worker_get", "id", `1`, "must be a string"},
		{"ssh_test", "ssh_host", `[]`, "must be a string"},
		{"ssh_test", "ssh_port", `"22"`, "must be a whole number"},
		{"ssh_test", "ssh_user", `1`, "must be a string"},
		{"hive_install", "port", `"7833"`, "must be a whole number"},
		{"hive_install", "binary_path", `1`, "must be a string"},
		{"hive_uninstall", "catalog_only", `1`, "must be true or false"},
		{"hive_status", "refresh_capabilities", `"all"`, "must be true or false"},
	} {
		t.Run(tt.operation+" "+tt.field+" "+tt.value, func(t *testing.T) {
			_, _, err := ops.Decode[ops.Op]([]byte(body(tt.operation, tt.field, tt.value)))
			wantInvalid(t, err, tt.field, tt.want, "")
		})
	}
}

func TestAFieldThatIsNullIsAsIfAbsent(t *testing.T) {
	o, _, err := ops.Decode[ops.Infer]([]byte(`{"operation":"infer","prompt":"a","temperature":null,"model":null,"stop":null}`))
	if err != nil || o.Temperature != nil || o.Model != "" || o.Stop != nil {
		t.Errorf("Decode() = %+v, %v", o, err)
	}
}

func TestWholeCharactersMayBeEscaped(t *testing.T) {
	o, _, err := ops.Decode[ops.Op]([]byte(`{"operation":"infer","prompt":"\ud83d\udc1d \uD83D\uDC1D\\ud800 \u0041\ufffd"}`))
	if want := `🐝 🐝\ud800 A` + "\ufffd"; err != nil || o.(ops.Infer).Prompt != want {
		t.Errorf("%+v, %v", o, err)
	}
}
