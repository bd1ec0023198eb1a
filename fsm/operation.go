package fsm

import (
	"net/netip"
	"slices"

	"yagura/fsm/schema"
)

// Names of the action sequences [2.3], as job rows carry them, and of two that
// the manual doesn't number.
const (
	SeqStartupMachine           = "StartupMachine"
	SeqShutdownMachine          = "ShutdownMachine"
	SeqRebootMachine            = "RebootMachine"
	SeqSuspendMachine           = "SuspendMachine"
	SeqMoveMachine              = "MoveMachine"
	SeqFailoverVMServer         = "FailoverVMServer"
	SeqCreateMachineToGroup     = "CreateMachineToGroup"
	SeqDeleteVirtualMachine     = "DeleteVirtualMachine"
	SeqMoveFromGroupToManaged   = "MoveFromGroupToManaged"
	SeqMoveMasterMachineToGroup = "MoveMasterMachineToGroup"
	SeqCollect                  = "Collect" // reads the inventory of a subsystem
	SeqEvacuate                 = "Evacuate"
	SeqLoadBalanceVMServer      = "LoadBalanceVMServer"
	SeqPowerSaveVMServer        = "PowerSaveVMServer" // of the manual's action on low load [4.2.19]

	SeqChangeServerGroup                       = "ChangeServerGroup"
	SeqDeleteManagedVirtualMachine             = "DeleteManagedVirtualMachine"
	SeqDistributeSoftwareToMachine             = "DistributeSoftwareToMachine"
	SeqDistributeSoftwareToMachinesInGroup     = "DistributeSoftwareToMachinesInGroup"
	SeqDistributeSoftwareToGroupWithScenario   = "DistributeSoftwareToMachinesInGroupWithScenario"
	SeqDistributeSoftwareToMachineWithScenario = "DistributeSoftwareToMachineWithScenario"
	SeqMoveFromGroupToPool                     = "MoveFromGroupToPool"
	SeqMoveFromManagedToGroup                  = "MoveFromManagedToGroup"
	SeqMoveFromManagedToPool                   = "MoveFromManagedToPool"
	SeqMoveFromPoolToGroup                     = "MoveFromPoolToGroup"
	SeqMoveFromPoolToManaged                   = "MoveFromPoolToManaged"
	SeqTakeOverMachine                         = "TakeOverMachine"
)

// Parameters of jobs.
const (
	ParamMachine   = "machine"
	ParamGroup     = "group"
	ParamModel     = "model"
	ParamHost      = "host"
	ParamVM        = "vm"
	ParamVMServer  = "vm_server"
	ParamDatastore = "datastore"
	ParamSubsystem = "subsystem"
	ParamMachines  = "machines" // Collect: "physical": the physical machines, through their management controllers
	ParamForce     = "force"    // "true": without asking the guest; Collect: what isn't reported is gone
	ParamMove      = "move"     // MoveMachine: "true": then try move
	ParamFailover  = "failover" // MoveMachine: "true": then try failover
	ParamRecreate  = "recreate" // MoveMachine: "true": then delete and create anew
	ParamMode      = "mode"     // FailoverVMServer: one of the modes below

	ParamSource     = "source"     // ChangeServerGroup: group that the machine leaves; ParamGroup is the destination
	ParamSoftware   = "software"   // names, joined with commas
	ParamFull       = "full"       // distribution: "true": everything registered, whatever is installed
	ParamSequential = "sequential" // distribution to a group: "true": one machine after another
	ParamMaster     = "master"     // "true": master-machine registration
	ParamReplace    = "replace"    // TakeOverMachine by policy: host that must still run on ParamMachine
)

// Modes of FailoverVMServer, by the policy action that asks for it [4.2.16-18].
const (
	ModeMigrate         = "migrate"
	ModeMigrateFailover = "migrate-failover"
	ModeFailover        = "failover"
)

// powerSequences are the sequences of the power operations.
var powerSequences = map[string]struct {
	sequence string
	force    bool
}{
	"poweron":  {SeqStartupMachine, false},
	"shutdown": {SeqShutdownMachine, false},
	"poweroff": {SeqShutdownMachine, true},
	"reboot":   {SeqRebootMachine, false},
	"reset":    {SeqRebootMachine, true},
	"suspend":  {SeqSuspendMachine, false},
}

