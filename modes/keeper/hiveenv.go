package keeper

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"rbee.dev/rbee/ops"
)

// HiveEnv is `rbee hive env`.
type HiveEnv struct {
	HiveID    string   `arg:"" name:"hive" help:"Hive whose downloads it is for."`
	Variables []string `arg:"" optional:"" name:"variable" placeholder:"NAME[=VALUE]" help:"Variable to set; NAME alone takes its value from here, or asks; NAME= takes back what was set."`
}

// Help is the example that --help shows.
func (*HiveEnv) Help() string {
	return `A hive downloads with the environment of its own machine. This shows what that is,
and gives the hive others in their place, which count at once and stay: ` + strings.Join(ops.VariableNames(), ", ") + `.
They lie on the hive's machine, in a file that only its account can read. A token,
or a URL with a password, does not go into the command line, where others can see it.

Examples:
  rbee hive env gpu1
  rbee hive env gpu1 HF_TOKEN                 (asks for it)
  HF_TOKEN=hf_… rbee hive env gpu1 HF_TOKEN
  rbee hive env gpu1 HF_ENDPOINT=https://hf-mirror.example HTTPS_PROXY=http://proxy:3128
  rbee hive env gpu1 HF_TOKEN=                (takes it back)`
}

// Run sets what is named, and shows what is set.
func (c *HiveEnv) Run(ctx context.Context, k *Keeper) error {
	e := ops.Environment{HiveID: c.HiveID, Set: map[string]string{}}
	for _, text := range c.Variables {
		name, value, given := strings.Cut(text, "=")
		if given && isSecret(name, value) {
			return ops.Invalid("variable", "%s holds a secret, and others on this machine can see the command line", name).
				WithHint("`rbee hive env %s %s` asks for it, or takes it from the environment", c.HiveID, name)
		}
		if !given {
			var err error
			if value, err = k.valueOf(ctx, name, c.HiveID); err != nil {
				return err
			}
		}
		e.Set[name] = value
	}
	if err := e.Validate(); err != nil {
		wrong := *ops.AsError(err)
		if wrong.Field == "set" {
			wrong.Field = "variable"
		}
		return &wrong
	}
	client, err := k.client(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	var all ops.Variables
	if err := client.Post(ctx, ops.EnvironmentPath, e, &all); err != nil {
		return err
	}
	return k.show(all)
}

// isSecret says whether a variable's value is not for everybody's eyes: a token, or a
// URL with a password.
func isSecret(name, value string) bool {
	if name == ops.SecretVariable {
		return value != ""
	}
	u, err := url.Parse(value)
	if err != nil {
		return false
	}
	_, password := u.User.Password()
	return password
}

// valueOf is a variable's value in this process's environment, or what a person
// says.
func (k *Keeper) valueOf(ctx context.Context, name, hive string) (string, error) {
	if err := (ops.Environment{HiveID: hive, Set: map[string]string{name: ""}}).Validate(); err != nil {
		return "", err
	}
	if value := strings.TrimSpace(os.Getenv(name)); value != "" {
		return value, nil
	}
	e := ops.Invalid("variable", "%s is not set here", name).WithHint("%s=… rbee hive env %s %s", name, hive, name)
	tty := k.terminal()
	if tty == nil {
		return "", e
	}
	defer tty.Close()
	value, err := hidden(ctx, tty, fmt.Sprintf("%s for hive %s: ", name, hive))
	if err != nil || value == "" {
		return "", e
	}
	return strings.TrimSpace(value), nil
}

// variables is a hive's environment as a table.
func variables(w io.Writer, r ops.Variables) {
	if len(r.Variables) == 0 {
		row(w, "hive "+r.HiveID+" downloads without a token, a mirror or a proxy; `rbee hive env --help` says how to set them")
		return
	}
	row(w, "VARIABLE", "VALUE", "SET BY")
	for _, v := range r.Variables {
		value, by := v.Value, "the hive's own environment"
		if v.Name == ops.SecretVariable {
			value = "(not shown)"
		}
		switch {
		case v.Given:
			by = "rbee hive env"
		case v.File != "":
			by = v.File
		}
		row(w, v.Name, value, by)
	}
}
