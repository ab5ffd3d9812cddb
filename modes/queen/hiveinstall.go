package queen

import (
	"context"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"rbee.dev/rbee/modes/queen/install"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport/ssh"
)

// HiveInstall puts a hive onto a machine. It can be done again: what is there
// already is kept.
func (q *Queen) HiveInstall(ctx context.Context, o ops.HiveInstall) (ops.Hive, error) {
	if o.SSHHost == "" {
		return q.installHere(ctx, o)
	}
	target, err := targetOf(o.SSHAddress)
	if err != nil {
		return ops.Hive{}, err
	}
	if o.HiveID == ops.LocalHive {
		return ops.Hive{}, ops.Invalid("hive_id", "%s is the hive of the queen's own machine", ops.LocalHive).
			WithHint("choose another name by --name; without --host the hive of this machine becomes a service")
	}
	conn, err := q.connect(ctx, target)
	if err != nil {
		return ops.Hive{}, err
	}
	i := &installation{queen: q, op: o, target: target, conn: conn}
	defer i.close()
	return i.run(ctx)
}

// installation is one hive_install on another machine.
type installation struct {
	queen  *Queen
	op     ops.HiveInstall
	target ssh.Target
	conn   *ssh.Conn
	link   *ssh.Link // takes conn over

	id     string
	facts  install.Facts
	known  *remoteHive // the hive, where it is installed already
	hive   *remoteHive
	deploy *deployment
	kept   bool // the hive and its link are the queen's now
}

func (i *installation) close() {
	switch {
	case i.hive != nil && !i.kept:
		i.hive.Close() // and the link
	case i.link == nil:
		_ = i.conn.Close() // nothing is under way on it
	}
}

func (i *installation) run(ctx context.Context) (ops.Hive, error) {
	var err error
	if i.facts, err = install.Look(ctx, i.conn, ""); err != nil {
		return ops.Hive{}, err
	}
	ops.Narrate(ctx, "machine_look", "%s is %s, account %s", i.facts.Host, i.facts.Platform, i.facts.User)
	wrongClock(ctx, i.facts)
	if i.id, err = i.name(); err != nil {
		return ops.Hive{}, err
	}
	release, err := i.queen.reserved.take(i.id)
	if err != nil {
		return ops.Hive{}, err
	}
	defer release()
	if err := i.check(); err != nil {
		return ops.Hive{}, err
	}
	binary, err := i.queen.sources(i.op.BinaryPath).Choose(ctx, i.facts.Platform)
	if err != nil {
		return ops.Hive{}, err
	}
	if problems := i.facts.Problems(binary.Size); len(problems) > 0 {
		return ops.Hive{}, ops.Errorf(ops.CodeUnavailable, "nothing can be installed on %s: %s", account(i.conn), strings.Join(problems, "; ")).
			WithHint("`rbee hive test --host %s` tells what a machine lacks", i.target)
	}
	i.prepare(binary)
	if err := install.Do(ctx, i.steps()...); err != nil {
		return ops.Hive{}, err
	}
	return i.queen.HiveStatus(ctx, ops.HiveStatus{HiveID: i.id})
}

// name is what the hive is called: as the person says, else as the host.
func (i *installation) name() (string, error) {
	if i.op.HiveID != "" {
		return i.op.HiveID, nil
	}
	name := i.target.Host
	if net.ParseIP(name) != nil {
		name = i.facts.Host
	}
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	err := ops.HiveInstall{HiveID: name}.Validate()
	if err != nil || name == "" || name == ops.LocalHive {
		return "", ops.Invalid("hive_id", "the host's name %q is none for a hive", i.target.Host).WithHint("choose one by --name")
	}
	return name, nil
}

// check refuses a name that another machine has, and a machine that another
// hive has.
func (i *installation) check() error {
	i.known = i.queen.hives.remote(i.id)
	if i.known != nil && i.known.now().target() != i.target {
		return ops.Errorf(ops.CodeConflict, "the name %s is taken by the hive on %s", i.id, i.known.now().address()).
			WithHint("choose another by --name, or move the hive by `rbee hive update %s --host …`", i.id)
	}
	switch c := i.facts.Claim; {
	case c == nil:
	case c.Queen != i.queen.identity:
		return ops.Errorf(ops.CodeConflict, "%s has a hive already, %s, of the queen of %s", account(i.conn), c.Hive, c.Of).
			WithHint("that queen gives it up by `rbee hive uninstall %s`; if she is gone, remove %s on the machine", c.Hive, i.facts.State+"/hive.owner")
	case c.Hive != i.id && i.queen.hives.remote(c.Hive) != nil:
		return ops.Errorf(ops.CodeConflict, "%s is the hive %s already", account(i.conn), c.Hive).
			WithHint("`rbee hive update %s --name %s` changes its name", c.Hive, i.id)
	}
	return nil
}

