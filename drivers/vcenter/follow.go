package vcenter

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

// maxUpdates bounds how many objects one answer to a wait holds.
const maxUpdates = 100

// Follow implements drivers.Hypervisor. It has a property collector of its
// own, since the shared one streams to one watcher only, waits a bounded time
// each, and takes everything that it made at vCenter away at its end.
func (d *Driver) Follow(ctx context.Context, fn func(drivers.Change)) error {
	r := request{"follow", "everything", false}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var f *follower
	err := d.do(ctx, r, func(setup context.Context, c *vim25.Client) error {
		var err error
		f, err = d.newFollower(setup, c, fn)
		return err
	})
	if err != nil {
		return ended(ctx, err)
	}
	defer d.discard(ctx, f.destroy)
	err = f.run(ctx)
	if _, lost := faultOf(err).(*types.NotAuthenticated); lost {
		// The session ended, and with it the collector: the account is still good.
		err = d.errorf(drivers.KindUnreachable, r, "vCenter ended the session")
	}
	return ended(ctx, d.wrap(r, err))
}

// ended prefers the caller's own end over what it broke.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// follower is one running Follow.
type follower struct {
	d       *Driver
	c       *vim25.Client
	pc      *property.Collector
	objects []types.ObjectSpec // everything in the view
	destroy func(context.Context) error
	fn      func(drivers.Change)

	all     *catalog
	vms     map[ref]drivers.VM       // as told last
	servers map[ref]drivers.VMServer // as told last
	synced  bool
}

func (d *Driver) newFollower(ctx context.Context, c *vim25.Client, fn func(drivers.Change)) (*follower, error) {
	pc, err := property.DefaultCollector(c).Create(ctx)
	if err != nil {
		return nil, err
	}
	v, objects, err := d.inView(ctx, c, viewTypes)
	if err != nil {
		d.discard(ctx, pc.Destroy)
		return nil, err
	}
	f := &follower{
		d: d, c: c, pc: pc, objects: objects, fn: fn, all: newCatalog(),
		vms: map[ref]drivers.VM{}, servers: map[ref]drivers.VMServer{},
		destroy: func(ctx context.Context) error { return errors.Join(pc.Destroy(ctx), v.Destroy(ctx)) },
	}
	_, err = pc.CreateFilter(ctx, types.CreateFilter{
		Spec: types.PropertyFilterSpec{ObjectSet: objects, PropSet: propSet(false)},
	})
	if err != nil {
		d.discard(ctx, f.destroy)
		return nil, err
	}
	return f, nil
}

// run waits for updates until ctx ends or contact breaks.
func (f *follower) run(ctx context.Context) error {
	version := ""
	batch := newBatch()
	for {
		set, err := f.wait(ctx, version)
		if err != nil {
			return err
		}
		if set == nil {
			// Nothing came within the time. Before the first answer that means
			// that there is nothing at all.
			if !f.synced {
				f.tell(batch)
			}
			continue
		}
		version = set.Version
		for _, fs := range set.FilterSet {
			for _, o := range fs.ObjectSet {
				f.take(o, batch)
			}
		}
		if set.Truncated != nil && *set.Truncated {
			continue
		}
		if err := f.reread(ctx, batch); err != nil {
			return err
		}
		if batch.again {
			if err := f.recount(ctx, batch); err != nil {
				return err
			}
		}
		f.tell(batch)
		batch = newBatch()
	}
}

func (f *follower) wait(ctx context.Context, version string) (*types.UpdateSet, error) {
	seconds := max(1, int32(f.d.cfg.Wait/time.Second))
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+f.d.cfg.Timeout)
	defer cancel()
	res, err := methods.WaitForUpdatesEx(ctx, f.c, &types.WaitForUpdatesEx{
		This: f.pc.Reference(), Version: version,
		Options: &types.WaitOptions{MaxWaitSeconds: &seconds, MaxObjectUpdates: maxUpdates},
	})
	if err != nil {
		return nil, err
	}
	return res.Returnval, nil
}

// batch is what one or more answers touched.
type batch struct {
	touched map[ref]bool
	partial map[ref]bool // a part of a property changed: read the object again
	wide    bool         // something changed that VMs and servers only refer to
	again   bool         // objects entered that were there already
}

func newBatch() *batch { return &batch{touched: map[ref]bool{}, partial: map[ref]bool{}} }

