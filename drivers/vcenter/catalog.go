package vcenter

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

type ref = types.ManagedObjectReference

// catalog holds what was read of vCenter's objects and puts drivers' types
// together from it. It serves a single look, a whole inventory and a follower
// alike: each feeds it properties, none holds vCenter's own large objects.
// It is not safe for concurrent use.
type catalog struct {
	vms    map[ref]*vmRecord
	hosts  map[ref]*hostRecord
	stores map[ref]*storeRecord
	nodes  map[ref]*node // networks and everything between a host and its datacenter
}

func newCatalog() *catalog {
	return &catalog{vms: map[ref]*vmRecord{}, hosts: map[ref]*hostRecord{}, stores: map[ref]*storeRecord{}, nodes: map[ref]*node{}}
}

// node is an object of which only the name and the way up matter.
type node struct {
	name   string
	parent ref
}

type storeRecord struct {
	name           string
	free, capacity int64
	hosts          int
	multiple       *bool // vCenter's own word on whether several hosts mount it
}

func (s *storeRecord) shared() bool {
	if s.multiple != nil {
		return *s.multiple
	}
	return s.hosts > 1
}

// record is the part of an object that properties are put into.
type record interface {
	// set takes a property's value; nil means that it is unset.
	set(path string, val any)
}

// of returns the record of an object, making it if needed.
func (c *catalog) of(r ref) record {
	switch r.Type {
	case "VirtualMachine":
		return entry(c.vms, r)
	case "HostSystem":
		return entry(c.hosts, r)
	case "Datastore":
		return entry(c.stores, r)
	}
	return entry(c.nodes, r)
}

func entry[T any](m map[ref]*T, r ref) *T {
	x := m[r]
	if x == nil {
		x = new(T)
		m[r] = x
	}
	return x
}

// put takes the properties of an object as a retrieval gives them.
func (c *catalog) put(o types.ObjectContent) {
	rec := c.of(o.Obj)
	for _, p := range o.PropSet {
		rec.set(p.Name, p.Val)
	}
}

// has tells whether anything is known of an object.
func (c *catalog) has(r ref) bool {
	return c.vms[r] != nil || c.hosts[r] != nil || c.stores[r] != nil || c.nodes[r] != nil
}

// drop forgets an object.
func (c *catalog) drop(r ref) {
	delete(c.vms, r)
	delete(c.hosts, r)
	delete(c.stores, r)
	delete(c.nodes, r)
}

func (n *node) set(path string, val any) {
	switch path {
	case "name":
		n.name = text(val)
	case "parent":
		n.parent = reference(val)
	}
}

func (s *storeRecord) set(path string, val any) {
	switch path {
	case "name":
		s.name = text(val)
	case "summary.freeSpace":
		s.free = number(val)
	case "summary.capacity":
		s.capacity = number(val)
	case "summary.multipleHostAccess":
		s.multiple = nil
		if b, ok := val.(bool); ok {
			s.multiple = &b
		}
	case "host":
		s.hosts = 0
		if a, ok := val.(types.ArrayOfDatastoreHostMount); ok {
			s.hosts = len(a.DatastoreHostMount)
		}
	}
}

// datacenter follows the way up from an object to its datacenter's name.
func (c *catalog) datacenter(r ref) string {
	// The bound guards against a loop in what a broken server answers.
	for range 64 {
		n := c.nodes[r]
		if n == nil {
			return ""
		}
		if r.Type == "Datacenter" {
			return n.name
		}
		r = n.parent
	}
	return ""
}

// names are the names of objects, sorted; those that weren't read are left out.
func (c *catalog) names(refs []ref) []string {
	var out []string
	for _, r := range refs {
		name := ""
		if s := c.stores[r]; s != nil {
			name = s.name
		} else if n := c.nodes[r]; n != nil {
			name = n.name
		}
		if name != "" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// inventory puts everything together, by name.
func (c *catalog) inventory(now time.Time) *drivers.Inventory {
	inv := &drivers.Inventory{Time: now}
	for r, h := range c.hosts {
		if h.name != "" {
			inv.Servers = append(inv.Servers, c.server(r))
		}
	}
	for r, v := range c.vms {
		if v.uuid != "" {
			inv.VMs = append(inv.VMs, c.vm(r))
		}
	}
	slices.SortFunc(inv.Servers, func(a, b drivers.VMServer) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(inv.VMs, func(a, b drivers.VM) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.UUID, b.UUID))
	})
	return inv
}

// The helpers below read a property's value whatever its exact type; an unset
// one gives zero.

func text(val any) string {
	if v := reflect.ValueOf(val); v.Kind() == reflect.String {
		return v.String()
	}
	return ""
}

func number(val any) int64 {
	if v := reflect.ValueOf(val); v.CanInt() {
		return v.Int()
	}
	return 0
}

func flag(val any) bool {
	b, _ := val.(bool)
	return b
}

func moment(val any) time.Time {
	t, _ := val.(time.Time)
	return t
}

func reference(val any) ref {
	r, _ := val.(ref)
	return r
}

func references(val any) []ref {
	a, _ := val.(types.ArrayOfManagedObjectReference)
	return a.ManagedObjectReference
}
