package fsm

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
)

// This file merges what a subsystem reports into the machines [1.2.2
// transition 1]. A machine is recognised by its UUID, else by a MAC address,
// and for machines declared by hand also by name. Reported facts are written
// at all times; while a job holds a machine it keeps its name and isn't marked
// gone, since the job may be in the middle of making or moving it. What people
// and jobs set is never touched.

// Extent says how much of what a subsystem has a report tells.
type Extent int

const (
	Partial   Extent = iota // machines that are missing may exist all the same
	Complete                // machines that are missing are gone, unless suddenly many are
	Confirmed               // machines that are missing are gone, however many: a person says so
)

// Collected merges the machines that a subsystem reports. Machines that are
// missing from a complete report are marked gone, see CollectedAbsent. Machines
// that can't be merged are left as they are and explained in problems; the
// manual's double registration [6.1] is one of them. Nothing is written for
// machines that haven't changed. KindNotFound for an unknown subsystem.
//
// Of the rows given count name, uuid, kind, nics, power, vm_server, datacenter,
// datastores, networks, cpus, memory_mib, cpu_mhz, template, connected,
// vm_maintenance, shared_datastores and model_name.
func Collected(tx *Tx, subsystem string, machines []*schema.Machine, extent Extent) (problems []string, err error) {
	s, ok := Subsystems.Edit(tx, subsystem)
	if !ok {
		return nil, schema.Errorf(schema.KindNotFound, "subsystem "+subsystem, "there is no such subsystem")
	}
	c := &collector{tx: tx, sub: s, seen: make(map[string]bool, len(machines))}
	c.mergeAll(machines)
	if c.err != nil || extent == Partial {
		return c.problems, c.err
	}
	doubt, err := CollectedAbsent(tx, subsystem, func(m *schema.Machine) bool { return c.seen[m.Name] }, extent == Confirmed)
	c.fail(err)
	c.checkDatacenters()
	if s.Error = doubt; doubt == "" {
		s.Collected = timestamp(tx.Now())
	} else {
		c.problems = append(c.problems, doubt)
	}
	c.fail(Subsystems.Put(tx, s))
	return c.problems, c.err
}

// A report that misses more machines than this at once is taken for a fault of
// the report: a manager with an empty database, a changed role, a cut answer.
const (
	doubtAbove = 10 // machines, and
	doubtPart  = 3  // more than the third part of all
)

// CollectedAbsent marks the machines of a subsystem gone that it has reported no
// more, although it reported all it has. When that would be most of them at
// once none is marked, unless a person has confirmed it; doubt then says so and
// how to confirm, and is "" else.
func CollectedAbsent(tx *Tx, subsystem string, present func(*schema.Machine) bool, confirmed bool) (doubt string, err error) {
	var absent []*schema.Machine
	all := 0
	for m := range Machines.By(tx, BySub, subsystem) {
		if m.Gone {
			continue
		}
		all++
		if !present(m) {
			absent = append(absent, m)
		}
	}
	if n := len(absent); !confirmed && n > doubtAbove && n*doubtPart > all {
		return fmt.Sprintf("%d of the %d machines known are missing from its report, which is taken for a fault of the report, so none is marked gone; "+
			"if they are gone indeed, say so with: pvmutl collect %s --force", n, all, subsystem), nil
	}
	for _, m := range absent {
		if err := markGone(tx, m); err != nil {
			return "", err
		}
	}
	return "", nil
}

// CollectedGone notes that a machine of a subsystem exists no more. id is its
// UUID or its name; one that isn't known is no error.
func CollectedGone(tx *Tx, subsystem, id string) error {
	m, ok := Machines.One(tx, ByUUID, schema.NormalUUID(id))
	if !ok {
		m, ok = Machines.Get(tx, id)
	}
	if !ok || m.Subsystem != subsystem {
		return nil
	}
	return markGone(tx, m)
}

// markGone marks a machine that its subsystem reports no more. One that is
// neither managed nor named anywhere is forgotten instead.
func markGone(tx *Tx, m *schema.Machine) error {
	if m.Gone || HeldBy(tx, m.Name) != "" {
		return nil
	}
	if !m.Managed && len(machineUsers(tx, m)) == 0 && m.Bmc == nil && m.Description == "" && len(m.Tags) == 0 {
		return Machines.Delete(tx, m.Name)
	}
	edit := proto.Clone(m).(*schema.Machine)
	edit.Gone, edit.Connected, edit.Power = true, false, schema.PowerUnknown
	return Machines.Put(tx, edit)
}

