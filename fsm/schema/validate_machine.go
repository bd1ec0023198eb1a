package schema

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Validate checks the row by itself, see Category.Validate. The name of a
// machine that a subsystem reported may have characters that a name of ours may
// not have; CheckManageable refuses those when it is taken under management.
func (m *Machine) Validate() error {
	o := "machine " + m.GetName()
	if m.Name == "" || len(m.Name) > MaxName || !utf8.ValidString(m.Name) || strings.ContainsFunc(m.Name, unicode.IsControl) {
		return Errorf(KindInvalid, "machine", "the name %q is empty, longer than %d bytes or has control characters", m.Name, MaxName)
	}
	if err := firstError(
		oneOf(o, "kind", m.Kind, false, machineKinds...),
		oneOf(o, "power", m.Power, true, PowerOn, PowerOff, PowerSuspended, PowerUnknown),
		oneOf(o, "hardware_status", m.HardwareStatus, true, HardwareNormal, HardwareDegraded, HardwareFailed, HardwareUnknown),
		oneOf(o, "status", m.Status, true, StatusReady, StatusInUse, StatusAbnormal),
		checkText(o, "description", m.Description, MaxText),
		checkText(o, "model_name", m.ModelName, MaxName),
		between(o, "capacity", m.Capacity, 0, maxAmount),
		between(o, "cost", m.Cost, 0, maxAmount),
		noDuplicates(o, "tags", m.Tags),
		noDuplicates(o, "pool_groups", m.PoolGroups),
		noDuplicates(o, "initiators", m.Initiators),
		slots(o, m.Software, "run_before", "run_after", "standby_before", "standby_after"),
		m.Bmc.validate(o),
		checkThresholds(o, m.Thresholds),
	); err != nil {
		return err
	}
	if m.Uuid != "" && NormalUUID(m.Uuid) != m.Uuid {
		return Errorf(KindInvalid, o, "uuid is %q", m.Uuid).WithHint("write it in lower case with hyphens, as 8-4-4-4-12 hexadecimal digits")
	}
	for i, n := range m.Nics {
		if NormalMAC(n.Mac) != n.Mac || n.Mac == "" {
			return Errorf(KindInvalid, o, "nics[%d].mac is %q", i, n.Mac).WithHint("write it in lower case with colons, such as 52:54:00:12:34:56")
		}
	}
	for i, s := range m.Initiators {
		if NormalInitiator(s) != s || s == "" {
			return Errorf(KindInvalid, o, "initiators[%d] is %q", i, s).
				WithHint("give an iSCSI name (iqn., eui. or naa.) or a WWPN of 16 hexadecimal digits")
		}
	}
	if m.Address != "" {
		if err := checkHostPort(o, "address", m.Address, false); err != nil {
			return err
		}
	}
	if m.Group != "" && (m.Host == "" || m.Model == "" || !m.Managed) {
		return Errorf(KindInvalid, o, "it runs in group %s without being managed or without host or model", m.Group)
	}
	if m.Group == "" && (m.Host != "" || m.Model != "") {
		return Errorf(KindInvalid, o, "it has a host or a model but no group")
	}
	if !m.Managed && len(m.PoolGroups) > 0 {
		return Errorf(KindInvalid, o, "it is in a pool without being managed")
	}
	return nil
}

// CheckManageable holds the rules for a machine that is taken under
// management: its name, its datacenter's name, and that it is no template.
func (m *Machine) CheckManageable() error {
	o := "machine " + m.Name
	if m.Template {
		return Errorf(KindInvalid, o, "it is a template, not a machine to run").WithHint("register it as Software of kind template")
	}
	if err := CheckDatacenter(o, m.Datacenter); err != nil {
		return err
	}
	if m.Kind == MachineVM {
		if err := CheckVMName(o, m.Name); err != nil {
			return Errorf(KindInvalid, o, "a VM of this name can't be managed").
				WithHint("rename it in %s to up to %d of A-Z a-z 0-9 - _ and collect again", m.Subsystem, MaxVMName)
		}
		return nil
	}
	return CheckName(o, "the machine's name", m.Name)
}

// RunState is where a machine is in the manual's table of states [1.2.2].
type RunState string

// The states of a machine [1.2.2].
const (
	StateKnown   RunState = "known"   // a subsystem reported it; not managed
	StateManaged RunState = "managed" // managed, in no group and no pool: the common pool
	StatePool    RunState = "pool"    // waits in the pool of one group or several
	StateRunning RunState = "running" // bound to a host of a group
)

// RunState tells where the machine is in the manual's table of states.
func (m *Machine) RunState() RunState {
	switch {
	case m.Group != "":
		return StateRunning
	case len(m.PoolGroups) > 0:
		return StatePool
	case m.Managed:
		return StateManaged
	}
	return StateKnown
}
