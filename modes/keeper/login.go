package keeper

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"rbee.dev/rbee/ops"
)

// mostQuestions bounds how often one login asks: jump hosts and keys may each
// want something.
const mostQuestions = 12

// login has the queen connect to a machine, and asks the person for what that
// needs: to trust a new host key, a key's passphrase, a password. The answers
// go to the queen in this call and nowhere else.
func (k *Keeper) login(ctx context.Context, l ops.Login, trust Trust) error {
	c, err := k.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	l.AcceptNewHostKey = trust.AcceptNewHostKey
	l.Passphrases, l.Passwords = map[string]string{}, map[string]string{}
	for range mostQuestions {
		var in ops.LoggedIn
		if err := c.Post(ctx, ops.LoginPath, l, &in); err != nil {
			return err
		}
		if in.Needs == "" {
			return nil
		}
		if err := k.answer(ctx, &l, in, trust); err != nil {
			return err
		}
	}
	return ops.Errorf(ops.CodeDenied, "the machine does not let anybody in after %d questions", mostQuestions)
}

// answer asks for what a login needs. Without a terminal, or when the person
// will not, the error is why the login failed.
func (k *Keeper) answer(ctx context.Context, l *ops.Login, in ops.LoggedIn, trust Trust) error {
	tty := k.terminal()
	if tty == nil || (in.Needs == ops.NeedPassword && !trust.AskPassword) {
		return in.Error
	}
	defer tty.Close()
	if l.Passphrases[in.Of]+l.Passwords[in.Of] != "" {
		fmt.Fprintln(tty, in.Error.Message) // it was wrong
	}
	switch in.Needs {
	case ops.NeedHostKey:
		if !yes(ctx, tty, fmt.Sprintf("%s\nTrust this key from now on?", in.Error.Message)) {
			return in.Error
		}
		l.Fingerprint = in.Of
		return nil
	case ops.NeedPassphrase:
		secret, err := hidden(ctx, tty, fmt.Sprintf("Passphrase for %s: ", in.Of))
		if err != nil || secret == "" {
			return in.Error
		}
		l.Passphrases[in.Of] = secret
		return nil
	case ops.NeedPassword:
		secret, err := hidden(ctx, tty, fmt.Sprintf("Password for %s: ", in.Of))
		if err != nil || secret == "" {
			return in.Error
		}
		l.Passwords[in.Of] = secret
		return nil
	}
	return in.Error
}

// helpLink logs in to the machine of a hive that the queen cannot reach by
// herself, where a person can help. Whether anything else is wrong, the
// operation tells.
func (k *Keeper) helpLink(ctx context.Context, hive string, trust Trust) error {
	if hive == "" || hive == ops.LocalHive {
		return nil
	}
	c, err := k.client(ctx)
	if err != nil {
		return err
	}
	raw, err := c.Do(ctx, ops.HiveGet{HiveID: hive}, "", nil)
	c.Close()
	if err != nil || strings.Contains(string(raw), `"state":"up"`) {
		return err
	}
	if err := k.login(ctx, ops.Login{HiveID: hive}, trust); err != nil {
		k.say("keeper: cannot log in to the machine of %s: %v", hive, err)
	}
	return nil
}

// offerKey asks whether the queen's own key may be added to the account.
func (k *Keeper) offerKey(ctx context.Context, host string) bool {
	tty := k.terminal()
	if tty == nil || k.Quiet {
		return false
	}
	defer tty.Close()
	return yes(ctx, tty, "Add the queen's own key to the account at "+host+", so that the queen gets in when your agent is gone?")
}

// terminal is the person's terminal, or nil when nobody is there to ask: when
// standard error goes elsewhere, or there is no terminal at all.
func (k *Keeper) terminal() *os.File {
	if !atTerminal(k.Stderr) {
		return nil
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	return tty
}

// yes asks a question until it is answered; nothing and the end mean no.
func yes(ctx context.Context, tty *os.File, question string) bool {
	fmt.Fprintf(tty, "%s [y/N] ", question)
	line, err := unlessOver(ctx, func() (string, error) { return bufio.NewReader(tty).ReadString('\n') })
	answer := strings.ToLower(strings.TrimSpace(line))
	return err == nil && (answer == "y" || answer == "yes")
}

// hidden asks for a secret, which is not shown.
func hidden(ctx context.Context, tty *os.File, question string) (string, error) {
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(fd, before) }() // also after Ctrl-C
	fmt.Fprint(tty, question)
	secret, err := unlessOver(ctx, func() (string, error) {
		text, err := term.ReadPassword(fd)
		return string(text), err
	})
	fmt.Fprintln(tty)
	return secret, err
}

// unlessOver reads from the terminal, or gives up when ctx ends. The reading
// goroutine ends with the process: a terminal's Read cannot be called off.
func unlessOver(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := read()
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