// maxProblems bounds the machines that one collection explains.
const maxProblems = 100

// collector is one merge.
type collector struct {
	tx       *Tx
	sub      *schema.Subsystem
	seen     map[string]bool // names of the rows that were reported
	problems []string
	err      error
}

func (c *collector) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// mergeAll merges machines in rounds: two that have exchanged names or addresses
// stand in each other's way only until one of them has moved.
func (c *collector) mergeAll(machines []*schema.Machine) {
	todo := machines
	for len(todo) > 0 && c.err == nil {
		var left []*schema.Machine
		var why []string
		for _, m := range todo {
			problem, err := c.merge(m)
			if err != nil {
				c.fail(err)
				return
			}
			if problem != "" {
				left, why = append(left, m), append(why, problem)
			}
		}
		if len(left) == len(todo) {
			if len(why) > maxProblems {
				why = append(why[:maxProblems], fmt.Sprintf("and %d more", len(why)-maxProblems))
			}
			c.problems = why
			return
		}
		todo = left
	}
}

// merge merges one machine, or says why it can't.
func (c *collector) merge(in *schema.Machine) (problem string, err error) {
	// Most of the many haven't changed; these cost a comparison.
	if m, ok := Machines.Get(c.tx, in.Name); ok && m.Subsystem == c.sub.Name && m.Uuid == in.Uuid && sameReport(m, in) {
		c.seen[m.Name] = true
		return "", nil
	}
	in = normalReport(in)
	if err := in.Validate(); err != nil {
		return fmt.Sprintf("machine %q was skipped: %v", in.Name, err), nil
	}
	old, problem := c.find(in)
	if problem != "" {
		return problem, nil
	}
	if problem := c.conflict(in, old); problem != "" {
		if old != nil {
			c.seen[old.Name] = true // reported, though not as we know it
		}
		return problem, nil
	}
	if old == nil {
		return "", c.add(in)
	}
	return "", c.update(old, in)
}

// normalReport copies a reported machine with its names and addresses in the
// usual form, and without what a report doesn't tell.
func normalReport(in *schema.Machine) *schema.Machine {
	m := &schema.Machine{
		Name: in.Name, Uuid: schema.NormalUUID(in.Uuid), Kind: in.Kind, Power: in.Power, VmServer: in.VmServer, Datacenter: in.Datacenter,
		Datastores: sorted(in.Datastores), Networks: sorted(in.Networks), Cpus: in.Cpus, MemoryMib: in.MemoryMib, CpuMhz: in.CpuMhz, Template: in.Template,
		Connected: in.Connected, VmMaintenance: in.VmMaintenance, SharedDatastores: sorted(in.SharedDatastores), ModelName: in.ModelName,
	}
	if m.Power == "" {
		m.Power = schema.PowerUnknown
	}
	for _, n := range in.Nics {
		if mac := schema.NormalMAC(n.Mac); mac != "" {
			m.Nics = append(m.Nics, &schema.NIC{Mac: mac, Network: n.Network, Port: n.Port})
		}
	}
	return m
}

func sorted(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}

// find finds the row of a reported machine; nil when it is a new one.
func (c *collector) find(in *schema.Machine) (*schema.Machine, string) {
	if in.Uuid != "" {
		if m, ok := Machines.One(c.tx, ByUUID, in.Uuid); ok {
			return m, ""
		}
	}
	var found *schema.Machine
	for _, n := range in.Nics {
		m, ok := Machines.One(c.tx, ByMAC, n.Mac)
		if !ok || m.Uuid != "" && in.Uuid != "" {
			continue // another UUID is another machine; conflict tells about the address
		}
		if found != nil && found.Name != m.Name {
			return nil, double(in, n.Mac, m)
		}
		found = m
	}
	if found != nil {
		return found, ""
	}
	m, ok := Machines.Get(c.tx, in.Name)
	if ok && m.Subsystem == "" && (m.Uuid == "" || in.Uuid == "") && len(m.Nics) == 0 {
		return m, "" // declared by hand, by name alone
	}
	return nil, ""
}

// double explains a double registration [6.1].
func double(in *schema.Machine, address string, other *schema.Machine) string {
	return fmt.Sprintf("machine %s was skipped: its address %s is already registered for machine %s; "+
		"if they are one machine, take one of the two out of management and out of its subsystem, and collect again", in.Name, address, other.Name)
}

