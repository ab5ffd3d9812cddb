package queen

import (
	"context"
	"errors"
	"time"

	"rbee.dev/rbee/modes/daemon"
	"rbee.dev/rbee/modes/queen/install"
	"rbee.dev/rbee/ops"
	"rbee.dev/rbee/transport"
	"rbee.dev/rbee/transport/ssh"
)

// endWithin bounds the end of a hive with its workers.
const endWithin = 30 * time.Second

// HiveStop ends a hive and its workers, and keeps it down until it is started.
func (q *Queen) HiveStop(ctx context.Context, o ops.HiveStop) (ops.Hive, error) {
	id, release, err := q.change(o.HiveID)
	if err != nil {
		return ops.Hive{}, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	if id == ops.LocalHive {
		if err := q.stopHere(ctx); err != nil {
			return ops.Hive{}, err
		}
	} else if err := q.stopRemote(ctx, id); err != nil {
		return ops.Hive{}, err
	}
	q.books.lost(id, "stopped by `rbee hive stop`")
	return q.HiveGet(ctx, ops.HiveGet{HiveID: id})
}

// change resolves a hive that is to be changed on its machine, and keeps others
// from changing it until release is called.
func (q *Queen) change(name string) (id string, release func(), err error) {
	if id, err = q.hive(name); err != nil {
		return "", nil, err
	}
	free, err := q.reserved.take(id)
	if err != nil {
		return "", nil, err
	}
	h := q.hives.remote(id)
	if h == nil {
		return id, free, nil
	}
	h.changing.Lock()
	return id, func() {
		h.changing.Unlock()
		free()
		h.look()
	}, nil
}

func (q *Queen) stopHere(ctx context.Context) error {
	ops.Narrate(ctx, "hive_stop", "stopping the hive %s and its workers", ops.LocalHive)
	q.local.allow(false)
	if r, ok := q.local.installed(); ok {
		s := install.Service{Shell: install.Here{}, Site: r.Site, Name: ops.LocalHive}
		if err := endHive(ctx, q.local.direct(), daemon.ScopeAll); err != nil {
			return err
		}
		if err := s.Stop(ctx); err != nil {
			return err
		}
	}
	return q.local.stop(ctx)
}

func (q *Queen) stopRemote(ctx context.Context, id string) error {
	h := q.hives.remote(id)
	s, err := h.service(ctx)
	if err != nil {
		return h.down(err)
	}
	ops.Narrate(ctx, "hive_stop", "stopping the hive %s and its workers", id)
	r := h.change(func(r *record) { r.Stopped = true })
	if err := q.store.SaveRemote(ctx, id, r); err != nil {
		return err
	}
	return stopService(ctx, s, h)
}

// stopService ends hive, workers and service.
func stopService(ctx context.Context, s install.Service, h hive) error {
	if err := endHive(ctx, h.direct(), daemon.ScopeAll); err != nil {
		ops.Warn(ctx, "hive_deaf", "the hive does not end by itself, ending it: %v", err)
	}
	return s.Stop(ctx)
}

// HiveStart starts a hive that is down.
func (q *Queen) HiveStart(ctx context.Context, o ops.HiveStart) (ops.Hive, error) {
	id, release, err := q.change(o.HiveID)
	if err != nil {
		return ops.Hive{}, err
	}
	defer release()
	if id == ops.LocalHive {
		err = q.startHere(ctx)
	} else {
		err = q.startRemote(ctx, id)
	}
	if err != nil {
		return ops.Hive{}, err
	}
	return q.HiveStatus(ctx, ops.HiveStatus{HiveID: id})
}

func (q *Queen) startHere(ctx context.Context) error {
	q.local.allow(true)
	if r, ok := q.local.installed(); ok {
		s := install.Service{Shell: install.Here{}, Site: r.Site, Name: ops.LocalHive, Listen: r.Listen}
		d := &deployment{service: s, direct: q.local.direct()}
		up, err := q.local.isUp(ctx)
		if up || err != nil && !errors.Is(err, transport.ErrHung) {
			return err
		}
		if record, alive, _ := daemon.Running(q.Home.PIDFile("hive")); alive { // it hangs
			if err := daemon.Kill(ctx, record.Process, time.Second); err != nil {
				return err
			}
		}
		if _, err := s.Start(ctx); err != nil {
			return err
		}
		return d.answers(ctx, r.Build)
	}
	err := q.local.ensure(ctx)
	if errors.Is(err, transport.ErrHung) {
		err = q.local.replace(ctx)
	}
	return err
}

func (q *Queen) startRemote(ctx context.Context, id string) error {
	h := q.hives.remote(id)
	if _, err := h.link.Reconnect(ctx); err != nil {
		return h.down(err)
	}
	s, err := h.service(ctx)
	if err != nil {
		return h.down(err)
	}
	r := h.change(func(r *record) { r.Stopped = false })
	if err := q.store.SaveRemote(ctx, id, r); err != nil {
		return err
	}
	if _, err := health(ctx, h.direct()); err == nil {
		ops.Narrate(ctx, "hive_up", "the hive %s is up already", id)
		return nil
	}
	ops.Narrate(ctx, "hive_start", "starting the hive %s", id)
	d := &deployment{service: s, direct: h.direct()}
	if _, err := s.Start(ctx); err != nil {
		return err
	}
	return d.answers(ctx, r.Build)
}

// HiveUninstall removes a hive from its machine and from the books.
func (q *Queen) HiveUninstall(ctx context.Context, o ops.HiveUninstall) (ops.HiveRemoved, error) {
	id, release, err := q.change(o.HiveID)
	if err != nil {
		return ops.HiveRemoved{}, err
	}
	if id == ops.LocalHive {
		defer release()
		return ops.HiveRemoved{ID: id}, q.uninstallHere(ctx, o)
	}
	if !o.CatalogOnly {
		if err := q.uninstallRemote(ctx, id, o.Models); err != nil {
			release()
			return ops.HiveRemoved{}, err
		}
	}
	release() // before the hive goes, whose lock it holds
	if err := q.store.Forget(ctx, id); err != nil {
		return ops.HiveRemoved{}, err
	}
	q.books.remove(id)
	q.hives.remove(id)
	return ops.HiveRemoved{ID: id}, nil
}

func (q *Queen) uninstallRemote(ctx context.Context, id string, models bool) error {
	h := q.hives.remote(id)
	if _, err := h.link.Reconnect(ctx); err != nil {
		e := ops.AsError(h.down(err))
		return e.WithHint("`rbee hive uninstall %s --catalog-only` forgets a machine that is gone", id)
	}
	s, err := h.service(ctx)
	if err != nil {
		return err
	}
	r := h.change(func(r *record) { r.Stopped = true })
	ops.Narrate(ctx, "hive_stop", "stopping the hive %s and its workers", id)
	if err := stopService(ctx, s, h); err != nil {
		return err
	}
	ops.Narrate(ctx, "hive_remove", "removing what was installed")
	if err := s.Remove(ctx, models); err != nil {
		return err
	}
	if !r.Key {
		return nil
	}
	return install.Unauthorize(ctx, s.Shell, q.keyLine())
}

// uninstallHere ends the service of this machine; the queen starts the hive
// again when it is needed.
func (q *Queen) uninstallHere(ctx context.Context, o ops.HiveUninstall) error {
	r, ok := q.local.installed()
	if !ok {
		return ops.Errorf(ops.CodeNotFound, "the hive %s is no service of this machine", ops.LocalHive).
			WithHint("the queen starts it when it is needed and ends it by `rbee queen stop`")
	}
	if !o.CatalogOnly {
		if err := q.stopHere(ctx); err != nil {
			return err
		}
		if err := (install.Service{Shell: install.Here{}, Site: r.Site}).Remove(ctx, o.Models); err != nil {
			return err
		}
		if err := q.Home.Create(); err != nil { // the queen's own are the same folders
			return err
		}
	}
	if err := q.store.Forget(ctx, ops.LocalHive); err != nil {
		return err
	}
	q.local.setInstalled(nil)
	q.local.allow(true)
	return nil
}

// HiveUpdate changes what the queen knows of a hive, and the binary that it
// runs.
func (q *Queen) HiveUpdate(ctx context.Context, o ops.HiveUpdate) (ops.Hive, error) {
	id, release, err := q.change(o.HiveID)
	if err != nil {
		return ops.Hive{}, err
	}
	h := q.hives.remote(id)
	if h == nil {
		release()
		if o.NewName != "" || o.SSHAddress != (ops.SSHAddress{}) {
			return ops.Hive{}, ops.Invalid("hive_id", "%s is the queen's own machine: it has this name and no address", id)
		}
		return q.updateHere(ctx, o)
	}
	u := &update{queen: q, op: o, id: id, hive: h}
	err = u.run(ctx)
	release()
	if err != nil {
		return ops.Hive{}, err
	}
	if err := u.take(ctx); err != nil {
		return ops.Hive{}, err
	}
	return q.HiveStatus(ctx, ops.HiveStatus{HiveID: u.id, RefreshCapabilities: o.RefreshCapabilities})
}

func (q *Queen) updateHere(ctx context.Context, o ops.HiveUpdate) (ops.Hive, error) {
	if r, ok := q.local.installed(); ok {
		port := 0
		if r.Listen != "" {
			port = portOf(r.Listen)
		}
		if _, err := q.installHere(ctx, ops.HiveInstall{BinaryPath: o.BinaryPath, Port: port, IdleTimeout: o.IdleTimeout}); err != nil {
			return ops.Hive{}, err
		}
	} else if o.BinaryPath != "" {
		return ops.Hive{}, ops.Invalid("binary_path", "the hive of the queen's own machine runs the queen's binary").
			WithHint("`rbee hive install --binary FILE` makes it a service with one of its own")
	} else if o.IdleTimeout != "" {
		return ops.Hive{}, ops.Invalid("idle_timeout", "the hive of the queen's own machine has the queen's").
			WithHint("`%s=%s rbee queen restart` sets it", idleTimeout, o.IdleTimeout)
	}
	return q.HiveStatus(ctx, ops.HiveStatus{RefreshCapabilities: o.RefreshCapabilities})
}

// update is one hive_update of a hive behind SSH.
type update struct {
	queen *Queen
	op    ops.HiveUpdate
	id    string
	hive  *remoteHive
	next  record
	moved *ssh.Link // to the new address, where it changes
	name  string
}

// run changes the machine.
func (u *update) run(ctx context.Context) error {
	if err := u.address(); err != nil {
		return err
	}
	conn, err := u.connect(ctx)
	if err != nil {
		return u.hive.down(err)
	}
	facts, err := install.Look(ctx, conn, u.next.Site.Data)
	if err != nil {
		return errors.Join(err, u.abandon())
	}
	if c := facts.Claim; c == nil || c.Queen != u.queen.identity {
		err := ops.Errorf(ops.CodeConflict, "%s has no hive of this queen", account(conn)).WithHint("`rbee hive install --host …` makes one")
		return errors.Join(err, u.abandon())
	}
	binary, err := u.queen.sources(u.op.BinaryPath).Choose(ctx, facts.Platform)
	if err != nil {
		return errors.Join(err, u.abandon())
	}
	u.next.Build = binary.Build()
	direct := u.hive.direct()
	if u.moved != nil {
		moved := newRemoteHive(u.id, u.next, u.moved, u.queen.Log)
		direct = moved.direct()
		defer direct.Close()
	}
	changed := u.op.IdleTimeout != "" && u.op.IdleTimeout != u.next.Site.Setting(idleTimeout)
	u.next.Site = idling(u.next.Site, u.next.Site, u.op.IdleTimeout)
	d := &deployment{
		service: install.Service{Shell: conn, Site: u.next.Site, Name: u.name, Listen: u.next.Listen},
		binary:  binary, facts: facts, direct: direct, restart: changed || u.name != u.id,
	}
	claim := install.Step{Title: "claim the machine", Run: func(ctx context.Context) error {
		return d.service.Prepare(ctx, &install.Claim{Queen: u.queen.identity, Of: whoami(), Hive: u.name})
	}}
	if err := install.Do(ctx, append([]install.Step{claim}, d.steps()...)...); err != nil {
		return errors.Join(err, u.abandon())
	}
	if !d.started.Kept {
		u.next.Systemd = d.started.Systemd
	}
	u.next.Stopped = false
	if err := d.service.Prune(ctx, binary.Name(), d.before); err != nil {
		ops.Warn(ctx, "prune", "older binaries stay on the machine: %v", err)
	}
	return nil
}

// address works out where the hive will be and what it will be called.
func (u *update) address() error {
	u.next, u.name = u.hive.now(), u.id
	if u.op.NewName != "" && u.op.NewName != u.id {
		u.name = u.op.NewName
		if _, taken := u.queen.books.get(u.name); taken {
			return ops.Errorf(ops.CodeConflict, "the name %s is taken", u.name).WithHint("`rbee hive list` shows the names there are")
		}
	}
	a := u.op.SSHAddress
	if a == (ops.SSHAddress{}) {
		return nil
	}
	if a.SSHHost == "" {
		a.SSHHost = u.next.Host
	}
	t, err := targetOf(a)
	if err != nil {
		return err
	}
	if t.User == "" {
		t.User = u.next.User
	}
	u.next.Host, u.next.User, u.next.Port = t.Host, t.User, t.Port
	return nil
}

// connect returns a connection to where the hive will be.
func (u *update) connect(ctx context.Context) (*ssh.Conn, error) {
	if u.next.target() == u.hive.now().target() {
		return u.hive.link.Reconnect(ctx)
	}
	conn, err := u.queen.connect(ctx, u.next.target())
	if err != nil {
		return nil, err
	}
	u.moved = u.queen.newLink(u.next, true)
	u.moved.Use(conn)
	return conn, nil
}

// abandon gives the new connection up.
func (u *update) abandon() error {
	if u.moved == nil {
		return nil
	}
	return u.moved.Close()
}

// take takes the changes into the books.
func (u *update) take(ctx context.Context) error {
	q := u.queen
	if err := q.store.SaveRemote(ctx, u.name, u.next); err != nil {
		return err
	}
	if u.name == u.id && u.moved == nil {
		u.hive.change(func(r *record) { *r = u.next })
		return nil
	}
	if u.name != u.id {
		if q.schedule.HiveDrained(u.id) {
			if _, err := q.drain(ctx, u.name, true); err != nil {
				return err
			}
		}
		if err := q.moveKept(ctx, u.id, u.name); err != nil {
			return err
		}
		if err := q.store.Forget(ctx, u.id); err != nil {
			return err
		}
		q.books.remove(u.id)
	}
	q.hives.remove(u.id)
	if u.moved == nil {
		u.moved = q.newLink(u.next, false)
	}
	u.id = u.name
	return q.adopt(ctx, u.id, newRemoteHive(u.id, u.next, u.moved, q.Log))
}
