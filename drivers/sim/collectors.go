package sim

import (
	"context"
	"reflect"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// collectors watches over the property collectors that clients have made,
// which vcsim leaves to themselves: those of clients that died collect changes
// for ever, and one that waits without a limit never lets its request end.
type collectors struct {
	mu   sync.Mutex // guards what follows
	used map[*simulator.PropertyCollector]*collectorUse
}

// collectorUse is one collector's owner and the time until which it is surely
// still wanted.
type collectorUse struct {
	ctx   *simulator.Context // session of its owner
	until time.Time
}

const (
	// collectorIdle is how long a collector may lie unused; vCenter ends idle
	// sessions, and their collectors, after 30 minutes.
	collectorIdle = 30 * time.Minute
	// collectorSweep is how often idle ones are looked for.
	collectorSweep = time.Minute
)

// note records that a client uses a collector with a request.
func (c *collectors) note(ctx *simulator.Context, m *simulator.Method) {
	pc, ok := ctx.Session.Get(m.This).(*simulator.PropertyCollector)
	if !ok {
		return
	}
	until := time.Now().Add(collectorIdle)
	if req, ok := m.Body.(*types.WaitForUpdatesEx); ok {
		if req.Options != nil && req.Options.MaxWaitSeconds != nil {
			until = until.Add(time.Duration(*req.Options.MaxWaitSeconds) * time.Second)
		} else {
			until = until.Add(24 * time.Hour) // it may wait that long
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.used == nil {
		c.used = map[*simulator.PropertyCollector]*collectorUse{}
	}
	if m.Name == "DestroyPropertyCollector" {
		delete(c.used, pc)
		return
	}
	c.used[pc] = &collectorUse{ctx: ownContext(ctx), until: until}
}

// cancelWaits ends all waits that are under way.
func (c *collectors) cancelWaits() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for pc := range c.used {
		pc.CancelWaitForUpdates(&types.CancelWaitForUpdates{This: pc.Self})
	}
}

// sweep destroys the collectors that nobody has used for long, at now.
func (c *collectors) sweep(now time.Time) int {
	c.mu.Lock()
	var idle []*simulator.PropertyCollector
	uses := map[*simulator.PropertyCollector]*collectorUse{}
	for pc, use := range c.used {
		if now.After(use.until) {
			idle = append(idle, pc)
			uses[pc] = use
			delete(c.used, pc)
		}
	}
	c.mu.Unlock()
	for _, pc := range idle {
		pc.DestroyPropertyCollector(uses[pc].ctx, &types.DestroyPropertyCollector{This: pc.Self})
	}
	return len(idle)
}

// run sweeps until ctx ends.
func (c *collectors) run(ctx context.Context) {
	for pause(ctx, collectorSweep) {
		c.sweep(time.Now())
	}
}

// checkedTypes are the types of inventory objects. vcsim takes references to
// them on trust, and panics with locks held when there is no such object;
// vCenter answers ManagedObjectNotFound.
var checkedTypes = map[string]bool{
	"ComputeResource": true, "Datacenter": true, "Datastore": true, "Folder": true, "HostSystem": true,
	"Network": true, "ResourcePool": true, "VirtualMachine": true,
}

var referenceType = reflect.TypeFor[types.ManagedObjectReference]()

// missing returns the first reference in a request to an inventory object that
// doesn't exist, or nil.
func (v *vcenter) missing(request any) *types.ManagedObjectReference {
	var walk func(val reflect.Value) *types.ManagedObjectReference
	walk = func(val reflect.Value) *types.ManagedObjectReference {
		switch val.Kind() {
		case reflect.Pointer, reflect.Interface:
			if !val.IsNil() {
				return walk(val.Elem())
			}
		case reflect.Slice:
			for i := range val.Len() {
				if ref := walk(val.Index(i)); ref != nil {
					return ref
				}
			}
		case reflect.Struct:
			if val.Type() == referenceType {
				ref := val.Interface().(types.ManagedObjectReference)
				if checkedTypes[ref.Type] && v.reg.Get(ref) == nil {
					return &ref
				}
				return nil
			}
			for i := range val.NumField() {
				if val.Type().Field(i).IsExported() {
					if ref := walk(val.Field(i)); ref != nil {
						return ref
					}
				}
			}
		}
		return nil
	}
	return walk(reflect.ValueOf(request))
}
