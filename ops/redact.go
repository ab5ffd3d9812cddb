package ops

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// mask stands for what is not shown, as net/url has it.
const mask = "xxxxx"

var (
	// address is a URL from behind its scheme on, as JSON may have it.
	address = regexp.MustCompile(`:(?:\\?/){2}[^\s"]+`)
	// password is one in a URL.
	password = regexp.MustCompile(`^(:(?:\\?/){2}[^/?#@:\s"\\]*:)[^/?#@\s"]+@`)
	// secret is a value in a URL's query that lets in who has it, by its name: a token,
	// or the signature of an address that is good for a while.
	secret = regexp.MustCompile(`(?i)((?:[?&;]|\\u0026)[\w.%-]*(?:token|secret|passw(?:or)?d|pwd|signature|sig|hmac|jwt|credential|key|keyid|auth|authorization)=)(?:[^&;#\s"\\]|\\/)+`)
)

// Redact is an operation's JSON, or another text, without the passwords and tokens of
// URLs in it, as it may be shown. The operation itself needs them: the log of its job,
// which its owner alone can read, has them for as long as the job may be run again.
func Redact(op json.RawMessage) json.RawMessage {
	if !bytes.ContainsAny(op, "@=") {
		return op
	}
	return address.ReplaceAllFunc(op, func(url []byte) []byte {
		return secret.ReplaceAll(password.ReplaceAll(url, []byte("${1}"+mask+"@")), []byte("${1}"+mask))
	})
}

// IsRedacted reports whether something is left out of a URL, which is of no use then.
func IsRedacted(url string) bool {
	return strings.Contains(url, ":"+mask+"@") || strings.Contains(url, "="+mask)
}
