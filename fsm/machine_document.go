package fsm

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"yagura/fsm/schema"
)

// identityFields are what identifies a machine. A subsystem reports them;
// a person gives them only for a physical machine that none has reported.
var identityFields = []string{"kind", "uuid", "nics"}

func machineFieldHidden(m *schema.Machine, field string) bool {
	switch field {
	case "kind", "uuid", "nics":
		return m.Subsystem != ""
	case "model_name":
		return m.Kind != schema.MachinePhysical
	}
	return false
}

// normalMachine checks what a Machine document may change, and writes names and
// addresses in their usual form.
func normalMachine(tx *Tx, a *applying, spec map[string]any) error {
	m := a.row.(*schema.Machine)
	if a.old == nil {
		if err := declareMachine(m); err != nil {
			return err
		}
	} else if err := guardMachine(tx, a.old.(*schema.Machine), m); err != nil {
		return err
	}
	normalThresholds(m.Thresholds)
	m.Uuid = normalOr(schema.NormalUUID, m.Uuid)
	for _, n := range m.Nics {
		n.Mac = normalOr(schema.NormalMAC, n.Mac)
	}
	for i, s := range m.Initiators {
		m.Initiators[i] = normalOr(schema.NormalInitiator, s)
	}
	if bmc, ok := spec["bmc"].(map[string]any); ok {
		if err := checkPrivateKey("key", bmc); err != nil {
			return inField("bmc", err)
		}
	}
	normalBMC(m.Bmc)
	if old, ok := a.old.(*schema.Machine); !ok || changedField(old, m, "bmc") {
		if err := guardBMC(tx, m); err != nil {
			return err
		}
	}
	if err := normalMembership(m); err != nil {
		return err
	}
	if m.Group != "" || len(m.PoolGroups) > 0 {
		if managed, ok := spec["managed"].(bool); ok && !managed && m.Group != "" {
			return specError("managed is false for a machine that runs in group %s", m.Group).WithHint("take it out of the group first: group: null")
		} else if ok && !managed {
			return specError("managed is false for a machine in a pool").WithHint("take it out of its pools first: pool_groups: []")
		}
		m.Managed = true
	}
	return nil
}

func normalBMC(b *schema.Bmc) {
	if b == nil {
		return
	}
	if b.Kind == "" {
		b.Kind = schema.BMCRedfish
	}
	if b.Kind == schema.BMCRedfish {
		b.Address = asURL(b.Address)
	}
	b.Mac = normalOr(schema.NormalMAC, b.Mac)
}

func normalOr(normal func(string) string, s string) string {
	if n := normal(s); n != "" {
		return n
	}
	return s
}

// normalMembership brings paths such as shop/web down to the group's name.
func normalMembership(m *schema.Machine) error {
	groupOf := func(path string) string {
		parts := schema.SplitPath(path)
		if len(parts) == 0 {
			return ""
		}
		return parts[len(parts)-1]
	}
	m.Group = groupOf(m.Group)
	for i, p := range m.PoolGroups {
		m.PoolGroups[i] = groupOf(p)
	}
	slices.Sort(m.PoolGroups)
	if m.Group == "" {
		m.Host, m.Model = "", ""
		return nil
	}
	if parts := schema.SplitPath(m.Host); len(parts) > 0 {
		m.Host = parts[len(parts)-1]
	}
	if parts := schema.SplitPath(m.Model); len(parts) > 0 {
		m.Model = parts[len(parts)-1]
	}
	if m.Host == "" {
		return specError("group is given without host").WithHint("a machine runs in a group under one of its host settings")
	}
	return nil
}

// declareMachine checks a machine that no subsystem has reported.
func declareMachine(m *schema.Machine) error {
	if m.Kind != schema.MachinePhysical {
		return schema.Errorf(schema.KindMachineNotFound, "", "no machine of this name has been collected").
			WithHint("run collect first; only a physical machine can be declared in advance, with kind: physical")
	}
	if m.Power == "" {
		m.Power = schema.PowerUnknown
	}
	if m.HardwareStatus == "" {
		m.HardwareStatus = schema.HardwareUnknown
	}
	if m.Status == "" {
		m.Status = schema.StatusReady
	}
	return schema.CheckName("", "the machine's name", m.Name)
}

