package ssh

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// maxInclude is how deep files may include each other, as in OpenSSH.
const maxInclude = 16

// configFile is what one configuration file says about one alias.
type configFile struct {
	values *ssh_config.Config
	// skipped are the places of Match blocks that were not read.
	skipped []string
}

// readConfigFile reads what applies to alias. Include lines are relative to
// folder. A missing file says nothing.
//
// The library would read Include lines itself, but from the account's own home
// only, without their order, and would refuse a whole file for one Match block
// that it does not know; so files are put together here and it reads the sum.
func readConfigFile(path, alias, home string) (c *configFile, err error) {
	r := &configReader{alias: alias, home: home, folder: filepath.Dir(path)}
	if err := r.read(path, 0); err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil { // its parser reports some errors so
			c, err = nil, fmt.Errorf("read %s: %v", path, p)
		}
	}()
	values, err := ssh_config.DecodeBytes([]byte(r.text.String()))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return &configFile{values: values, skipped: r.skipped}, nil
}

// get returns the first value of key, which is the one that counts, or "".
func (c *configFile) get(key string) string {
	v, _ := c.values.Get("any", key) // fails for no file that was parsed
	return v
}

// all returns every value of key, in order.
func (c *configFile) all(key string) []string {
	v, _ := c.values.GetAll("any", key)
	return v
}

// configReader collects the lines that apply to one alias.
type configReader struct {
	alias, home, folder string
	text                strings.Builder
	skipped             []string
}

func (r *configReader) read(path string, depth int) error {
	if depth > maxInclude {
		return fmt.Errorf("read %s: its Include lines are more than %d deep", path, maxInclude)
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the SSH configuration: %w", err)
	}
	applies := true
	for n, line := range slices.Collect(strings.Lines(string(text))) {
		key, args := directive(line)
		switch {
		case key == "host":
			applies, err = matches(r.alias, args)
		case key == "match":
			applies, err = r.match(fmt.Sprintf("%s:%d", path, n+1), args)
		case key == "include" && applies:
			err = r.include(args, depth)
		case key != "" && applies:
			r.text.WriteString(strings.TrimRight(line, "\r\n") + "\n")
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", path, n+1, err)
		}
	}
	return nil
}

// match says whether a Match block applies. Of its criteria, "all" and "host"
// are understood; a block with others is passed over and noted.
func (r *configReader) match(place string, args []string) (bool, error) {
	switch {
	case len(args) == 1 && strings.EqualFold(args[0], "all"):
		return true, nil
	case len(args) == 2 && (strings.EqualFold(args[0], "host") || strings.EqualFold(args[0], "originalhost")):
		return matches(r.alias, strings.Split(args[1], ","))
	}
	r.skipped = append(r.skipped, place)
	return false, nil
}

func (r *configReader) include(globs []string, depth int) error {
	for _, g := range globs {
		if strings.HasPrefix(g, "~/") {
			g = filepath.Join(r.home, g[2:])
		} else if !filepath.IsAbs(g) {
			g = filepath.Join(r.folder, g)
		}
		paths, err := filepath.Glob(g)
		if err != nil {
			return fmt.Errorf("include %s: %w", g, err)
		}
		for _, p := range paths {
			if err := r.read(p, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// matches says whether alias is among the patterns of a Host line.
func matches(alias string, patterns []string) (bool, error) {
	var h ssh_config.Host
	for _, p := range patterns {
		if p == "" || p == "!" {
			continue
		}
		pattern, err := ssh_config.NewPattern(p)
		if err != nil {
			return false, fmt.Errorf("read the pattern %q: %w", p, err)
		}
		h.Patterns = append(h.Patterns, pattern)
	}
	return h.Matches(alias), nil
}

// directive takes a line apart: the keyword in lower case, "" for an empty
// line or a comment, and its arguments.
func directive(line string) (key string, args []string) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", nil
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return strings.ToLower(line), nil
	}
	rest := strings.TrimSpace(line[end:])
	rest = strings.TrimPrefix(rest, "=")
	return strings.ToLower(line[:end]), words(rest)
}

// words splits at spaces outside double quotes, up to a comment.
func words(s string) (all []string) {
	for s = strings.TrimLeft(s, " \t\r\n"); s != "" && s[0] != '#'; s = strings.TrimLeft(s, " \t\r\n") {
		if s[0] == '"' {
			word, rest, _ := strings.Cut(s[1:], `"`)
			all, s = append(all, word), rest
			continue
		}
		end := strings.IndexAny(s, " \t\r\n")
		if end < 0 {
			end = len(s)
		}
		all, s = append(all, s[:end]), s[end:]
	}
	return all
}
