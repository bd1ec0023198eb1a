package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
)

// kind is one kind of objects of the configuration database.
type kind struct {
	name    string // as in documents and in the API
	plural  string
	row     func() proto.Message // a new row of it
	columns []column[proto.Message]
}

// col makes a column for the rows of a kind, whose type is T.
func col[T proto.Message](title string, text func(T) string) column[proto.Message] {
	return column[proto.Message]{title, func(row proto.Message) string { return text(row.(T)) }}
}

// kinds is THE list of kinds that get, unset and apply know.
var kinds = []kind{
	{"Category", "Categories", func() proto.Message { return new(schema.Category) }, []column[proto.Message]{
		col("PATH", (*schema.Category).GetPath),
		col("PRIORITY", func(r *schema.Category) string { return number(r.Priority) }),
		col("DESCRIPTION", (*schema.Category).GetDescription),
	}},
	{"Group", "Groups", func() proto.Message { return new(schema.Group) }, []column[proto.Message]{
		col("NAME", (*schema.Group).GetName),
		col("CATEGORY", (*schema.Group).GetCategory),
		col("KIND", (*schema.Group).GetKind),
		col("PRIORITY", func(r *schema.Group) string { return number(r.Priority) }),
		col("POLICY", (*schema.Group).GetPolicy),
		col("DESCRIPTION", (*schema.Group).GetDescription),
	}},
	{"Model", "Models", func() proto.Message { return new(schema.Model) }, []column[proto.Message]{
		col("NAME", func(r *schema.Model) string { return r.Group + "/" + r.Name }),
		col("KIND", (*schema.Model).GetKind),
		col("PRIORITY", func(r *schema.Model) string { return number(r.Priority) }),
		col("CAPACITY", func(r *schema.Model) string { return number(r.Capacity) }),
		col("COST", func(r *schema.Model) string { return number(r.Cost) }),
		col("TEMPLATE", (*schema.Model).GetTemplate),
		col("VM-SERVER-MODEL", (*schema.Model).GetVmServerModel),
		col("POLICY", (*schema.Model).GetPolicy),
	}},
	{"Host", "Hosts", func() proto.Message { return new(schema.Host) }, []column[proto.Message]{
		col("NAME", func(r *schema.Host) string { return r.Group + "/" + r.Name }),
		col("MACHINE", (*schema.Host).GetMachine),
		col("ADDRESSES", hostAddresses),
		col("DESCRIPTION", (*schema.Host).GetDescription),
	}},
	{"Machine", "Machines", func() proto.Message { return new(schema.Machine) }, []column[proto.Message]{
		col("NAME", (*schema.Machine).GetName),
		col("KIND", (*schema.Machine).GetKind),
		col("POWER", (*schema.Machine).GetPower),
		col("HARDWARE", (*schema.Machine).GetHardwareStatus),
		col("STATUS", machineStatus),
		col("GROUP", (*schema.Machine).GetGroup),
		col("HOST", (*schema.Machine).GetHost),
		col("VM-SERVER", (*schema.Machine).GetVmServer),
		col("POOL", machinePool),
	}},
	{"Vlan", "Vlans", func() proto.Message { return new(schema.Vlan) }, []column[proto.Message]{
		col("NAME", (*schema.Vlan).GetName),
		col("ID", func(r *schema.Vlan) string { return number(r.Id) }),
		col("KIND", (*schema.Vlan).GetKind),
		col("DESCRIPTION", (*schema.Vlan).GetDescription),
	}},
	{"LoadBalancer", "LoadBalancers", func() proto.Message { return new(schema.LoadBalancer) }, []column[proto.Message]{
		col("NAME", (*schema.LoadBalancer).GetName),
		col("SUBSYSTEM", (*schema.LoadBalancer).GetSubsystem),
		col("POOL", func(r *schema.LoadBalancer) string { return cmp.Or(r.Pool, r.Name) }),
		col("PORT", func(r *schema.LoadBalancer) string { return number(r.Port) }),
		col("DRAIN", func(r *schema.LoadBalancer) string { return number(r.DrainSeconds) + "s" }),
		col("DESCRIPTION", (*schema.LoadBalancer).GetDescription),
	}},
	{"Subsystem", "Subsystems", func() proto.Message { return new(schema.Subsystem) }, []column[proto.Message]{
		col("NAME", (*schema.Subsystem).GetName),
		col("KIND", (*schema.Subsystem).GetKind),
		col("ADDRESS", (*schema.Subsystem).GetAddress),
		col("COLLECTED", func(r *schema.Subsystem) string { return localTime(r.Collected) }),
		col("ERROR", func(r *schema.Subsystem) string { return cmp.Or(r.Error, r.GetEvents().GetError()) }),
	}},
	{"Software", "Software", func() proto.Message { return new(schema.Software) }, []column[proto.Message]{
		col("NAME", (*schema.Software).GetName),
		col("KIND", (*schema.Software).GetKind),
		col("SUBSYSTEM", (*schema.Software).GetSubsystem),
		col("DESCRIPTION", (*schema.Software).GetDescription),
	}},
	{"Policy", "Policies", func() proto.Message { return new(schema.Policy) }, []column[proto.Message]{
		col("NAME", (*schema.Policy).GetName),
		col("RULES", func(r *schema.Policy) string { return strconv.Itoa(len(r.Rules)) }),
		col("DESCRIPTION", (*schema.Policy).GetDescription),
	}},
	{"TrapRule", "TrapRules", func() proto.Message { return new(schema.TrapRule) }, []column[proto.Message]{
		col("NAME", (*schema.TrapRule).GetName),
		col("PRIORITY", func(r *schema.TrapRule) string { return number(r.Priority) }),
		col("OID", (*schema.TrapRule).GetOid),
		col("NOTIFIER", (*schema.TrapRule).GetNotifier),
		col("EVENT", func(r *schema.TrapRule) string { return eventName(r.Source, r.EventId) }),
		col("DESCRIPTION", (*schema.TrapRule).GetDescription),
	}},
	{"SnmpUser", "SnmpUsers", func() proto.Message { return new(schema.SnmpUser) }, []column[proto.Message]{
		col("NAME", (*schema.SnmpUser).GetName),
		col("AUTH", (*schema.SnmpUser).GetAuth),
		col("PRIV", (*schema.SnmpUser).GetPriv),
		col("ENGINE-ID", (*schema.SnmpUser).GetEngineId),
		col("DESCRIPTION", (*schema.SnmpUser).GetDescription),
	}},
	{"Receiver", "Receivers", func() proto.Message { return new(schema.Receiver) }, []column[proto.Message]{
		col("NAME", (*schema.Receiver).GetName),
		col("KIND", (*schema.Receiver).GetKind),
		col("ADDRESS", (*schema.Receiver).GetAddress),
		col("SEVERITY", (*schema.Receiver).GetMinSeverity),
		col("LANGUAGE", (*schema.Receiver).GetLanguage),
		col("WAITING", func(r *schema.Receiver) string { return number(r.Waiting) }),
		col("SENT", func(r *schema.Receiver) string { return number(r.Sent) }),
		col("LOST", func(r *schema.Receiver) string { return number(r.Lost) }),
		col("LAST-SUCCESS", func(r *schema.Receiver) string { return localTime(r.LastSuccess) }),
		col("ERROR", receiverError),
	}},
	{"Settings", "Settings", func() proto.Message { return new(schema.Settings) }, []column[proto.Message]{
		col("KEY", (*schema.Settings).GetKey),
		col("CLUSTER", (*schema.Settings).GetCluster),
		col("FEATURE", func(r *schema.Settings) string { return number(r.Feature) }),
		col("AUTOMATION", func(r *schema.Settings) string { return armedText(r.Disarm) }),
	}},
}