// prepare makes the hive that is to be, and the link to it.
func (i *installation) prepare(binary install.Binary) {
	var before record
	if i.known != nil {
		before = i.known.now()
	}
	site := idling(install.SiteOf(i.facts), before.Site, i.op.IdleTimeout)
	r := record{Host: i.target.Host, User: i.target.User, Port: i.target.Port, Site: site, Listen: listenOn(i.op.Port), Build: binary.Build()}
	if i.known != nil {
		r.Key, r.Systemd = before.Key, before.Systemd
		if i.op.Port == 0 {
			r.Listen = before.Listen
		}
	}
	i.link = i.queen.newLink(r, true)
	i.link.Use(i.conn)
	i.hive = newRemoteHive(i.id, r, i.link, i.queen.Log)
	i.deploy = &deployment{
		service: install.Service{Shell: i.conn, Site: site, Name: i.id, Listen: r.Listen},
		binary:  binary, facts: i.facts, direct: i.hive.direct(), fresh: i.known == nil,
		restart: i.known != nil && (before.Listen != r.Listen || !slices.Equal(before.Site.Env, site.Env)),
	}
}

func listenOn(port int) string {
	if port == 0 {
		return ""
	}
	return net.JoinHostPort("", strconv.Itoa(port))
}

// newLink is a link to the machine of r. A resting one waits for a connection
// that is given to it.
func (q *Queen) newLink(r record, resting bool) *ssh.Link {
	o := q.sshOptions()
	o.Pipe = ssh.Command{Argv: []string{r.Site.Binary(), "hive", "pipe"}}
	return ssh.NewLink(r.target(), o, ssh.LinkOptions{Paused: resting})
}

func (i *installation) steps() []install.Step {
	steps := append([]install.Step{{Action: "machine_claim", Title: "make the hive's folders", Run: i.claim, Undo: i.unclaim}}, i.deploy.steps()...)
	if i.op.AddKey {
		steps = append(steps, install.Step{Action: "key_add", Title: "add the queen's key to the account", Run: i.addKey, Undo: i.removeKey})
	}
	return append(steps, install.Step{Action: "hive_record", Title: "record the hive", Run: i.record})
}

func (i *installation) claim(ctx context.Context) error {
	return i.deploy.service.Prepare(ctx, &install.Claim{Queen: i.queen.identity, Of: whoami(), Hive: i.id})
}

// unclaim leaves the machine as it was found.
func (i *installation) unclaim(ctx context.Context) error {
	if i.known != nil {
		return nil
	}
	return i.deploy.service.Remove(ctx, false)
}

func (i *installation) addKey(ctx context.Context) error {
	if err := install.Authorize(ctx, i.conn, i.queen.keyLine()); err != nil {
		return err
	}
	i.hive.change(func(r *record) { r.Key = true })
	ops.Narrate(ctx, "key_add", "the queen's own key may log in to %s", account(i.conn))
	return nil
}

func (i *installation) removeKey(ctx context.Context) error {
	if i.known != nil && i.known.now().Key {
		return nil
	}
	return install.Unauthorize(ctx, i.conn, i.queen.keyLine())
}

// record takes the hive into the queen's books.
func (i *installation) record(ctx context.Context) error {
	d := i.deploy
	r := i.hive.change(func(r *record) {
		if !d.started.Kept {
			r.Systemd = d.started.Systemd
		}
	})
	d.warnOfLogout(ctx)
	if err := i.queen.store.SaveRemote(ctx, i.id, r); err != nil {
		return err
	}
	i.queen.hives.remove(i.id)
	if err := i.queen.adopt(ctx, i.id, i.hive); err != nil {
		return err
	}
	i.kept = true
	if err := d.service.Prune(ctx, d.binary.Name(), d.before); err != nil {
		ops.Warn(ctx, "prune", "older binaries stay on the machine: %v", err)
	}
	return nil
}

