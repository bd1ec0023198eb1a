package scheduler

import (
	"context"
	"errors"
	"sync"
	"time"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/sequence"
)

const (
	kindVCenter = "vcenter"
	// followBatch is how many changed objects go into one batch.
	followBatch = 256
	// Pauses before a subsystem that broke off is called again.
	firstReconnect = time.Second
	maxReconnect   = time.Minute
)

// followAll keeps a follower and a reader of events for each subsystem that has
// them, anew whenever the way to it changes. It ends once all of them have.
func (t *leadership) followAll(ctx context.Context) {
	type running struct {
		row    *schema.Subsystem
		cancel context.CancelFunc
		ended  chan struct{}
	}
	all := map[string]*running{}
	stop := func(name string) {
		all[name].cancel()
		<-all[name].ended
		delete(all, name)
	}
	defer func() {
		for name := range all {
			stop(name)
		}
	}()
	for {
		changed := t.Store.Watch(fsm.Subsystems)
		want := map[string]*schema.Subsystem{}
		for s := range fsm.Subsystems.All(t.Store.View()) {
			if s.Kind == kindVCenter {
				want[s.Name] = s
			}
		}
		for name, r := range all {
			if s := want[name]; s == nil || !sameWay(s, r.row) {
				stop(name)
			}
		}
		for name, s := range want {
			if all[name] != nil {
				continue
			}
			fctx, cancel := context.WithCancel(ctx)
			r := &running{row: s, cancel: cancel, ended: make(chan struct{})}
			all[name] = r
			f := &follower{t: t, name: name, changed: map[string]drivers.Change{}, wake: make(chan struct{}, 1)}
			events := &eventReader{t: t, name: name}
			go func() { // stop waits for it
				defer close(r.ended)
				var wg sync.WaitGroup
				wg.Go(func() { events.run(fctx) })
				f.run(fctx)
				wg.Wait()
			}()
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// sameWay tells whether a subsystem is reached as before.
func sameWay(a, b *schema.Subsystem) bool {
	return a.Kind == b.Kind && a.Address == b.Address && a.User == b.User && string(a.Password) == string(b.Password) &&
		a.Thumbprint == b.Thumbprint && a.Ca == b.Ca && a.Insecure == b.Insecure
}

// follower keeps the rows of one subsystem's machines up to date.
type follower struct {
	t    *leadership
	name string
	wake chan struct{}

	mu      sync.Mutex                // guards the rest
	changed map[string]drivers.Change // by object, the newest only: bounded by the number of objects
	order   []string
	synced  bool     // all objects have been told once since the connection began
	first   []string // objects told before that
}

// run follows until ctx ends, calling again whenever contact breaks.
func (f *follower) run(ctx context.Context) {
	pause := firstReconnect
	for ctx.Err() == nil {
		begun := f.t.Clock.Now()
		err := f.connection(ctx)
		if ctx.Err() != nil {
			return
		}
		if f.t.Clock.Now().Sub(begun) > maxReconnect {
			pause = firstReconnect
		}
		f.noteError(ctx, err)
		f.t.wait(ctx, nil, pause)
		pause = min(2*pause, maxReconnect)
	}
}

// connection follows until contact breaks.
func (f *follower) connection(ctx context.Context) error {
	h, err := f.t.Drivers.Hypervisor(ctx, f.name)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.changed, f.order, f.synced, f.first = map[string]drivers.Change{}, nil, false, nil
	f.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { f.write(ctx) })
	err = h.Follow(ctx, f.take)
	cancel()
	wg.Wait()
	return err
}

// take is called for each change. It only puts it down.
func (f *follower) take(c drivers.Change) {
	key := c.Gone
	switch {
	case c.Server != nil:
		key = c.Server.Name
	case c.VM != nil:
		key = c.VM.UUID
	}
	f.mu.Lock()
	if c.Synced {
		f.synced = true
	} else {
		if _, ok := f.changed[key]; !ok {
			f.order = append(f.order, key)
		}
		f.changed[key] = c
		if !f.synced {
			f.first = append(f.first, key)
		}
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// write takes what was put down into the rows.
func (f *follower) write(ctx context.Context) {
	cleared := false
	for {
		batch, all := f.next()
		if len(batch) == 0 {
			if all && !cleared {
				cleared = f.noteSynced(ctx)
			}
			select {
			case <-ctx.Done():
				return
			case <-f.wake:
			}
			continue
		}
		if err := f.merge(ctx, batch); err != nil {
			if ctx.Err() != nil {
				return
			}
			if !lost(err) {
				f.t.log.Error("changes of a subsystem can't be written", "subsystem", f.name, "err", err)
			}
			f.putBack(batch)
			f.t.wait(ctx, nil, retryAfter)
		}
	}
}

// next takes some changes off the list; all says that none is left and that
// everything has been told once.
func (f *follower) next() (batch []drivers.Change, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(len(f.order), followBatch)
	for _, key := range f.order[:n] {
		batch = append(batch, f.changed[key])
		delete(f.changed, key)
	}
	f.order = f.order[n:]
	return batch, f.synced
}

// putBack puts changes that couldn't be written down again, unless a newer one
// of the same object has come.
func (f *follower) putBack(batch []drivers.Change) {
	for _, c := range batch {
		key := c.Gone
		if c.Server != nil {
			key = c.Server.Name
		} else if c.VM != nil {
			key = c.VM.UUID
		}
		f.mu.Lock()
		if _, newer := f.changed[key]; !newer {
			f.changed[key] = c
			f.order = append(f.order, key)
		}
		f.mu.Unlock()
	}
}

func (f *follower) merge(ctx context.Context, batch []drivers.Change) error {
	return f.t.update(ctx, "FollowSubsystem", func(tx *fsm.Tx) error {
		var rows []*schema.Machine
		for _, c := range batch {
			switch {
			case c.Server != nil:
				rows = append(rows, sequence.MachineOfServer(f.name, *c.Server))
			case c.VM != nil:
				rows = append(rows, sequence.MachineOfVM(f.name, *c.VM))
			default:
				if err := fsm.CollectedGone(tx, f.name, c.Gone); err != nil {
					return err
				}
			}
		}
		problems, err := sequence.Merge(tx, f.name, rows, fsm.Partial)
		for _, p := range problems {
			f.t.log.Warn("a machine can't be taken into the inventory", "subsystem", f.name, "problem", p)
		}
		return err
	})
}

// noteSynced notes that contact is good, and that objects that weren't told
// exist no more.
func (f *follower) noteSynced(ctx context.Context) bool {
	f.mu.Lock()
	told := map[string]bool{}
	for _, key := range f.first {
		told[key] = true
	}
	f.mu.Unlock()
	err := f.t.update(ctx, "FollowSubsystem", func(tx *fsm.Tx) error {
		s, ok := fsm.Subsystems.Edit(tx, f.name)
		if !ok {
			return nil
		}
		doubt, err := fsm.CollectedAbsent(tx, f.name, func(m *schema.Machine) bool { return told[m.Uuid] || told[m.Name] }, false)
		if err != nil {
			return err
		}
		if doubt != "" {
			f.t.log.Warn("many machines are missing from a subsystem", "subsystem", f.name, "problem", doubt)
		}
		s.Error = doubt
		return fsm.Subsystems.Put(tx, s)
	})
	return err == nil
}

// noteError keeps in the subsystem's row why contact broke.
func (f *follower) noteError(ctx context.Context, cause error) {
	if cause == nil {
		cause = errors.New("it ended the connection")
	}
	f.t.log.Warn("contact with a subsystem broke", "subsystem", f.name, "err", cause)
	err := f.t.update(ctx, "FollowSubsystem", func(tx *fsm.Tx) error {
		s, ok := fsm.Subsystems.Edit(tx, f.name)
		if !ok {
			return nil
		}
		s.Error = cause.Error()
		return fsm.Subsystems.Put(tx, s)
	})
	if err != nil && !lost(err) {
		f.t.log.Error("a subsystem's row can't be written", "subsystem", f.name, "err", err)
	}
}