// RequestPower queues a job for each named host of the group, or for all
// machines that run in it when no host is named (manual 3.2.14-16). op is
// poweron, shutdown, reboot or suspend, or poweroff or reset, which use force.
// A bare category stands for all of its groups while no host is named.
func RequestPower(tx *Tx, op, group string, hosts []string) ([]string, error) {
	p, ok := powerSequences[op]
	if !ok {
		return nil, schema.Errorf(schema.KindInvalid, "power", "there is no operation %q", op).
			WithHint("poweron, shutdown, poweroff, reboot, reset, suspend")
	}
	machines, err := hostMachines(tx, group, hosts)
	if err != nil {
		return nil, err
	}
	var jobs []string
	for _, m := range machines {
		params := map[string]string{ParamMachine: m.Name}
		if p.force {
			params[ParamForce] = "true"
		}
		id, err := QueueJob(tx, &schema.Job{Sequence: p.sequence, Params: params, Targets: []string{m.Name}, Group: m.Group, Priority: PriorityOperator})
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, id)
	}
	return jobs, nil
}

// AddVM asks for a VM in a group (manual 3.2.17).
type AddVM struct {
	Group     string // category, group, or group with model; not a bare category
	VM        string // name of the VM
	VMServer  string // empty: chosen
	Datastore string // needs VMServer; empty: chosen
	NetInfo   string // host name or address of a host setting of the group; empty: chosen
	Existing  bool   // take a VM that exists instead of creating one
}

// RequestAddVM queues the creation of a VM in a group, or its addition when it exists.
func RequestAddVM(tx *Tx, a AddVM) ([]string, error) {
	ref, err := ResolveGroup(tx, a.Group)
	if err != nil {
		return nil, err
	}
	if ref.Group == "" {
		return nil, schema.Errorf(schema.KindGroupNotFound, "group "+a.Group, "it is a category, a group is needed").WithHint("pvmutl list group shows the groups")
	}
	g, _ := Groups.Get(tx, ref.Group)
	if g.Kind != schema.MachineVM {
		return nil, schema.Errorf(schema.KindGroupNotFound, "group "+g.Name, "its machines are of the kind %s, not vm", g.Kind)
	}
	if a.VM == "" {
		return nil, schema.Errorf(schema.KindInvalid, "vmadd", "the name of the VM is missing")
	}
	if err := schema.CheckVMName("VM "+a.VM, a.VM); err != nil && !a.Existing {
		return nil, err
	}
	if a.Datastore != "" && a.VMServer == "" {
		return nil, schema.Errorf(schema.KindInvalid, "datastore "+a.Datastore, "a datastore can be named together with a VM server only")
	}
	sequence := SeqCreateMachineToGroup
	if a.Existing {
		sequence = SeqMoveMasterMachineToGroup
		if err := checkExistingVM(tx, a.VM); err != nil {
			return nil, err
		}
	} else if _, ok := Machines.Get(tx, a.VM); ok {
		return nil, schema.Errorf(schema.KindExists, "machine "+a.VM, "a machine of this name exists already").WithHint("take another name, or add the VM with /a")
	}
	if a.VMServer != "" {
		if err := checkVMServer(tx, a.VMServer, a.Datastore); err != nil {
			return nil, err
		}
	}
	host, err := freeHost(tx, g.Name, a.NetInfo, a.VM)
	if err != nil {
		return nil, err
	}
	if a.NetInfo == "" {
		host = "" // chosen in the batch that starts the job, when others may have taken this one
	}
	for _, j := range LiveJobs(tx) {
		if j.Sequence == sequence && j.Params[ParamVM] == a.VM {
			return nil, schema.Errorf(schema.KindExists, "machine "+a.VM, "job %s creates or adds it already", j.Id)
		}
	}
	params := withoutEmpty(map[string]string{ParamGroup: g.Name, ParamModel: ref.Model, ParamVM: a.VM, ParamVMServer: a.VMServer, ParamDatastore: a.Datastore, ParamHost: host})
	return oneJob(tx, &schema.Job{Sequence: sequence, Params: params, Targets: []string{a.VM}, Group: g.Name, Priority: PriorityOperator})
}

