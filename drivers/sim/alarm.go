package sim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// Alarms of vCenter's default set that the simulator has, under the names that
// the manual's event table knows [4.1.4].
const (
	alarmConnection  = "Host connection state"
	alarmHostCPU     = "Host CPU Usage"
	alarmHostMemory  = "Host Memory Usage"
	alarmVMHeartbeat = "Virtual Machine Heartbeat"
	alarmVMCPU       = "Virtual Machine CPU Usage"
	alarmVMMemory    = "Virtual Machine Memory Usage"
)

// defaultAlarms are the alarms by the word that `ctl alarm` knows each by.
var defaultAlarms = []struct{ word, name, kind string }{
	{"connection", alarmConnection, "HostSystem"},
	{"cpu", alarmHostCPU, "HostSystem"},
	{"memory", alarmHostMemory, "HostSystem"},
	{"heartbeat", alarmVMHeartbeat, "VirtualMachine"},
	{"cpu", alarmVMCPU, "VirtualMachine"},
	{"memory", alarmVMMemory, "VirtualMachine"},
}

// alarmColours are the states of an alarm.
var alarmColours = []string{
	string(types.ManagedEntityStatusGray), string(types.ManagedEntityStatusGreen), string(types.ManagedEntityStatusYellow), string(types.ManagedEntityStatusRed),
}

// AlarmUsage says what `ctl alarm` takes.
const AlarmUsage = "ALARM is connection, cpu or memory for a VM server, and heartbeat, cpu or memory for a VM, or the alarm's full name; " +
	"FROM and TO are gray, green, yellow or red. Nothing but vCenter's alarm and its events changes: the machine stays as it is."

// Alarm lets an alarm of a VM server or VM change its colour in vCenter, as
// if its cause were there.
func (s *Sim) Alarm(name, alarm, from, to string) (string, error) {
	for _, c := range []string{from, to} {
		if !slices.Contains(alarmColours, c) {
			return "", &UsageError{Msg: fmt.Sprintf("%q is no colour of an alarm; there are: %s", c, strings.Join(alarmColours, ", "))}
		}
	}
	if from == to {
		return "", &UsageError{Msg: fmt.Sprintf("a change from %s to %s is none", from, to)}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	full, err := s.vc.changeAlarm(name, alarm, types.ManagedEntityStatus(from), types.ManagedEntityStatus(to))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("alarm %q on %s changed from %s to %s", full, name, from, to), nil
}

func (v *vcenter) changeAlarm(name, alarm string, from, to types.ManagedEntityStatus) (full string, err error) {
	ctx := v.call()
	if host := v.hosts[name]; host != nil {
		if full, err = alarmNamed(alarm, "HostSystem"); err == nil {
			v.alarm(ctx, full, v.hostEvent(host, "alarm").Event, host, name, from, to)
		}
		return full, err
	}
	vm := v.vmNamed(ctx, name)
	if vm == nil {
		return "", &UsageError{Msg: fmt.Sprintf("no VM server or VM is named %q; the VM servers are: %s", name, shorten(v.hostNames()))}
	}
	if full, err = alarmNamed(alarm, "VirtualMachine"); err == nil {
		v.alarm(ctx, full, v.vmEvent(ctx, vm, v.hostOf(ctx, vm)).Event, vm, name, from, to)
	}
	return full, err
}

// alarmNamed finds an alarm of a kind of object by its word or full name.
func alarmNamed(alarm, kind string) (string, error) {
	var words []string
	for _, a := range defaultAlarms {
		if a.kind != kind {
			continue
		}
		if alarm == a.word || strings.EqualFold(alarm, a.name) {
			return a.name, nil
		}
		words = append(words, a.word)
	}
	what := "VM"
	if kind == "HostSystem" {
		what = "VM server"
	}
	return "", &UsageError{Msg: fmt.Sprintf("a %s has no alarm %q; it has: %s", what, alarm, strings.Join(words, ", "))}
}

// vmConnections posts that vCenter knows no more, or again, how the VMs on a
// server are, as it does for each of them.
func (v *vcenter) vmConnections(ctx *simulator.Context, host *simulator.HostSystem, connected bool) {
	for _, vm := range v.vmsOn(ctx, host) {
		e := v.vmEvent(ctx, vm, host)
		if connected {
			v.post(ctx, &types.VmConnectedEvent{VmEvent: e})
		} else {
			v.post(ctx, &types.VmDisconnectedEvent{VmEvent: e})
		}
	}
}
