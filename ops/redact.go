package ops

import (
	"bytes"
	"encoding/json"
	"regexp"
)

// password is one in a URL, as JSON may have it.
var password = regexp.MustCompile(`(:(?:\\?/){2}[^/?#@:\s"\\]*:)[^/?#@\s"]+@`)

// Redact is an operation's JSON without the passwords of URLs in it, as it may be
// shown. The operation itself needs them: the log of its job, which its owner
// alone can read, has them for as long as the job may be run again.
func Redact(op json.RawMessage) json.RawMessage {
	if !bytes.ContainsRune(op, '@') {
		return op
	}
	return password.ReplaceAll(op, []byte("${1}xxxxx@"))
}