// RequestDeleteVM queues the end of a VM in its group (manual 3.2.18): it is
// destroyed, or with keep only taken out of the group. Without a host one is
// chosen; below a bare category the group of the lowest priority goes first.
func RequestDeleteVM(tx *Tx, group, host string, keep bool) ([]string, error) {
	ref, err := ResolveGroup(tx, group)
	if err != nil {
		return nil, err
	}
	if ref.Group == "" && host != "" {
		return nil, schema.Errorf(schema.KindGroupNotFound, "group "+group, "it is a category; with a host, a group is needed")
	}
	groups := GroupsBelow(tx, ref)
	slices.Reverse(groups)
	var m *schema.Machine
	for _, g := range groups {
		if g.Kind != schema.MachineVM {
			continue
		}
		if m, err = pickMachine(tx, g.Name, host); err != nil {
			return nil, err
		}
		if m != nil {
			break
		}
	}
	if m == nil {
		return nil, schema.Errorf(schema.KindTooFewHosts, "group "+group, "no VM is running in it")
	}
	sequence := SeqDeleteVirtualMachine
	if keep {
		sequence = SeqMoveFromGroupToManaged
	}
	return oneJob(tx, &schema.Job{Sequence: sequence, Params: map[string]string{ParamMachine: m.Name}, Targets: []string{m.Name}, Group: m.Group, Priority: PriorityOperator})
}

// pickMachine is the VM of a group under host, or one that no job works on
// when host is empty; nil when the group has none.
func pickMachine(tx *Tx, group, host string) (*schema.Machine, error) {
	if host != "" {
		ms, err := hostMachines(tx, group, []string{host})
		if err != nil {
			return nil, err
		}
		return ms[0], vmOnly(ms[0])
	}
	var pick *schema.Machine
	for m := range Machines.By(tx, ByGroup, group) {
		if m.Host == "" || m.Kind != schema.MachineVM || targeted(tx, m.Name) {
			continue
		}
		// One that is off goes first: nothing runs in it.
		if pick == nil || (pick.Power == schema.PowerOn && m.Power != schema.PowerOn) {
			pick = m
		}
	}
	return pick, nil
}

// targeted tells whether a job that isn't over works on a machine.
func targeted(tx *Tx, machine string) bool {
	for _, j := range LiveJobs(tx) {
		if slices.Contains(j.Targets, machine) {
			return true
		}
	}
	return false
}

// MigrateVM asks for a VM on another VM server (manual 3.2.19, 3.2.20).
type MigrateVM struct {
	Group, Host, VMServer string
	Move                  bool // when migrate fails, move the stopped VM with its disks
	Recreate              bool // when that fails too, delete it and create it anew
}

// RequestMigrateVM queues the move of a VM to another VM server.
func RequestMigrateVM(tx *Tx, r MigrateVM) ([]string, error) {
	if r.Host == "" || r.VMServer == "" {
		return nil, schema.Errorf(schema.KindInvalid, "vmmigrate", "the host and the VM server are both needed")
	}
	ref, err := ResolveGroup(tx, r.Group)
	if err != nil {
		return nil, err
	}
	if ref.Group == "" {
		return nil, schema.Errorf(schema.KindGroupNotFound, "group "+r.Group, "it is a category, a group is needed")
	}
	ms, err := hostMachines(tx, ref.Group, []string{r.Host})
	if err != nil {
		return nil, err
	}
	m := ms[0]
	if err := vmOnly(m); err != nil {
		return nil, err
	}
	if err := checkVMServer(tx, r.VMServer, ""); err != nil {
		return nil, err
	}
	if m.VmServer == r.VMServer {
		return nil, schema.Errorf(schema.KindSameServer, "machine "+m.Name, "it is on VM server %s already", r.VMServer)
	}
	params := map[string]string{ParamMachine: m.Name, ParamVMServer: r.VMServer}
	if r.Move || r.Recreate {
		params[ParamMove] = "true"
	}
	if r.Recreate {
		params[ParamRecreate] = "true"
	}
	return oneJob(tx, &schema.Job{Sequence: SeqMoveMachine, Params: params, Targets: []string{m.Name}, Group: m.Group, Priority: PriorityOperator})
}