// guardMachine refuses changes that the machine's state forbids.
func guardMachine(tx *Tx, old, m *schema.Machine) error {
	if old.Subsystem != "" {
		for _, f := range identityFields {
			if changedField(old, m, f) {
				return specError("%s is collected, not set", f).WithHint("subsystem %s reports it", old.Subsystem)
			}
		}
	} else if m.Kind != schema.MachinePhysical {
		return specError("kind is %q, a machine declared by hand can only be physical", m.Kind)
	}
	if changedField(old, m, "model_name") {
		if old.Kind != schema.MachinePhysical {
			return specError("model_name is collected for a %s, not set", old.Kind)
		}
		if old.Group != "" {
			return schema.Errorf(schema.KindConflict, "", "model_name can't change while the machine runs in group %s", old.Group)
		}
	}
	if m.Status != old.Status {
		if m.Status != schema.StatusReady || old.Status != schema.StatusAbnormal {
			return specError("status is %s and can't be set to %s", orNone(old.Status), m.Status).
				WithHint("only abnormal can be set to ready, once the cause is gone")
		}
		m.StatusReason = ""
	}
	if m.HardwareStatus == schema.HardwareNormal && old.HardwareStatus != m.HardwareStatus && m.Status == schema.StatusReady {
		m.StatusReason = "" // a person has looked at it
	}
	if err := guardCabling(tx, old, m); err != nil {
		return err
	}
	if job := HeldBy(tx, old.Name); job != "" && placementChanged(old, m) {
		return schema.Errorf(schema.KindConflict, "", "job %s works on it", job).WithHint("wait until the job has ended")
	}
	return nil
}

// guardBMC refuses a management controller that is another machine's: what is
// done to the one would be done to the other.
func guardBMC(r Reader, m *schema.Machine) error {
	for _, place := range bmcPlaces(m) {
		for other := range Machines.By(r, ByBMC, place) {
			if other.Name != m.Name {
				return schema.Errorf(schema.KindConflict, "", "bmc: %s %s is that of machine %s already", m.Bmc.Kind, m.Bmc.Address, other.Name).
					WithHint("give each machine its own; of a controller of several machines, each its id there as bmc.system")
			}
		}
	}
	return nil
}

// guardCabling refuses to take an initiator or a switch port away from a machine
// that runs, or that a job works on: volumes may be connected to that initiator
// and the port be in VLANs, and nobody would know it afterwards.
func guardCabling(r Reader, old, m *schema.Machine) error {
	what := ""
	for _, s := range old.Initiators {
		if !slices.ContainsFunc(m.Initiators, func(n string) bool { return normalOr(schema.NormalInitiator, n) == s }) {
			what = "initiator " + s
		}
	}
	for i, n := range old.Nics {
		if n.Port != "" && (i >= len(m.Nics) || m.Nics[i].Port != n.Port || m.Nics[i].Network != n.Network) {
			what = fmt.Sprintf("port %s of %s", n.Port, n.Network)
		}
	}
	switch job := HeldBy(r, old.Name); {
	case what == "":
		return nil
	case job != "":
		return schema.Errorf(schema.KindConflict, "", "%s can't be taken away from it: job %s works on it", what, job).WithHint("wait until the job has ended")
	case old.Group != "":
		return schema.Errorf(schema.KindConflict, "", "%s can't be taken away from it while it runs in group %s as host %s", what, old.Group, old.Host).
			WithHint("take it out of the group first; adding to it is possible")
	}
	return nil
}

func changedField(a, b proto.Message, field string) bool {
	fd := a.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(field))
	return !a.ProtoReflect().Get(fd).Equal(b.ProtoReflect().Get(fd))
}

func placementChanged(old, m *schema.Machine) bool {
	return slices.ContainsFunc([]string{"managed", "group", "host", "model", "pool_groups", "status"}, func(f string) bool { return changedField(old, m, f) })
}

// placeMachines brings machines to where their documents want them: first all
// leave where they can't stay, then all enter, so that the order doesn't matter.
func placeMachines(tx *Tx, work []*applying) error {
	for _, step := range []func(*Tx, *applying) error{leave, enter} {
		for _, a := range work {
			if err := step(tx, a); err != nil {
				return applyError(a, err)
			}
		}
	}
	return nil
}

