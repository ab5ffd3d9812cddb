package ops

// A login is not an operation: operations are stored and shown, and what a login
// carries must be neither. It is a call of its own, before the operation that
// needs the machine, and what it opens is used once.

// LoginPath is the queen's route for logins, by POST of a [Login].
const LoginPath = "/v1/logins"

// Login has the queen connect to a machine with what only a person can give.
// The queen keeps the connection for the next operation on that machine, and
// nothing of the secrets.
type Login struct {
	SSHAddress
	// HiveID names a hive whose machine it is, in place of an address.
	HiveID string `json:"hive_id,omitempty"`
	// AcceptNewHostKey notes the key of a machine never seen before.
	AcceptNewHostKey bool `json:"accept_new_host_key,omitempty"`
	// Fingerprint is the one new key that a person has agreed to.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Passphrases unlock key files, by their path on the queen's machine.
	Passphrases map[string]string `json:"passphrases,omitempty"`
	// Passwords answer for accounts, by user@host:port.
	Passwords map[string]string `json:"passwords,omitempty"`
}

// What a login may still need from a person.
const (
	NeedHostKey    = "host_key"
	NeedPassphrase = "passphrase"
	NeedPassword   = "password"
)

// LoggedIn is the answer to a [Login].
type LoggedIn struct {
	// Host is the account and machine, as user@host:port.
	Host string `json:"host"`
	// Needs is what is missing, or "" when the connection stands.
	Needs string `json:"needs,omitempty"`
	// Of is the key's fingerprint (NeedHostKey), its file (NeedPassphrase), or
	// the account as user@host:port (NeedPassword).
	Of string `json:"of,omitempty"`
	// Error is why it did not work yet, where something is missing.
	Error *Error `json:"error,omitempty"`
}
