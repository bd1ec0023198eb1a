package vcenter

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

// page bounds how many objects one answer of vCenter holds.
const page = 250

// inventoryTimeout bounds a look at everything; ten thousand VMs take seconds.
const inventoryTimeout = 5 * time.Minute

// viewTypes are the kinds of objects that the driver reads. ManagedEntity
// properties of the others (name, parent) lead from a host to its datacenter.
var viewTypes = []string{"VirtualMachine", "HostSystem", "Datastore", "Network", "ComputeResource", "Folder", "Datacenter"}

// propSet says what to read of which kind; load adds the measured load.
func propSet(load bool, vmMore ...string) []types.PropertySpec {
	vm, host := slices.Concat(vmPaths, vmMore), slices.Clone(hostPaths)
	if load {
		vm, host = append(vm, vmLoadPaths...), append(host, hostLoadPaths...)
	}
	up := []string{"name", "parent"}
	return []types.PropertySpec{
		{Type: "VirtualMachine", PathSet: vm},
		{Type: "HostSystem", PathSet: host},
		{Type: "Datastore", PathSet: storePaths},
		{Type: "Network", PathSet: []string{"name"}},
		{Type: "ComputeResource", PathSet: up},
		{Type: "Folder", PathSet: up},
		{Type: "Datacenter", PathSet: up},
	}
}

// around selects, beside an object itself, what a drivers.VM or
// drivers.VMServer tells of its surroundings: the VM server, what both mount
// and are connected to, and the way up to the datacenter.
func around() []types.BaseSelectionSpec {
	to := func(kind, path string, more ...types.BaseSelectionSpec) *types.TraversalSpec {
		return &types.TraversalSpec{Type: kind, Path: path, SelectSet: more}
	}
	again := &types.SelectionSpec{Name: "up"}
	up := to("ManagedEntity", "parent", again)
	up.Name = "up"
	return []types.BaseSelectionSpec{
		up,
		to("VirtualMachine", "runtime.host", again),
		to("VirtualMachine", "datastore"),
		to("VirtualMachine", "network"),
		to("HostSystem", "datastore"),
		to("HostSystem", "network"),
	}
}

// retrieve reads objects page by page and hands each to fn.
func retrieve(ctx context.Context, c *vim25.Client, spec types.PropertyFilterSpec, fn func(types.ObjectContent)) error {
	pc := c.ServiceContent.PropertyCollector
	res, err := methods.RetrievePropertiesEx(ctx, c, &types.RetrievePropertiesEx{
		This: pc, SpecSet: []types.PropertyFilterSpec{spec}, Options: types.RetrieveOptions{MaxObjects: page},
	})
	if err != nil {
		return err
	}
	r := res.Returnval
	for r != nil {
		for _, o := range r.Objects {
			fn(o)
		}
		if r.Token == "" {
			return nil
		}
		next, err := methods.ContinueRetrievePropertiesEx(ctx, c, &types.ContinueRetrievePropertiesEx{This: pc, Token: r.Token})
		if err != nil {
			return err
		}
		r = &next.Returnval
	}
	return nil
}

// inView makes a view of all objects of some kinds below the configured
// datacenter, and returns what selects them. The caller destroys the view.
func (d *Driver) inView(ctx context.Context, c *vim25.Client, kinds []string) (*view.ContainerView, []types.ObjectSpec, error) {
	root := c.ServiceContent.RootFolder
	var specs []types.ObjectSpec
	if d.cfg.Datacenter != "" {
		found, err := object.NewSearchIndex(c).FindByInventoryPath(ctx, d.cfg.Datacenter)
		if err != nil {
			return nil, nil, err
		}
		if found == nil || found.Reference().Type != "Datacenter" {
			return nil, nil, d.errorf(drivers.KindNotFound, request{"look-up", d.cfg.Datacenter, false}, "no such datacenter; correct the subsystem's settings")
		}
		root = found.Reference()
		// A view doesn't show the container itself.
		specs = append(specs, types.ObjectSpec{Obj: root})
	}
	v, err := view.NewManager(c).CreateContainerView(ctx, root, kinds, true)
	if err != nil {
		return nil, nil, err
	}
	specs = append(specs, types.ObjectSpec{
		Obj: v.Reference(), Skip: types.NewBool(true),
		SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{Type: "ContainerView", Path: "view"}},
	})
	return v, specs, nil
}

// discard ends something that lives on the server, even when ctx has ended.
func (d *Driver) discard(ctx context.Context, destroy func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.cfg.Timeout)
	defer cancel()
	// An error leaves it to vCenter, which drops it with the session.
	_ = destroy(ctx)
}

