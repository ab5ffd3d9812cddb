package daemon

import (
	"net/url"
	"os"

	"rbee.dev/rbee/ops"
)

// Handed are this process's variables for downloads, as [Record] has them for who
// takes its place.
func Handed() (env []string) {
	for _, name := range ops.VariableNames() {
		switch value := os.Getenv(name); {
		case value == "":
		case name == ops.SecretVariable || hasPassword(value):
			env = append(env, name)
		default:
			env = append(env, name+"="+value)
		}
	}
	return env
}

// hasPassword reports whether a URL holds one; what cannot be read might.
func hasPassword(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return true
	}
	_, has := u.User.Password()
	return has
}