// leave writes all but the machine's place, and takes it out of the group that
// it is to leave.
func leave(tx *Tx, a *applying) error {
	want := a.row.(*schema.Machine)
	base := proto.Clone(want).(*schema.Machine)
	var old schema.Machine
	if a.old != nil {
		o := a.old.(*schema.Machine)
		old.Managed, old.Group, old.Host, old.Model, old.PoolGroups = o.Managed, o.Group, o.Host, o.Model, o.PoolGroups
	}
	base.Managed, base.Group, base.Host, base.Model, base.PoolGroups = old.Managed, old.Group, old.Host, old.Model, old.PoolGroups
	if err := Machines.Put(tx, base); err != nil {
		return err
	}
	if old.Group == "" || old.Group == want.Group && old.Host == want.Host && (old.Model == want.Model || want.Model == "") {
		return nil
	}
	if want.Group != "" {
		return schema.Errorf(schema.KindConflict, "", "it runs in group %s as host %s, model %s; a running machine can't be re-purposed by a document", old.Group, old.Host, old.Model).
			WithHint("take it out of the group first")
	}
	if !base.Master && !base.Gone && base.Power != schema.PowerOff {
		return schema.Errorf(schema.KindConflict, "", "it runs in group %s and its power is %s", old.Group, orNone(base.Power)).
			WithHint("take it out with vmdelete /d or delete, which shuts it down first")
	}
	if slices.Contains(want.PoolGroups, old.Group) {
		return StandBy(tx, base.Name)
	}
	return Release(tx, base.Name)
}

// enter takes a machine under management, into its pools and its group, or out
// of pools and management.
func enter(tx *Tx, a *applying) error {
	want := a.row.(*schema.Machine)
	if want.Managed {
		if err := Manage(tx, want.Name); err != nil {
			return err
		}
	}
	now, err := editMachine(tx, want.Name)
	if err != nil {
		return err
	}
	for _, g := range now.PoolGroups {
		if !slices.Contains(want.PoolGroups, g) {
			if err := RemoveFromPool(tx, want.Name, g); err != nil {
				return err
			}
		}
	}
	for _, g := range want.PoolGroups {
		if err := AddToPool(tx, want.Name, g); err != nil {
			return err
		}
	}
	if want.Group != "" && now.Group == "" {
		// A machine that also waits in this group's pool counts as taken from
		// there; any other is registered as it is, a master machine.
		master := !slices.Contains(want.PoolGroups, want.Group)
		if err := Activate(tx, Activation{Machine: want.Name, Group: want.Group, Host: want.Host, Model: want.Model, Master: master}); err != nil {
			return err
		}
		if g, ok := Groups.Get(tx, want.Group); ok {
			if err := followMonitoring(tx, g); err != nil {
				return err
			}
		}
	}
	if !want.Managed {
		return Unmanage(tx, want.Name)
	}
	return nil
}

// checkCabling holds the switch ports of a physical machine's NICs against the
// switches: both are given, or neither. That nobody else has the port is the
// table's own rule.
func checkCabling(r Reader, m *schema.Machine) error {
	if m.Kind != schema.MachinePhysical {
		return nil
	}
	if len(m.Nics) > maxNICs {
		return specError("nics has %d entries, the limit is %d", len(m.Nics), maxNICs)
	}
	for i, n := range m.Nics {
		field := fmt.Sprintf("nics[%d]", i)
		switch {
		case n.Network == "" && n.Port == "":
			continue
		case n.Port == "":
			return specError("%s.port is missing", field).WithHint("give the port of switch %s that the NIC is plugged into", n.Network)
		case n.Network == "":
			return specError("%s.network is missing", field).WithHint("name the subsystem that is the switch with port %s", n.Port)
		}
		if err := checkDoes(r, field+".network", n.Network, schema.DoesVLANs); err != nil {
			return err
		}
	}
	return nil
}

// checkMachine holds a machine against its groups and against its kind.
func checkMachine(r Reader, m *schema.Machine) error {
	if err := checkThresholds(m.Thresholds, m.Kind); err != nil {
		return err
	}
	if m.Capacity != 0 && m.Kind != schema.MachineVMServer {
		return specError("capacity is for VM servers, this one is a %s", m.Kind)
	}
	if m.Cost != 0 && m.Kind != schema.MachineVM {
		return specError("cost is for VMs, this one is a %s", m.Kind)
	}
	if m.Bmc != nil && m.Kind == schema.MachineVM {
		return specError("bmc is for physical machines and VM servers, this one is a vm")
	}
	if m.Bmc != nil {
		if err := m.Bmc.CheckComplete(); err != nil {
			return err
		}
	}
	if err := checkCabling(r, m); err != nil {
		return err
	}
	if len(m.Initiators) > 0 && m.Kind == schema.MachineVM {
		return specError("initiators are for physical machines and VM servers: the storage of VMs isn't managed")
	}
	if err := checkSoftwareNames(r, m.Software); err != nil {
		return err
	}
	return checkPools(r, m)
}