// Names of kinds that are more to some commands than a row of the list.
const (
	kindCategory = "Category"
	kindMachine  = "Machine" // the one kind whose lists come typed
)

// kindByName finds a kind by any sensible spelling: machine, Machines, trap-rule.
func kindByName(word string) (kind, error) {
	plain := strings.NewReplacer("-", "", "_", "").Replace(word)
	for _, k := range kinds {
		if strings.EqualFold(plain, k.name) || strings.EqualFold(plain, k.plural) {
			return k, nil
		}
	}
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return kind{}, fmt.Errorf("unknown kind %q; known are %s", word, strings.Join(names, " "))
}

func number[T int32 | int64 | uint32 | uint64](n T) string {
	return fmt.Sprint(n)
}

// machineStatus is the management status with what overrides it in an
// operator's mind.
func machineStatus(m *schema.Machine) string {
	status := m.Status
	if m.Maintenance {
		status += ",maintenance"
	}
	if m.Gone {
		status += ",gone"
	}
	return status
}

// commonPool is how the common pool is shown: machines of it are in no group's.
const commonPool = "(common)"

// machinePool is the pools that a machine is in.
func machinePool(m *schema.Machine) string {
	if len(m.PoolGroups) == 0 && m.Managed && m.Group == "" {
		return commonPool
	}
	return strings.Join(m.PoolGroups, ",")
}

func hostAddresses(h *schema.Host) string {
	var ips []string
	for _, nic := range h.Nics {
		for _, a := range nic.Addresses {
			ips = append(ips, a.Ip)
		}
	}
	return strings.Join(ips, ",")
}

// eventName is the manual's way to write an event: SOURCE[ID], or the text of
// an alarm, which says all.
func eventName(source, id string) string {
	switch {
	case id == "":
		return source
	case strings.Contains(id, " "):
		return id
	}
	return source + "[" + id + "]"
}

// receiverError is what is wrong with a receiver.
func receiverError(r *schema.Receiver) string {
	if r.Disabled {
		return strings.TrimSuffix("disabled: "+r.Error, ": ")
	}
	return r.Error
}

func armedText(d *schema.Disarm) string {
	if d == nil {
		return "armed"
	}
	return fmt.Sprintf("disarmed by %s since %s: %s", d.By, localTime(d.Since), d.Reason)
}
