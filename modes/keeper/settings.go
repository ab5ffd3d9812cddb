package keeper

import (
	"net"
	"os"
	"slices"
	"strings"
)

// settings are the flags of `rbee queen serve` and the variables that stand for
// them, but for where it listens.
var settings = map[string]string{
	"tls": "RBEE_TLS", "tls-cert": "RBEE_TLS_CERT", "tls-key": "RBEE_TLS_KEY", "insecure-http": "RBEE_INSECURE_HTTP",
	"host-name": "RBEE_HOST_NAMES", "cors-origin": "RBEE_CORS_ORIGINS", "releases": "RBEE_RELEASES",
	"auto-download": "RBEE_AUTO_DOWNLOAD", "policy": "RBEE_POLICY", "queue-depth": "RBEE_QUEUE_DEPTH", "idle-timeout": "RBEE_IDLE_TIMEOUT",
}

// kept are the flags of a queen that another one takes over: all but those whose
// variable is set now, which the other one reads itself.
func kept(args []string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(arg string) bool {
		flag, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		_, set := os.LookupEnv(settings[flag])
		return settings[flag] != "" && set
	})
}

// address is where a queen that takes another's place listens: where that one did,
// unless RBEE_LISTEN says otherwise now.
func address(before string) string {
	wanted := os.Getenv("RBEE_LISTEN")
	if wanted == "" {
		return before
	}
	_, has, _ := net.SplitHostPort(before)
	if host, port, err := net.SplitHostPort(wanted); err == nil && port == "0" { // any free one: so is the one it has
		return net.JoinHostPort(host, has)
	}
	return wanted
}

// inherit has a queen that is started have the variables for downloads that the one
// before it had, but for those that are set here. Secrets are written nowhere, and
// so it is told which of them are lost.
func (k *Keeper) inherit(env []string) {
	for _, variable := range env {
		name, _, whole := strings.Cut(variable, "=")
		if _, set := os.LookupEnv(name); set {
			continue
		}
		if !whole {
			k.say("keeper: warning: the queen before had %s from its environment, a secret that is not set here; `rbee hive env localhost %s` gives it to the hive for good, where it is set", name, name)
			continue
		}
		k.inherited = append(k.inherited, variable)
	}
}
