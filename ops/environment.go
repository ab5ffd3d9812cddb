package ops

import (
	"net/url"
	"slices"
	"strings"
)

// What a hive's environment holds is set by no operation: operations are stored
// and shown, and a token must be neither. It is a call of its own.

// EnvironmentPath is the queen's and the hive's route for a hive's environment, by
// POST of an [Environment]. The answer is a [Variables].
const EnvironmentPath = "/v1/environment"

// Environment changes, or only asks for, what a hive's downloads have as their
// environment.
type Environment struct {
	// HiveID names the hive.
	HiveID string `json:"hive_id"`
	// Set is values by the variables' names; "" takes back what was set.
	Set map[string]string `json:"set,omitempty"`
}

// SecretVariable is the one whose value is never shown.
const SecretVariable = "HF_TOKEN" //nolint:gosec // its name

// VariableNames are the variables that a hive can be given.
func VariableNames() []string {
	return []string{SecretVariable, "HF_ENDPOINT", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "RBEE_LLAMACPP_RELEASES"}
}

// Validate checks the names and values; no error quotes a value.
func (e Environment) Validate() error {
	const longest = 4096
	for name, value := range e.Set {
		switch {
		case !slices.Contains(VariableNames(), name):
			return Invalid("set", "a hive has no variable %q: there are %s", clip(name), strings.Join(VariableNames(), ", "))
		case len(value) > longest || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == 0x7f }):
			return Invalid("set", "%s must be of %d characters at most, without spaces", name, longest)
		case value == "" || name == SecretVariable || name == "NO_PROXY":
			continue
		}
		u, err := url.Parse(value)
		if proxy := strings.HasSuffix(name, "_PROXY"); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && (!proxy || u.Scheme != "socks5") {
			return Invalid("set", "%s must be a URL that begins with http:// or https://", name)
		}
	}
	return firstError(checkRequired("hive_id", e.HiveID), checkName("hive_id", e.HiveID))
}

// Variable is one of a hive's environment.
type Variable struct {
	Name string `json:"name"`
	// Value is "" for [SecretVariable], and without the password that a URL may hold.
	Value string `json:"value,omitempty"`
	// File is the file that a token is in which no variable holds.
	File string `json:"file,omitempty"`
	// Given says that it was set through the queen, and not by who started the hive.
	Given bool `json:"given"`
}

// Variables is the answer to [Environment]: those that are set.
type Variables struct {
	HiveID    string     `json:"hive_id"`
	Variables []Variable `json:"variables"`
}