// RequestEvacuate queues the move of all VMs off a VM server: by migration,
// or, with failover, by failover when it is dead and proven off.
func RequestEvacuate(tx *Tx, vmServer string, failover bool) ([]string, error) {
	if err := checkVMServer(tx, vmServer, ""); err != nil {
		return nil, err
	}
	sequence, mode := SeqEvacuate, ModeMigrate
	if failover {
		sequence, mode = SeqFailoverVMServer, ModeMigrateFailover
	}
	m, _ := Machines.Get(tx, vmServer)
	return oneJob(tx, &schema.Job{Sequence: sequence, Params: map[string]string{ParamVMServer: vmServer, ParamMode: mode}, Targets: []string{vmServer}, Group: m.Group, Priority: PriorityOperator})
}

// RequestCollect queues the reading of a subsystem, or of all of them and of all
// physical machines through their management controllers when none is named.
// What is queued already is not queued again.
func RequestCollect(tx *Tx, subsystem string) ([]string, error) {
	var wanted []map[string]string // parameters of each job
	if subsystem != "" {
		if _, ok := Subsystems.Get(tx, subsystem); !ok {
			return nil, unknownSubsystem(subsystem)
		}
		wanted = []map[string]string{{ParamSubsystem: subsystem}}
	} else {
		for s := range Subsystems.All(tx) {
			wanted = append(wanted, map[string]string{ParamSubsystem: s.Name})
		}
		for m := range Machines.All(tx) {
			if m.Kind == schema.MachinePhysical && m.Bmc != nil {
				wanted = append(wanted, map[string]string{ParamMachines: "physical"})
				break
			}
		}
	}
	queued := map[string]string{} // by subsystem; the physical machines have none
	for j := range Jobs.By(tx, ByState, schema.JobQueued) {
		if j.Sequence == SeqCollect && j.Params[ParamForce] == "" {
			queued[j.Params[ParamSubsystem]] = j.Id
		}
	}
	var jobs []string
	for _, params := range wanted {
		if id := queued[params[ParamSubsystem]]; id != "" {
			jobs = append(jobs, id)
			continue
		}
		ids, err := oneJob(tx, &schema.Job{Sequence: SeqCollect, Params: params, Priority: PriorityRoutine})
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, ids...)
	}
	return jobs, nil
}

// RequestForcedCollect queues the reading of a subsystem's inventory by which
// machines that it doesn't report are gone, however many: see Confirmed.
func RequestForcedCollect(tx *Tx, subsystem string) ([]string, error) {
	if subsystem == "" {
		return nil, schema.Errorf(schema.KindInvalid, "collect", "by force only one subsystem is read").WithHint("name the subsystem whose machines are gone")
	}
	if _, ok := Subsystems.Get(tx, subsystem); !ok {
		return nil, unknownSubsystem(subsystem)
	}
	return oneJob(tx, &schema.Job{Sequence: SeqCollect, Params: map[string]string{ParamSubsystem: subsystem, ParamForce: "true"}, Priority: PriorityOperator})
}

func unknownSubsystem(name string) error {
	return schema.Errorf(schema.KindNotFound, "subsystem "+name, "there is no such subsystem").WithHint("pvmutl get subsystem lists them")
}

func oneJob(tx *Tx, j *schema.Job) ([]string, error) {
	id, err := QueueJob(tx, j)
	if err != nil {
		return nil, err
	}
	return []string{id}, nil
}

