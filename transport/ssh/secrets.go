package ssh

import "fmt"

// Secrets are what a person typed, for one [Dial]. They stay in memory: no
// error, log line or JSON made from them shows one.
type Secrets struct {
	// Passphrases unlock key files, by path as [NeedsPassphrase] names it.
	Passphrases map[string]string
	// Passwords answer for accounts, by "user@host:port" as [NeedsPassword]
	// names it. Passwords are tried for these accounts only, after the keys.
	Passwords map[string]string
}

// String says how many secrets there are, not what they are.
func (s Secrets) String() string {
	return fmt.Sprintf("%d passphrases, %d passwords (hidden)", len(s.Passphrases), len(s.Passwords))
}

// GoString is String: %#v shows no secret either.
func (s Secrets) GoString() string { return s.String() }

// MarshalJSON writes what String says. Nothing reads it back.
func (s Secrets) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%q", s.String()), nil }