// conflict tells why a reported machine can't become or stay this row.
func (c *collector) conflict(in, old *schema.Machine) string {
	for _, n := range in.Nics {
		if m, ok := Machines.One(c.tx, ByMAC, n.Mac); ok && (old == nil || m.Name != old.Name) && !c.stale(m) {
			return double(in, n.Mac, m)
		}
	}
	if m, ok := Machines.Get(c.tx, in.Name); ok && (old == nil || m.Name != old.Name) && !c.stale(m) {
		return fmt.Sprintf("machine %s (UUID %s) was skipped: another machine (UUID %s, subsystem %s) has this name; names are unique in the system, so rename one of them",
			in.Name, orNone(in.Uuid), orNone(m.Uuid), orNone(m.Subsystem))
	}
	if old == nil {
		return ""
	}
	if old.Subsystem != "" && old.Subsystem != c.sub.Name && !old.Gone {
		return fmt.Sprintf("machine %s was skipped: subsystem %s reports it, too; a machine belongs to one subsystem only", in.Name, old.Subsystem)
	}
	if why := byHand(old, in); why != "" {
		return why
	}
	if old.Kind != in.Kind && (old.Group != "" || len(old.PoolGroups) > 0) {
		return fmt.Sprintf("machine %s was skipped: it is reported as %s and in use as %s; take it out of its groups first", in.Name, in.Kind, old.Kind)
	}
	if old.Name == in.Name {
		return ""
	}
	if jobs := jobUsers(c.tx, func(j *schema.Job) bool { return slices.Contains(j.Targets, old.Name) }); len(jobs) > 0 || HeldBy(c.tx, old.Name) != "" {
		return fmt.Sprintf("machine %s keeps its name for now, although it is called %s: %s; the next collection after that renames it",
			old.Name, in.Name, shorten(append(jobs, lockUsers(c.tx, MachineLock(old.Name))...)))
	}
	return ""
}

// byHand explains why a reported machine isn't taken for one that was entered by
// hand and is in use. One that nobody manages is a note in advance, which the
// report completes; one that is managed under another name, or as another kind of machine,
// would become something else behind its operator's back.
func byHand(old, in *schema.Machine) string {
	if old.Subsystem != "" || !old.Managed && old.Bmc == nil || old.Name == in.Name && old.Kind == in.Kind {
		return ""
	}
	what := "name " + in.Name
	if old.Uuid != "" && old.Uuid == in.Uuid {
		what = "UUID " + in.Uuid
	} else {
		for _, n := range in.Nics {
			if slices.ContainsFunc(old.Nics, func(o *schema.NIC) bool { return o.Mac == n.Mac }) {
				what = "address " + n.Mac
				break
			}
		}
	}
	return fmt.Sprintf("machine %s (%s) was skipped: its %s is that of machine %s, which was entered by hand as %s; if they are one machine, "+
		"take machine %s out of management (managed: false, bmc: null) and collect again, else correct what was entered", in.Name, in.Kind, what, old.Name, old.Kind, old.Name)
}

// stale tells whether a row may give way to a reported machine with the same
// name or address: it is gone and nobody manages it.
func (c *collector) stale(m *schema.Machine) bool {
	return m.Gone && !m.Managed && len(machineUsers(c.tx, m)) == 0
}