// watched are the property paths as they were asked for.
var watched = func() map[string]bool {
	m := map[string]bool{}
	for _, p := range propSet(false) {
		for _, path := range p.PathSet {
			m[path] = true
		}
	}
	return m
}()

// take puts one object's update into the catalog.
func (f *follower) take(o types.ObjectUpdate, b *batch) {
	b.touched[o.Obj] = true
	if o.Obj.Type != "VirtualMachine" {
		b.wide = true
	}
	if o.Kind == types.ObjectUpdateKindLeave {
		f.all.drop(o.Obj)
		return
	}
	known := f.all.has(o.Obj)
	if o.Kind == types.ObjectUpdateKindModify && !known {
		return // a straggler about an object that left
	}
	b.again = b.again || (known && o.Kind == types.ObjectUpdateKindEnter)
	rec := f.all.of(o.Obj)
	for _, ch := range o.ChangeSet {
		if !watched[ch.Name] {
			b.partial[o.Obj] = true
			continue
		}
		rec.set(ch.Name, ch.Val)
	}
}

// reread reads objects afresh of which vCenter told only an inner part.
func (f *follower) reread(ctx context.Context, b *batch) error {
	var objects []types.ObjectSpec
	for r := range b.partial {
		if !f.all.has(r) {
			continue // it left meanwhile
		}
		objects = append(objects, types.ObjectSpec{Obj: r})
	}
	if len(objects) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, inventoryTimeout)
	defer cancel()
	err := retrieve(ctx, f.c, types.PropertyFilterSpec{ObjectSet: objects, PropSet: propSet(false)}, f.all.put)
	if _, gone := faultOf(err).(*types.ManagedObjectNotFound); gone {
		return nil // its end is the next update
	}
	return err
}

// recount finds what has left. A server that begins to tell everything anew
// (vcsim does when a view changes) may have lost the news of those that left.
func (f *follower) recount(ctx context.Context, b *batch) error {
	ctx, cancel := context.WithTimeout(ctx, inventoryTimeout)
	defer cancel()
	there := map[ref]bool{}
	spec := types.PropertyFilterSpec{ObjectSet: f.objects, PropSet: []types.PropertySpec{
		{Type: "VirtualMachine", PathSet: []string{"name"}}, {Type: "HostSystem", PathSet: []string{"name"}},
	}}
	if err := retrieve(ctx, f.c, spec, func(o types.ObjectContent) { there[o.Obj] = true }); err != nil {
		return err
	}
	for r := range f.vms {
		if !there[r] {
			f.all.drop(r)
			b.touched[r] = true
		}
	}
	for r := range f.servers {
		if !there[r] {
			f.all.drop(r)
			b.touched[r] = true
		}
	}
	return nil
}

// tell calls fn for each VM and server that is different from what was told.
func (f *follower) tell(b *batch) {
	if b.wide {
		for r := range f.all.hosts {
			f.tellServer(r)
		}
		for r := range f.all.vms {
			f.tellVM(r)
		}
	}
	for r := range b.touched {
		if f.all.vms[r] != nil && !b.wide {
			f.tellVM(r)
		}
	}
	for r := range b.touched {
		f.tellGone(r)
	}
	if !f.synced {
		f.synced = true
		f.fn(drivers.Change{Synced: true})
	}
}

func (f *follower) tellServer(r ref) {
	now := f.all.server(r)
	if was, ok := f.servers[r]; now.Name == "" || (ok && reflect.DeepEqual(was, now)) {
		return
	}
	f.servers[r] = now
	f.fn(drivers.Change{Server: &now})
}

func (f *follower) tellVM(r ref) {
	now := f.all.vm(r)
	if was, ok := f.vms[r]; now.UUID == "" || (ok && reflect.DeepEqual(was, now)) {
		return
	}
	f.vms[r] = now
	f.fn(drivers.Change{VM: &now})
}

// tellGone tells that an object left. A VM that was registered anew has
// another object and the same UUID, and isn't gone.
func (f *follower) tellGone(r ref) {
	if was, ok := f.vms[r]; ok && f.all.vms[r] == nil {
		delete(f.vms, r)
		for other := range f.all.vms {
			if f.all.vms[other].uuid == was.UUID {
				return
			}
		}
		f.fn(drivers.Change{Gone: was.UUID})
	}
	if was, ok := f.servers[r]; ok && f.all.hosts[r] == nil {
		delete(f.servers, r)
		f.fn(drivers.Change{Gone: was.Name})
	}
}
