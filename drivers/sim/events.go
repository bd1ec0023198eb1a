package sim

import (
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// post adds events to vCenter's event stream. No object's lock may be held
// that ctx doesn't own.
func (v *vcenter) post(ctx *simulator.Context, events ...types.BaseEvent) {
	m := v.reg.EventManager()
	ctx.WithLock(m, func() {
		for _, e := range events {
			m.PostEvent(ctx, &types.PostEvent{This: m.Self, EventToPost: e})
		}
	})
}

func (v *vcenter) dcArgument() *types.DatacenterEventArgument {
	return &types.DatacenterEventArgument{
		Datacenter: v.dc, EntityEventArgument: types.EntityEventArgument{Name: v.sim.world.Datacenter},
	}
}

func hostArgument(host *simulator.HostSystem) *types.HostEventArgument {
	return &types.HostEventArgument{Host: host.Self, EntityEventArgument: types.EntityEventArgument{Name: host.Name}}
}

// hostEvent is an event of a server. vcsim puts its own text in for the types
// that it has one for.
func (v *vcenter) hostEvent(host *simulator.HostSystem, text string) types.HostEvent {
	return types.HostEvent{Event: types.Event{
		FullFormattedMessage: fmt.Sprintf("%s in %s: %s", host.Name, v.sim.world.Datacenter, text),
		Datacenter:           v.dcArgument(),
		ComputeResource: &types.ComputeResourceEventArgument{
			ComputeResource: *host.Parent, EntityEventArgument: types.EntityEventArgument{Name: host.Name},
		},
		Host: hostArgument(host),
	}}
}

// vmEvent is the event of a VM on a host.
func (v *vcenter) vmEvent(ctx *simulator.Context, vm *simulator.VirtualMachine, host *simulator.HostSystem) types.VmEvent {
	e := types.VmEvent{Event: v.hostEvent(host, "").Event}
	ctx.WithLock(vm, func() {
		e.Vm = &types.VmEventArgument{Vm: vm.Self, EntityEventArgument: types.EntityEventArgument{Name: vm.Name}}
		if len(vm.Datastore) > 0 {
			e.Ds = v.dsArgument(vm.Datastore[0])
		}
		e.FullFormattedMessage = fmt.Sprintf("%s on %s in %s", vm.Name, host.Name, v.sim.world.Datacenter)
	})
	return e
}

func (v *vcenter) dsArgument(ref types.ManagedObjectReference) *types.DatastoreEventArgument {
	ds, ok := v.reg.Get(ref).(*simulator.Datastore)
	if !ok {
		return nil
	}
	return &types.DatastoreEventArgument{Datastore: ref, EntityEventArgument: types.EntityEventArgument{Name: ds.Name}}
}

func (v *vcenter) vmName(ctx *simulator.Context, vm *simulator.VirtualMachine) (name string) {
	ctx.WithLock(vm, func() { name = vm.Name })
	return name
}

// alarmEventID is the EventEx that makes vcsim change an alarm's state.
func alarmEventID(alarm string, to types.ManagedEntityStatus) string {
	return fmt.Sprintf("yagura.sim.alarm.%s.%s", alarm, to)
}

func (v *vcenter) addAlarms() error {
	m := v.reg.AlarmManager()
	for _, a := range defaultAlarms {
		or := &types.OrAlarmExpression{}
		for _, colour := range alarmColours {
			to := types.ManagedEntityStatus(colour)
			or.Expression = append(or.Expression, &types.EventAlarmExpression{
				EventType: "EventEx", EventTypeId: alarmEventID(a.name, to), ObjectType: a.kind, Status: to,
			})
		}
		res := m.CreateAlarm(v.call(), &types.CreateAlarm{This: m.Self, Entity: v.svcContent().RootFolder, Spec: &types.AlarmSpec{
			Name: a.name, Description: a.name, Enabled: true, Expression: or,
		}})
		if err := faultError(res); err != nil {
			return fmt.Errorf("alarm %q: %w", a.name, err)
		}
	}
	return nil
}

// alarm moves an alarm of an object from one colour to another: the object's
// triggered alarms, the EventEx behind that, and the AlarmStatusChangedEvent
// that clients read.
func (v *vcenter) alarm(ctx *simulator.Context, name string, base types.Event, entity mo.Reference, entityName string, from, to types.ManagedEntityStatus) {
	if from == to {
		return
	}
	ref := entity.Reference()
	severity := map[types.ManagedEntityStatus]string{
		types.ManagedEntityStatusRed: "error", types.ManagedEntityStatusYellow: "warning",
	}[to]
	if severity == "" {
		severity = "info"
	}
	text := fmt.Sprintf("Alarm '%s' on %s changed from %s to %s", name, entityName, from, to)
	arg := types.ManagedEntityEventArgument{Entity: ref, EntityEventArgument: types.EntityEventArgument{Name: entityName}}
	changed := base
	changed.FullFormattedMessage = text
	v.post(ctx,
		&types.EventEx{
			Event: changed, EventTypeId: alarmEventID(name, to), Severity: severity, Message: text,
			ObjectId: ref.Value, ObjectType: ref.Type, ObjectName: entityName,
		},
		&types.AlarmStatusChangedEvent{
			AlarmEvent: types.AlarmEvent{Event: changed, Alarm: types.AlarmEventArgument{
				EntityEventArgument: types.EntityEventArgument{Name: name}, Alarm: v.alarmRef(name),
			}},
			Source: arg, Entity: arg, From: string(from), To: string(to),
		})
}

func (v *vcenter) alarmRef(name string) types.ManagedObjectReference {
	m := v.reg.AlarmManager()
	body := m.GetAlarm(v.call(), &types.GetAlarm{This: m.Self}).(*methods.GetAlarmBody)
	for _, ref := range body.Res.Returnval {
		if a, ok := v.reg.Get(ref).(*simulator.Alarm); ok && a.Info.Name == name {
			return ref
		}
	}
	return types.ManagedObjectReference{}
}