// giveWay removes stale rows that have the name or an address of a reported machine.
func (c *collector) giveWay(in *schema.Machine, keep string) error {
	if m, ok := Machines.Get(c.tx, in.Name); ok && m.Name != keep {
		if err := Machines.Delete(c.tx, m.Name); err != nil {
			return err
		}
	}
	for _, n := range in.Nics {
		if m, ok := Machines.One(c.tx, ByMAC, n.Mac); ok && m.Name != keep {
			if err := Machines.Delete(c.tx, m.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// add stores a new machine.
func (c *collector) add(in *schema.Machine) error {
	if err := c.giveWay(in, ""); err != nil {
		return err
	}
	in.Subsystem, in.Collected = c.sub.Name, timestamp(c.tx.Now())
	in.HardwareStatus, in.Status = schema.HardwareUnknown, schema.StatusReady
	in.Managed = c.sub.AutoManage && in.CheckManageable() == nil
	c.seen[in.Name] = true
	return Machines.Put(c.tx, in)
}

// update writes what has changed of a known machine.
func (c *collector) update(old, in *schema.Machine) error {
	c.seen[in.Name] = true
	if sameReport(old, in) && old.Subsystem == c.sub.Name {
		return nil
	}
	if err := c.giveWay(in, old.Name); err != nil {
		return err
	}
	m := proto.Clone(old).(*schema.Machine)
	m.Name, m.Kind, m.Power, m.VmServer, m.Datacenter = in.Name, in.Kind, in.Power, in.VmServer, in.Datacenter
	m.Datastores, m.Networks, m.SharedDatastores = in.Datastores, in.Networks, in.SharedDatastores
	m.Cpus, m.MemoryMib, m.CpuMhz, m.Template, m.Connected, m.VmMaintenance = in.Cpus, in.MemoryMib, in.CpuMhz, in.Template, in.Connected, in.VmMaintenance
	if in.Uuid != "" {
		m.Uuid = in.Uuid
	}
	if len(in.Nics) > 0 {
		m.Nics = in.Nics
	}
	if in.ModelName != "" {
		m.ModelName = in.ModelName
	}
	if old.Subsystem != c.sub.Name && c.sub.AutoManage && m.CheckManageable() == nil {
		m.Managed = true
	}
	m.Subsystem, m.Gone, m.Collected = c.sub.Name, false, timestamp(c.tx.Now())
	if m.Name != old.Name {
		return renameMachine(c.tx, old, m)
	}
	return Machines.Put(c.tx, m)
}

// sameReport tells whether a report says nothing new.
func sameReport(old, in *schema.Machine) bool {
	return old.Name == in.Name && old.Kind == in.Kind && old.Power == in.Power && old.VmServer == in.VmServer && old.Datacenter == in.Datacenter &&
		old.Cpus == in.Cpus && old.MemoryMib == in.MemoryMib && old.CpuMhz == in.CpuMhz && old.Template == in.Template && old.Connected == in.Connected &&
		old.VmMaintenance == in.VmMaintenance && !old.Gone && (in.Uuid == "" || old.Uuid == in.Uuid) && (in.ModelName == "" || old.ModelName == in.ModelName) &&
		slices.Equal(old.Datastores, in.Datastores) && slices.Equal(old.Networks, in.Networks) && slices.Equal(old.SharedDatastores, in.SharedDatastores) &&
		(len(in.Nics) == 0 || slices.EqualFunc(old.Nics, in.Nics, func(a, b *schema.NIC) bool {
			return a.Mac == b.Mac && a.Network == b.Network && a.Port == b.Port
		}))
}

// renameMachine stores a machine under its new name. What names it follows:
// its host setting, the VMs on it, and events that wait for their actions.
func renameMachine(tx *Tx, old, m *schema.Machine) error {
	if err := Machines.Delete(tx, old.Name); err != nil {
		return err
	}
	if err := Machines.Put(tx, m); err != nil {
		return err
	}
	for vm := range Machines.By(tx, ByServer, old.Name) {
		edit := proto.Clone(vm).(*schema.Machine)
		edit.VmServer = m.Name
		if err := Machines.Put(tx, edit); err != nil {
			return err
		}
	}
	if h, ok := Hosts.Edit(tx, GroupKey(m.Group, m.Host)); ok && h.Machine == old.Name {
		h.Machine = m.Name
		if err := Hosts.Put(tx, h); err != nil {
			return err
		}
	}
	for _, state := range []string{schema.EventNew, schema.EventWaiting} {
		for e := range Events.By(tx, ByState, state) {
			if e.Target != old.Name {
				continue
			}
			edit := proto.Clone(e).(*schema.Event)
			edit.Target = m.Name
			if err := Events.Put(tx, edit); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkDatacenters tells of datacenters that another subsystem has under the
// same name: they are unique in the system [5.2.19], since VMs are placed by them.
func (c *collector) checkDatacenters() {
	ours, theirs := map[string]bool{}, map[string]string{}
	for m := range Machines.All(c.tx) {
		switch {
		case m.Datacenter == "" || m.Gone:
		case m.Subsystem == c.sub.Name:
			ours[m.Datacenter] = true
		default:
			theirs[m.Datacenter] = m.Subsystem
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ours)) {
		if other := theirs[name]; other != "" {
			c.problems = append(c.problems, fmt.Sprintf("datacenter %s is in subsystem %s, too; names of datacenters are unique in the system, so rename one of them", name, other))
		}
	}
}
