package ssh

import (
	"cmp"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"rbee.dev/rbee/ops"
)

// maxHops is how many machines a way may lead through.
const maxHops = 8

// Hop is one SSH server on the way to a machine, as the configuration has it.
type Hop struct {
	// Name is what the hop was called where it was named.
	Name string
	// User, Host and Port are where it is.
	User, Host string
	Port       int

	keyAlias         string   // name in known_hosts in place of the address
	identities       []string // key files that are configured, else the usual ones
	configured       bool     // identities are configured
	identitiesOnly   bool
	certificates     []string
	agent            string // socket, or "" for none
	knownHosts       []string
	systemKnownHosts []string
	hashKnownHosts   bool
}

// Address is "host:port", with brackets around IPv6.
func (h Hop) Address() string { return net.JoinHostPort(h.Host, strconv.Itoa(h.Port)) }

// String is "user@host:port".
func (h Hop) String() string { return h.User + "@" + h.Address() }

// keyName is what the hop's host key is looked up under.
func (h Hop) keyName() string {
	if h.keyAlias != "" {
		return net.JoinHostPort(strings.ToLower(h.keyAlias), "22")
	}
	return strings.ToLower(h.Address())
}

// Resolve says how t is reached: the jump hosts in order, then the machine.
// The notes name what was passed over in the configuration files. It reads
// files and dials nothing. What is configured and cannot be done (a
// ProxyCommand) is an error.
func Resolve(t Target, o Options) (hops []Hop, notes []string, err error) {
	if err := t.Validate(); err != nil {
		return nil, nil, err
	}
	r := &resolver{options: o.withDefaults()}
	hops, err = r.chain(t, true, 0)
	return hops, r.notes, err
}

type resolver struct {
	options Options
	notes   []string
}

// chain resolves t. A jump host but the first is reached through the one
// before it, whatever the configuration says of it: jumps is false there.
func (r *resolver) chain(t Target, jumps bool, depth int) ([]Hop, error) {
	if depth >= maxHops {
		return nil, ops.Errorf(ops.CodeInvalid, "the way to %s leads through more than %d machines", t.Host, maxHops).
			WithHint("look for a ProxyJump that leads back to itself in %s", r.options.ConfigFile)
	}
	view, err := r.view(t.Host)
	if err != nil {
		return nil, err
	}
	hop, err := r.hop(t, view)
	if err != nil {
		return nil, err
	}
	if !jumps {
		return []Hop{hop}, nil
	}
	before, err := r.before(view, hop, depth)
	if err != nil {
		return nil, err
	}
	return append(before, hop), nil
}

// before resolves the jump hosts in front of hop.
func (r *resolver) before(v configView, hop Hop, depth int) (hops []Hop, err error) {
	jump := v.get("ProxyJump")
	if jump == "" && !isNone(v.get("ProxyCommand")) {
		return nil, ops.Errorf(ops.CodeUnsupported, "the SSH configuration reaches %s through a ProxyCommand, which rbee does not run", hop.Name).
			WithHint("use ProxyJump in %s, or another name for the machine", r.options.ConfigFile)
	}
	if isNone(jump) {
		return nil, nil
	}
	for i, name := range strings.Split(expand(jump, hop.tokens(r.options.Home)), ",") {
		t, err := ParseTarget(strings.TrimSpace(name))
		if err != nil {
			return nil, ops.Errorf(ops.CodeInvalid, "read the ProxyJump of %s: %w", hop.Name, err).
				WithHint("write it as user@host:port, several with commas, in %s", r.options.ConfigFile)
		}
		more, err := r.chain(t, i == 0, depth+1)
		if err != nil {
			return nil, err
		}
		hops = append(hops, more...)
	}
	return hops, nil
}

func isNone(s string) bool { return s == "" || strings.EqualFold(s, "none") }

// configView is what the person's and the system's file say about one alias.
type configView struct{ user, system *configFile }

func (v configView) get(key string) string { return cmp.Or(v.user.get(key), v.system.get(key)) }

func (v configView) all(key string) []string { return append(v.user.all(key), v.system.all(key)...) }

func (r *resolver) view(alias string) (v configView, err error) {
	o := r.options
	if v.user, err = readConfigFile(o.ConfigFile, alias, o.Home); err == nil {
		v.system, err = readConfigFile(o.SystemConfigFile, alias, o.Home)
	}
	if err != nil {
		return v, ops.Errorf(ops.CodeInvalid, "%w", err).WithHint("correct the file; `ssh -G %s` shows what ssh makes of it", alias)
	}
	for _, place := range append(v.user.skipped, v.system.skipped...) {
		r.notes = append(r.notes, "the Match block at "+place+" was not read: only \"Match all\" and \"Match host\" are")
	}
	return v, nil
}