// warnOfLogout says why the hive is no service where it could have been one.
func (d *deployment) warnOfLogout(ctx context.Context) {
	if d.started.NoLinger {
		ops.Warn(ctx, "no_linger", "systemd on %s would end the hive when %s logs out, so it is a process of its own, which a restart of the machine ends; after `sudo loginctl enable-linger %s` there, `rbee hive stop` and installing again make it a service",
			d.facts.Host, d.facts.User, d.facts.User)
	}
}

// adopt takes a hive behind SSH into the books and watches it.
func (q *Queen) adopt(ctx context.Context, id string, h *remoteHive) error {
	if err := q.books.add(ctx, q.store, id, h.now().address()); err != nil {
		return err
	}
	q.hives.add(context.WithoutCancel(ctx), id, h, func(ctx context.Context) { q.watchRemote(ctx, h) })
	return nil
}

// keyLine is the queen's own key as a line of authorized_keys.
func (q *Queen) keyLine() string { return q.key.AuthorizedKeyLine("rbee queen of " + whoami()) }

// whoami is the queen's account and machine, for a person.
func whoami() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed machine"
	}
	return name + "@" + host
}

// installHere makes the hive of the queen's own machine a service of it, that
// runs without a queen.
func (q *Queen) installHere(ctx context.Context, o ops.HiveInstall) (ops.Hive, error) {
	if o.HiveID != "" && o.HiveID != ops.LocalHive {
		return ops.Hive{}, ops.Invalid("hive_id", "the hive of the queen's own machine is always called %s", ops.LocalHive).
			WithHint("--host names another machine")
	}
	release, err := q.reserved.take(ops.LocalHive)
	if err != nil {
		return ops.Hive{}, err
	}
	defer release()
	site := q.siteHere()
	facts, err := install.Look(ctx, install.Here{}, site.Data)
	if err != nil {
		return ops.Hive{}, err
	}
	binary, err := q.sources(o.BinaryPath).Choose(ctx, facts.Platform)
	if err != nil {
		return ops.Hive{}, err
	}
	if problems := facts.Problems(binary.Size); len(problems) > 0 {
		return ops.Hive{}, ops.Errorf(ops.CodeUnavailable, "nothing can be installed here: %s", strings.Join(problems, "; "))
	}
	r, installed := q.local.installed()
	site = idling(site, r.Site, o.IdleTimeout)
	d := &deployment{
		service: install.Service{Shell: install.Here{}, Site: site, Name: ops.LocalHive, Listen: listenOn(o.Port)},
		binary:  binary, facts: facts, direct: q.local.direct(), fresh: !installed,
		restart: !installed || r.Listen != listenOn(o.Port) || r.Site.Setting(idleTimeout) != site.Setting(idleTimeout),
	}
	return q.deployHere(ctx, d)
}

func (q *Queen) deployHere(ctx context.Context, d *deployment) (ops.Hive, error) {
	q.local.allow(false) // the watch must start none of its own meanwhile
	defer q.local.allow(true)
	claim := install.Step{Title: "make the hive's folders", Run: func(ctx context.Context) error { return d.service.Prepare(ctx, nil) }}
	save := install.Step{Title: "record the hive", Run: func(ctx context.Context) error {
		d.warnOfLogout(ctx)
		r := record{Site: d.service.Site, Systemd: d.started.Systemd, Listen: d.service.Listen, Build: d.binary.Build()}
		q.local.setInstalled(&r)
		return q.store.SaveRemote(ctx, ops.LocalHive, r)
	}}
	if err := install.Do(ctx, append(append([]install.Step{claim}, d.steps()...), save)...); err != nil {
		return ops.Hive{}, err
	}
	q.local.allow(true)
	return q.HiveStatus(ctx, ops.HiveStatus{})
}

// siteHere is where the files of a service on this machine are: those of the
// queen's own home.
func (q *Queen) siteHere() install.Site {
	s := install.Site{State: q.Home.State, Models: q.Home.Models(), Data: filepath.Join(q.Home.State, "service")}
	for _, name := range []string{"RBEE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"} {
		if value := os.Getenv(name); value != "" {
			s.Env = append(s.Env, name+"="+value)
		}
	}
	return s
}
