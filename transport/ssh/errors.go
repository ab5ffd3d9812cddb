package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	xssh "golang.org/x/crypto/ssh"

	"rbee.dev/rbee/ops"
)

// UnknownHostKey is the cause of the failure where a host was never seen
// before and nothing accepts its key.
type UnknownHostKey struct {
	Host        string // "host:port" of the machine or jump host
	KeyType     string // as "ssh-ed25519"
	Fingerprint string // "SHA256:…", as [Options.AcceptFingerprint] takes it
}

// Error shows the fingerprint.
func (e *UnknownHostKey) Error() string {
	return fmt.Sprintf("the host key of %s is not known: %s %s", e.Host, e.KeyType, e.Fingerprint)
}

// NeedsPassphrase is the cause of the failure where the machine takes a key
// whose file is locked.
type NeedsPassphrase struct {
	Path  string // of the key file, as [Secrets] takes it
	Wrong bool   // a passphrase was given and does not fit
}

// Error names the key file.
func (e *NeedsPassphrase) Error() string {
	if e.Wrong {
		return "the passphrase given for " + e.Path + " is wrong"
	}
	return e.Path + " is locked with a passphrase"
}

// NeedsPassword is the cause of the failure where no key is accepted but a
// password might be.
type NeedsPassword struct {
	Account string // "user@host:port", as [Secrets] takes it
	Wrong   bool   // a password was given and refused
}

// Error names the account.
func (e *NeedsPassword) Error() string {
	if e.Wrong {
		return e.Account + " refused the password"
	}
	return e.Account + " asks for a password"
}

// ErrLost is what a socket's connection reads when the one that carries it has ended. It
// is an [io.ErrUnexpectedEOF]: an answer cut short must not look whole.
var ErrLost error = lost{}

type lost struct{}

// Error is the same of every machine: who reads knows which it is.
func (lost) Error() string { return "the connection to the machine was lost" }

// Is has it be an unexpected end.
func (lost) Is(target error) bool { return target == io.ErrUnexpectedEOF }

// errContext says that the context ended while doing something.
func errContext(ctx context.Context, doing, host string) *ops.Error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ops.Errorf(ops.CodeCancelled, "%s %s: %w", doing, host, context.Cause(ctx))
	}
	return ops.Errorf(ops.CodeTimeout, "%s %s: no answer in time: %w", doing, host, context.DeadlineExceeded).
		WithHint("see whether the machine is on and reachable: ssh -v %s", host)
}

// errReach classifies a TCP connection that was not made.
func errReach(ctx context.Context, h Hop, err error) *ops.Error {
	if ctx.Err() != nil {
		return errContext(ctx, "reach", h.Address())
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return ops.Errorf(ops.CodeUnavailable, "there is no machine called %s: %w", h.Host, dns).
			WithHint("check the name's spelling, or add it to ~/.ssh/config with a HostName")
	}
	if refused, ok := errors.AsType[*xssh.OpenChannelError](err); ok {
		return errJump(h, refused)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return ops.Errorf(ops.CodeUnavailable, "%s refuses connections: %w", h.Address(), err).
			WithHint("see whether an SSH server runs on %s and whether the port is right", h.Host)
	}
	if t, ok := errors.AsType[net.Error](err); ok && t.Timeout() {
		return ops.Errorf(ops.CodeTimeout, "%s does not answer: %w", h.Address(), err).
			WithHint("see whether the machine is on and the network lets you through: ssh -v %s", h.Host)
	}
	return ops.Errorf(ops.CodeUnavailable, "reach %s: %w", h.Address(), err).WithHint("see what ssh says: ssh -v %s", h.Host)
}

// errJump is a jump host that does not pass on to h.
func errJump(h Hop, err *xssh.OpenChannelError) *ops.Error {
	if err.Reason == xssh.Prohibited {
		return ops.Errorf(ops.CodeDenied, "the jump host does not forward to %s: %w", h.Address(), err).
			WithHint("its sshd_config must allow TCP forwarding (AllowTcpForwarding, PermitOpen)")
	}
	return ops.Errorf(ops.CodeUnavailable, "the jump host does not reach %s: %w", h.Address(), err).
		WithHint("see whether %s is on, and known by that name on the jump host", h.Host)
}

// errHandshake classifies a handshake that failed for another reason than the
// host's key or ours.
func errHandshake(ctx context.Context, h Hop, err error) *ops.Error {
	if ctx.Err() != nil {
		return errContext(ctx, "speak SSH with", h.Address())
	}
	if a, ok := errors.AsType[*xssh.AlgorithmNegotiationError](err); ok {
		return ops.Errorf(ops.CodeUnsupported, "%s and rbee share no algorithm: %w", h.Address(), a).
			WithHint("the SSH server is too old, or too strict; rbee speaks what OpenSSH 8.8 and later speak")
	}
	if strings.Contains(strings.ToLower(err.Error()), "too many authentication failures") { // the type is not exported
		return ops.Errorf(ops.CodeDenied, "%s ended the login after too many keys", h).
			WithHint("say which key it takes: IdentityFile and \"IdentitiesOnly yes\" for %s in ~/.ssh/config", h.Name)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return ops.Errorf(ops.CodeUnavailable, "%s closed the connection during the handshake: %w", h.Address(), err).
			WithHint("it may be busy (MaxStartups) or block this address; try again, or see its log")
	}
	return ops.Errorf(ops.CodeUnavailable, "speak SSH with %s: %w", h.Address(), err).
		WithHint("see whether an SSH server listens there: ssh -v %s", h.Name)
}

// errAuth says why nobody was let in.
func (a *auth) errAuth() *ops.Error {
	h := a.hop
	for _, l := range a.locked {
		if l.wanted || l.unseen {
			need := &NeedsPassphrase{Path: l.path, Wrong: l.wrong}
			return ops.Errorf(ops.CodeDenied, "log in to %s: %w", h, need).
				WithHint("give its passphrase, or unlock it for good with ssh-add %s", l.path)
		}
	}
	tried := "no key"
	if len(a.offered) > 0 {
		tried = strings.Join(a.offered, ", ")
	}
	if a.passworded || slices.Contains(a.allowed, "password") || slices.Contains(a.allowed, "keyboard-interactive") {
		need := &NeedsPassword{Account: h.String(), Wrong: a.passworded}
		return ops.Errorf(ops.CodeDenied, "log in: %w (tried before: %s)", need, tried).
			WithHint("ask for the password, or add your public key to the account: ssh-copy-id %s@%s", h.User, h.Host)
	}
	return ops.Errorf(ops.CodeDenied, "%s accepts none of the keys (tried: %s)", h, tried).
		WithHint("check the account's name, and add your public key to it: ssh-copy-id %s@%s", h.User, h.Host)
}
