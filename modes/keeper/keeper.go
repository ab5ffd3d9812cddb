package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/term"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/home"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
)

// Flags are the flags that every keeper command has.
type Flags struct {
	Queen  string `help:"Queen to use, host:port or URL; without it the one of this account, started if need be." env:"RBEE_QUEEN" placeholder:"ADDRESS"`
	Pin    string `name:"queen-fingerprint" help:"Fingerprint of that queen's certificate, to trust it from now on." env:"RBEE_QUEEN_FINGERPRINT" placeholder:"SHA256:…"`
	Token  string `help:"Token of the queen, or an API key (default, on this machine: this account's own)." env:"RBEE_TOKEN" placeholder:"TOKEN"`
	Quiet  bool   `short:"q" help:"Print errors only, beside what was asked for."`
	Output string `short:"o" help:"What to print: text, json for pipelines, or, of infer and job follow, events." enum:"text,json,events" default:"text" placeholder:"FORMAT"`
}

// Keeper is one command's run.
type Keeper struct {
	Flags
	Home           home.Home
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Listen         string // where a queen that is started listens
	Binary         string // absolute path of the own binary
	// OnInterrupt has the next Ctrl-C call end in place of ending the command,
	// until release is called.
	OnInterrupt func(end func()) (release func())

	inherited []string    // variables for a queen that is started, of the one before
	unstarted atomic.Bool // the queen did not come up again, which was told
	midLine   atomic.Bool // what was printed last on standard output ends in no newline
}

// New makes a keeper of the running binary.
func New(f Flags, h home.Home, listen string, stdin io.Reader, stdout, stderr io.Writer) (*Keeper, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the own binary: %w", err)
	}
	return &Keeper{Flags: f, Home: h, Stdin: stdin, Stdout: stdout, Stderr: stderr, Listen: listen, Binary: exe}, nil
}

// say tells the person something, on standard error, and on a line of its own where
// an answer is being written to the same terminal.
func (k *Keeper) say(format string, args ...any) {
	if k.Quiet {
		return
	}
	if atTerminal(k.Stdout) && atTerminal(k.Stderr) && k.midLine.Swap(false) {
		fmt.Fprintln(k.Stderr)
	}
	fmt.Fprintln(k.Stderr, ops.Printable(fmt.Sprintf(format, args...)))
}

// atTerminal reports whether w is a terminal.
func atTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// client is the way to the queen: the one named by flag or environment, else
// this account's own, which is started if it does not run.
func (k *Keeper) client(ctx context.Context) (*transport.Client, error) {
	if err := k.checkToken(); err != nil {
		return nil, err
	}
	if k.Queen != "" {
		return k.named()
	}
	record, err := k.ensure(ctx)
	if err != nil {
		return nil, err
	}
	if k.Token == "" {
		if err := k.tokenLost(record); err != nil {
			return nil, err
		}
	}
	options := k.own(record)
	options.DialContext = k.redial
	return transport.New(options), nil
}

// checkToken refuses a token that no header can carry. One from a file with another
// system's ends of lines is the token all the same.
func (k *Keeper) checkToken() error {
	k.Token = strings.TrimRight(k.Token, "\r\n")
	if strings.ContainsFunc(k.Token, unicode.IsControl) {
		return ops.Invalid("token", "holds a character that no token has, a line's end or the like").
			WithHint("RBEE_TOKEN gives it too; `rbee queen token` prints it on the queen's machine")
	}
	return nil
}

// own is the way to this account's queen, with the token that was given, else the
// account's.
func (k *Keeper) own(record daemon.Record) transport.Options {
	options := k.options(record.URL(), cmp.Or(k.Token, k.ownToken()))
	options.HungHint = hungHint
	if record.Fingerprint != "" {
		options.TLS = pinned(k.Home.PIDFile("queen"))
	}
	return options
}

// redial connects to this account's queen wherever it listens now. One that
// died is started again, so that an answer that was being given goes on; one
// that is being restarted is waited for.
func (k *Keeper) redial(ctx context.Context, network, _ string) (net.Conn, error) {
	for range 20 {
		if record, ok := k.running(); ok {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, record.Dial())
			if !errors.Is(err, syscall.ECONNREFUSED) {
				return conn, err
			}
			if err := k.outlive(ctx, record); err != nil { // she takes nothing any more
				return nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
	record, err := k.revive(ctx)
	if err != nil {
		k.tellUnstarted(err)
		return nil, err
	}
	k.unstarted.Store(false)
	return (&net.Dialer{}).DialContext(ctx, network, record.Dial())
}

// tellUnstarted tells why the queen does not come up again: once, however often that
// is tried.
func (k *Keeper) tellUnstarted(err error) {
	if !k.unstarted.Swap(true) {
		k.say("keeper: warning: the queen does not start, which is tried again: %v", err)
	}
}

// named is the way to the queen that the person named. Without a scheme it is
// one that keeps the token off the network: plain HTTP on this machine alone.
func (k *Keeper) named() (*transport.Client, error) {
	address := k.Queen
	if !strings.Contains(address, "://") {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, ops.Invalid("queen", "must be HOST:PORT or a URL, got %q", k.Queen)
		}
		scheme := "https://"
		if isLoopback(host) {
			scheme = "http://"
		}
		address = scheme + address
	}
	u, err := url.Parse(strings.TrimSuffix(address, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, ops.Invalid("queen", "must be HOST:PORT or a URL, got %q", k.Queen)
	}
	token := k.Token
	if token == "" && isLoopback(u.Hostname()) { // another machine is not told this account's
		token = k.ownToken()
	}
	options := k.options(u.String(), token)
	if u.Scheme == "https" {
		if options.TLS, err = k.trust(u); err != nil {
			return nil, err
		}
	}
	return transport.New(options), nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (k *Keeper) options(url, token string) transport.Options {
	hint := "`rbee queen status` tells whether it runs and where its log is"
	if k.Queen != "" {
		hint = "is it up, and does it listen there? `rbee queen status` tells on its own machine; without --queen and RBEE_QUEEN this one's queen is used"
	}
	return transport.Options{
		Name: "the queen at " + strings.TrimPrefix(url, "http://"), BaseURL: url, Token: token, Hint: hint, HungHint: hint, Answer: answerWithin,
		OnLost: func(_ context.Context, err error) { k.say("keeper: lost the queen, trying again: %v", err) },
	}
}

// ownToken is the token of this account's queen, or "" when there is none, or none that
// can be sent.
func (k *Keeper) ownToken() string {
	text, err := os.ReadFile(k.Home.Token())
	token := strings.TrimSpace(string(text))
	if err != nil || strings.ContainsFunc(token, unicode.IsControl) {
		return "" // the queen says that one is wanted, and how to get it
	}
	return token
}

// compare tells the person when the running queen is of another build.
func (k *Keeper) compare(record daemon.Record) {
	build, err := daemon.Build(k.Home, k.Binary)
	if err != nil || build == record.Build {
		return
	}
	k.say("keeper: the running queen is build %s, this is build %s; `rbee queen restart` changes to this one", record.Build, build)
}