// Inventory implements drivers.Hypervisor: one view, read in pages.
func (d *Driver) Inventory(ctx context.Context) (*drivers.Inventory, error) {
	var inv *drivers.Inventory
	err := d.doFor(ctx, inventoryTimeout, request{"inventory", "everything", false}, func(ctx context.Context, c *vim25.Client) error {
		v, objects, err := d.inView(ctx, c, viewTypes)
		if err != nil {
			return err
		}
		defer d.discard(ctx, v.Destroy)
		all, missing := newCatalog(), false
		err = retrieve(ctx, c, types.PropertyFilterSpec{ObjectSet: objects, PropSet: propSet(true)}, func(o types.ObjectContent) {
			all.put(o)
			missing = missing || len(o.MissingSet) > 0
		})
		if err != nil {
			return err
		}
		d.names.learn(all)
		inv = all.inventory(time.Now())
		inv.Truncated = missing
		return nil
	})
	return inv, err
}

// read looks at one object and what is around it.
func (d *Driver) read(ctx context.Context, c *vim25.Client, r ref, more ...string) (*catalog, error) {
	found := newCatalog()
	err := retrieve(ctx, c, types.PropertyFilterSpec{
		ObjectSet: []types.ObjectSpec{{Obj: r, SelectSet: around()}},
		PropSet:   propSet(true, more...),
	}, found.put)
	return found, err
}

// nameCache remembers which object had a name when it was last seen. What it
// says is always read again before it is believed.
type nameCache struct {
	mu    sync.Mutex // guards both maps
	vms   map[string]ref
	hosts map[string]ref
}

func (n *nameCache) learn(c *catalog) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.vms, n.hosts = make(map[string]ref, len(c.vms)), make(map[string]ref, len(c.hosts))
	for r, v := range c.vms {
		n.vms[v.name] = r
	}
	for r, h := range c.hosts {
		n.hosts[h.name] = r
	}
}

func (n *nameCache) get(kind, name string) (ref, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.vms
	if kind == "HostSystem" {
		m = n.hosts
	}
	r, ok := m[name]
	return r, ok
}

func (n *nameCache) set(kind, name string, r ref) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := &n.vms
	if kind == "HostSystem" {
		m = &n.hosts
	}
	if *m == nil {
		*m = map[string]ref{}
	}
	(*m)[name] = r
}

// search reads the names of all objects of a kind and returns those that match.
func (d *Driver) search(ctx context.Context, c *vim25.Client, kind, name string) ([]ref, error) {
	v, objects, err := d.inView(ctx, c, []string{kind})
	if err != nil {
		return nil, err
	}
	defer d.discard(ctx, v.Destroy)
	var out []ref
	err = retrieve(ctx, c, types.PropertyFilterSpec{
		ObjectSet: objects, PropSet: []types.PropertySpec{{Type: kind, PathSet: []string{"name"}}},
	}, func(o types.ObjectContent) {
		for _, p := range o.PropSet {
			if p.Name == "name" && text(p.Val) == name {
				out = append(out, o.Obj)
			}
		}
	})
	return out, err
}

// byName finds an object by kind and name and reads it afresh.
func (d *Driver) byName(ctx context.Context, c *vim25.Client, kind, name string, more ...string) (ref, *catalog, error) {
	if r, ok := d.names.get(kind, name); ok {
		found, err := d.read(ctx, c, r, more...)
		if err == nil && nameOf(found, r) == name {
			return r, found, nil
		}
		if _, gone := faultOf(err).(*types.ManagedObjectNotFound); err != nil && !gone {
			return ref{}, nil, err
		}
	}
	refs, err := d.search(ctx, c, kind, name)
	switch {
	case err != nil:
		return ref{}, nil, err
	case len(refs) == 0:
		return ref{}, nil, &notFound{kind, name}
	case len(refs) > 1:
		return ref{}, nil, &ambiguous{kind, name, len(refs)}
	}
	d.names.set(kind, name, refs[0])
	found, err := d.read(ctx, c, refs[0], more...)
	if err == nil && nameOf(found, refs[0]) != name {
		err = &notFound{kind, name} // it went away between the two looks
	}
	return refs[0], found, err
}

func nameOf(c *catalog, r ref) string {
	if h := c.hosts[r]; h != nil {
		return h.name
	}
	if v := c.vms[r]; v != nil {
		return v.name
	}
	return ""
}

type notFound struct{ kind, name string }

func (e *notFound) Error() string { return fmt.Sprintf("no such %s as %s", kindText(e.kind), e.name) }

type ambiguous struct {
	kind, name string
	n          int
}

func (e *ambiguous) Error() string {
	return fmt.Sprintf("%d objects of kind %s are called %s; rename all but one", e.n, kindText(e.kind), e.name)
}

func kindText(kind string) string {
	if kind == "HostSystem" {
		return "VM server"
	}
	return "VM"
}