// hostMachines are the machines that run under these hosts of a group, or all
// that run in it, or below it when it is a category, when no host is named.
func hostMachines(r Reader, group string, hosts []string) ([]*schema.Machine, error) {
	ref, err := ResolveGroup(r, group)
	if err != nil {
		return nil, err
	}
	if ref.Group == "" && len(hosts) > 0 {
		return nil, schema.Errorf(schema.KindGroupNotFound, "group "+group, "it is a category; with a host, a group is needed")
	}
	running := map[string]*schema.Machine{}
	var all []*schema.Machine
	for _, g := range GroupsBelow(r, ref) {
		for m := range Machines.By(r, ByGroup, g.Name) {
			if m.Host != "" && (ref.Model == "" || m.Model == ref.Model) {
				running[m.Host] = m
				all = append(all, m)
			}
		}
	}
	if len(hosts) == 0 {
		if len(all) == 0 {
			return nil, schema.Errorf(schema.KindTooFewHosts, "group "+group, "no machine is running in it")
		}
		return all, nil
	}
	var out []*schema.Machine
	seen := map[string]bool{}
	for _, h := range hosts {
		m := running[h]
		if m == nil {
			return nil, unknownHost(r, ref.Group, h)
		}
		if seen[h] {
			return nil, schema.Errorf(schema.KindDuplicateHost, "host "+h, "it is named more than once")
		}
		seen[h] = true
		out = append(out, m)
	}
	return out, nil
}

func vmOnly(m *schema.Machine) error {
	if m.Kind != schema.MachineVM {
		return schema.Errorf(schema.KindMachineNotFound, "machine "+m.Name, "it is no VM but of the kind %s", m.Kind)
	}
	return nil
}

func checkVMServer(r Reader, name, datastore string) error {
	m, ok := Machines.Get(r, name)
	if !ok || m.Kind != schema.MachineVMServer {
		return schema.Errorf(schema.KindMachineNotFound, "VM server "+name, "there is no such VM server").WithHint("pvmutl get machine lists them")
	}
	if datastore != "" && !slices.Contains(m.Datastores, datastore) {
		return schema.Errorf(schema.KindMachineNotFound, "datastore "+datastore, "VM server %s has no such datastore", name)
	}
	return nil
}

func checkExistingVM(r Reader, name string) error {
	m, ok := Machines.Get(r, name)
	switch {
	case !ok:
		return schema.Errorf(schema.KindTooFewMachines, "machine "+name, "there is no such VM").WithHint("pvmutl collect reads what the subsystems know")
	case m.Kind != schema.MachineVM || m.Template:
		return schema.Errorf(schema.KindMachineNotFound, "machine "+name, "it is no VM")
	case m.Host != "":
		return schema.Errorf(schema.KindInGroup, "machine "+name, "it is running in group %s as %s already", m.Group, m.Host)
	}
	return nil
}

// freeHost is the named host setting of a group, or the first that is free.
// One that a failed job has kept for vm is free for it.
func freeHost(r Reader, group, netinfo, vm string) (string, error) {
	addr, _ := netip.ParseAddr(netinfo)
	any := false
	for h := range Hosts.By(r, ByGroup, group) {
		any = true
		if netinfo != "" && h.Name != netinfo && !hasAddress(h, addr) {
			continue
		}
		if h.Machine == "" || h.Machine == vm {
			return h.Name, nil
		}
		if netinfo != "" {
			return "", schema.Errorf(schema.KindHostSetting, "host setting "+netinfo, "machine %s runs under it", h.Machine)
		}
	}
	switch {
	case netinfo != "":
		return "", schema.Errorf(schema.KindHostSetting, "host setting "+netinfo, "group %s has none of this name or address", group)
	case any:
		return "", schema.Errorf(schema.KindHostSetting, "group "+group, "all of its host settings are in use").WithHint("add one: kind Host")
	}
	return "", schema.Errorf(schema.KindHostSetting, "group "+group, "it has no host settings").WithHint("add one: kind Host")
}

func hasAddress(h *schema.Host, addr netip.Addr) bool {
	if !addr.IsValid() {
		return false
	}
	for _, n := range h.Nics {
		for _, a := range n.Addresses {
			if x, err := netip.ParseAddr(a.Ip); err == nil && x == addr {
				return true
			}
		}
	}
	return false
}

func withoutEmpty(m map[string]string) map[string]string {
	for k, v := range m {
		if v == "" {
			delete(m, k)
		}
	}
	return m
}
