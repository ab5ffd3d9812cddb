package ssh

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"

	"rbee.dev/rbee/ops"
)

// Target is a machine as a person names it.
type Target struct {
	// User is the account; empty means as configured, else the local one.
	User string
	// Host is a name, an IP address (IPv6 without brackets), or a Host of the
	// SSH configuration.
	Host string
	// Port is the server's TCP port; 0 means as configured, else 22.
	Port int
}

// maxWord is the longest host or account name that is taken; a DNS name has
// at most 253 characters (RFC 1035).
const maxWord = 255

// ParseTarget reads "host", "user@host", "host:port", "user@host:port", an
// IPv6 address with or without brackets (a port wants them), and the same
// after "ssh://". It refuses what ssh(1) could take for a flag and every
// character that means something to a shell.
func ParseTarget(s string) (Target, error) {
	rest := strings.TrimSuffix(strings.TrimPrefix(s, "ssh://"), "/")
	if rest == "" {
		return Target{}, ops.Invalid("host", "must be given").WithHint("name a machine as user@host, user@host:port or a Host of ~/.ssh/config")
	}
	var t Target
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		if t.User, rest = rest[:i], rest[i+1:]; t.User == "" {
			return Target{}, badTarget(s, "there is no account before the '@'")
		}
	}
	host, port, err := splitPort(rest)
	if err != nil {
		return Target{}, badTarget(s, err.Message)
	}
	t.Host, t.Port = host, port
	if err := t.Validate(); err != nil {
		return Target{}, err
	}
	return t, nil
}

// splitPort takes the port off a host, where there is one.
func splitPort(s string) (host string, port int, _ *ops.Error) {
	if _, err := netip.ParseAddr(s); err == nil || !strings.ContainsAny(s, ":[]") {
		return s, 0, nil
	}
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		return s[1 : len(s)-1], 0, nil
	}
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, ops.Errorf(ops.CodeInvalid, "an IPv6 address with a port wants brackets: [::1]:22")
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 || text[0] == '+' {
		return "", 0, ops.Errorf(ops.CodeInvalid, "the port must be a number from 1 to 65535")
	}
	return host, port, nil
}

func badTarget(s, why string) *ops.Error {
	return ops.Invalid("host", "%s, got %q", why, clip(s)).WithHint("name a machine as user@host, user@host:port or a Host of ~/.ssh/config")
}

// Validate checks a target that did not come from [ParseTarget] in the same way.
func (t Target) Validate() error {
	if t.Host == "" {
		return ops.Invalid("host", "must be given").WithHint("name a machine as user@host, user@host:port or a Host of ~/.ssh/config")
	}
	if !word(t.Host, "._-:%") {
		return badTarget(t.Host, "a host is letters, digits, '.', '-' and '_', and does not begin with '-'")
	}
	if _, err := netip.ParseAddr(t.Host); err != nil && strings.ContainsAny(t.Host, ":%") {
		return badTarget(t.Host, "this is neither a host name nor an IPv6 address")
	}
	if t.User != "" && !word(t.User, "._-+@") {
		return ops.Invalid("user", "an account is letters, digits, '.', '-', '_' and '+', and does not begin with '-', got %q", clip(t.User)).
			WithHint("give the account's name on the other machine, as in user@host")
	}
	if t.Port < 0 || t.Port > 65535 {
		return ops.Invalid("port", "must be between 1 and 65535, got %d", t.Port).WithHint("leave the port out for 22")
	}
	return nil
}

// word reports whether s is only letters, digits and signs, is not too long
// and does not begin like a flag.
func word(s, signs string) bool {
	if len(s) > maxWord || strings.HasPrefix(s, "-") {
		return false
	}
	for _, r := range s {
		if r == unicode.ReplacementChar || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(signs, r) {
			return false
		}
	}
	return true
}

// String is the shortest form that [ParseTarget] reads back.
func (t Target) String() string {
	s := t.Host
	switch {
	case t.Port != 0:
		s = net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
	case strings.Contains(s, ":"):
		s = "[" + s + "]"
	}
	if t.User != "" {
		s = t.User + "@" + s
	}
	return s
}

// clip keeps a message short when what was typed is not.
func clip(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return s
}