// hop is t with what is configured for it.
func (r *resolver) hop(t Target, v configView) (Hop, error) {
	h := Hop{Name: t.Host, Host: t.Host, User: cmp.Or(t.User, v.get("User"), localUser()), Port: t.Port}
	if name := v.get("HostName"); name != "" {
		h.Host = expand(name, map[byte]string{'h': t.Host})
	}
	if h.Port == 0 {
		port, err := strconv.Atoi(cmp.Or(v.get("Port"), "22"))
		if err != nil || port < 1 {
			return h, ops.Invalid("port", "the Port of %s in the SSH configuration is no port: %q", t.Host, clip(v.get("Port"))).
				WithHint("correct it in %s", r.options.ConfigFile)
		}
		h.Port = port
	}
	if err := (Target{Host: h.Host, User: h.User, Port: h.Port}).Validate(); err != nil {
		return h, ops.Errorf(ops.CodeInvalid, "read the SSH configuration of %s: %w", t.Host, err).WithHint("correct it in %s", r.options.ConfigFile)
	}
	h.keyAlias = v.get("HostKeyAlias")
	h.identitiesOnly = isYes(v.get("IdentitiesOnly"))
	h.hashKnownHosts = isYes(v.get("HashKnownHosts"))
	r.files(&h, v)
	return h, nil
}

// files fills in the paths of a hop.
func (r *resolver) files(h *Hop, v configView) {
	o, tokens := r.options, h.tokens(r.options.Home)
	for _, f := range v.all("IdentityFile") {
		h.configured = true
		if !isNone(f) {
			h.identities = append(h.identities, expandPath(f, o.Home, tokens))
		}
	}
	if !h.configured {
		for _, f := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			h.identities = append(h.identities, filepath.Join(o.Home, ".ssh", f))
		}
	}
	for _, f := range v.all("CertificateFile") {
		h.certificates = append(h.certificates, expandPath(f, o.Home, tokens))
	}
	h.agent = agentSocket(cmp.Or(o.Agent, v.get("IdentityAgent")), o.Home, tokens)
	h.knownHosts = paths(o.KnownHosts, v.get("UserKnownHostsFile"), "~/.ssh/known_hosts ~/.ssh/known_hosts2", o.Home, tokens)
	h.systemKnownHosts = paths(o.SystemKnownHosts, v.get("GlobalKnownHostsFile"), "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2", o.Home, tokens)
}

// agentSocket is the agent's socket, or "" for none.
func agentSocket(setting, home string, tokens map[byte]string) string {
	switch {
	case setting == "" || setting == "SSH_AUTH_SOCK":
		return os.Getenv("SSH_AUTH_SOCK")
	case isNone(setting):
		return ""
	case strings.HasPrefix(setting, "$"):
		return os.Getenv(strings.Trim(setting[1:], "{}"))
	}
	return expandPath(setting, home, tokens)
}

// paths are those given, else those configured, else the usual ones.
func paths(given []string, configured, usual, home string, tokens map[byte]string) (all []string) {
	if given != nil {
		return given
	}
	if strings.EqualFold(configured, "none") {
		return nil
	}
	for _, p := range words(cmp.Or(configured, usual)) {
		all = append(all, expandPath(p, home, tokens))
	}
	return all
}

func isYes(s string) bool { return strings.EqualFold(s, "yes") || strings.EqualFold(s, "true") }

// tokens are what the % signs of ssh_config(5) stand for, as far as they can
// be known without dialling.
func (h Hop) tokens(home string) map[byte]string {
	name, _ := os.Hostname()
	short, _, _ := strings.Cut(name, ".")
	return map[byte]string{
		'h': h.Host, 'n': h.Name, 'p': strconv.Itoa(h.Port), 'r': h.User,
		'u': localUser(), 'd': home, 'l': name, 'L': short, 'i': strconv.Itoa(os.Getuid()), 'k': cmp.Or(h.keyAlias, h.Name),
	}
}

// expand replaces the % signs of s; one that stands for nothing stays.
func expand(s string, tokens map[byte]string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if v, ok := tokens[s[i]]; ok {
			b.WriteString(v)
		} else if b.WriteByte('%'); s[i] != '%' {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// expandPath is expand, and "~" is home. A relative path is left as it is.
func expandPath(s, home string, tokens map[byte]string) string {
	s = expand(s, tokens)
	if s == "~" || strings.HasPrefix(s, "~/") {
		return filepath.Join(home, s[1:])
	}
	return s
}
