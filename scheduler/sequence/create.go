package sequence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/planning"
	"yagura/fsm/schema"
	"yagura/placement"
)

// Names of the steps that bring a VM into a group [1.11.6, 1.11.8].
const (
	nameAssignHost  = "assign-host-setting"
	nameCreateVM    = planning.StepCreateVM
	nameCollectInfo = "collect-machine-info"

	argHost  = "host" // group/name of the host setting
	argModel = "model"
)

var createMachineToGroup = &Sequence{
	Name:      fsm.SeqCreateMachineToGroup,
	Operation: "create-machine-to-group", Purpose: "Creation of a VM in a group",
	Plan: planCreate,
}

// clone is what a new VM of a model is made from.
type clone struct {
	group    *schema.Group
	model    *schema.Model
	software *schema.Software
	template *schema.Machine // the template's row; nil when no collection has seen it
}

// cloneOf finds the template of a group's model.
func cloneOf(r fsm.Reader, group, model string) (*clone, error) {
	g, ok := fsm.Groups.Get(r, group)
	if !ok {
		return nil, schema.Errorf(schema.KindGroupNotFound, "group "+group, "there is no such group")
	}
	mo, ok := fsm.Models.Get(r, fsm.GroupKey(group, model))
	if !ok {
		return nil, schema.Errorf(schema.KindGroupNotFound, "model "+group+"/"+model, "there is no such model")
	}
	name := mo.Template
	if name == "" && len(g.Templates) > 0 {
		name = g.Templates[0]
	}
	if name == "" {
		return nil, schema.Errorf(schema.KindNotStarted, "model "+group+"/"+model, "it has no template, nor has its group").WithHint("set template on the model")
	}
	sw, ok := fsm.SoftwareItems.Get(r, name)
	if !ok || sw.Kind != schema.SoftwareTemplate {
		return nil, schema.Errorf(schema.KindSoftware, "template "+name, "there is no such template")
	}
	c := &clone{group: g, model: mo, software: sw}
	if m, ok := fsm.Machines.Get(r, c.object()); ok && m.Template {
		c.template = m
	}
	return c, nil
}

// object is the template's name in its subsystem.
func (c *clone) object() string {
	if c.software.Object != "" {
		return c.software.Object
	}
	return c.software.Name
}

func (c *clone) cost() int64 {
	switch {
	case c.model.Cost > 0:
		return c.model.Cost
	case c.software.Cost > 0:
		return c.software.Cost
	}
	return schema.DefaultCost
}

// args are the arguments of the steps that make the VM.
func (c *clone) args(srv *schema.Machine, host, datastore string) map[string]string {
	return map[string]string{
		argSubsystem: c.software.Subsystem, argServer: srv.Name, argHost: host, argDatastore: datastore, argTemplate: c.object(), argModel: c.model.Name,
	}
}

// place chooses the VM server of a new VM; the plan has one move. A stopped VM
// server may be started for it, unless one is named.
func (c *clone) place(r fsm.Reader, vm, server, datastore string) (*placement.Plan, error) {
	p := planning.Problem(r, planning.Scope{})
	v := placement.VM{Name: vm, Cost: c.cost(), Power: placement.PowerOff, Networks: slices.Compact(slices.Sorted(slices.Values(c.model.Networks)))}
	if c.model.VmServerModel != "" {
		v.ServerModels = []string{c.model.VmServerModel}
	}
	if t := c.template; t != nil {
		v.Datacenter = t.Datacenter // the template is of use in its datacenter only [5.2.14]
		if srv, ok := fsm.Machines.Get(r, t.VmServer); ok && datastore == "" {
			for _, d := range t.Datastores {
				if slices.Contains(srv.SharedDatastores, d) {
					v.Datastores = append(v.Datastores, d)
				}
			}
		}
	}
	p.VMs = append(slices.DeleteFunc(p.VMs, func(o placement.VM) bool { return o.Name == vm }), v)
	if server != "" {
		p.Rules = append(p.Rules, placement.Rule{Name: "asked for", Kind: placement.RulePin, VMs: []string{vm}, Servers: []string{server}})
	}
	plan, err := solve(p, placement.Request{Objective: placement.Create, VMs: []string{vm}, NoServerStart: server != ""})
	if err == nil && len(plan.Moves) == 0 {
		err = noServer(plan, vm)
	}
	return plan, err
}

func planCreate(r fsm.Reader, j *schema.Job) (*Plan, error) {
	group, vm := j.Params[fsm.ParamGroup], j.Params[fsm.ParamVM]
	host, err := chooseHost(r, group, j.Params[fsm.ParamHost], vm)
	if err != nil {
		return nil, err
	}
	if _, ok := fsm.Machines.Get(r, vm); ok {
		return nil, schema.Errorf(schema.KindExists, "machine "+vm, "a machine of this name exists already")
	}
	models := []string{j.Params[fsm.ParamModel]}
	if models[0] == "" {
		models = nil
		for _, m := range fsm.GroupModels(r, group) {
			models = append(models, m.Name)
		}
	}
	if len(models) == 0 {
		return nil, schema.Errorf(schema.KindGroupNotFound, "group "+group, "it has no model")
	}
	// Without a model those of the group are tried, the highest priority first [3.2.17].
	var first error
	for _, model := range models {
		p, err := planCreateAs(r, j, model, host)
		if err == nil {
			return p, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

func planCreateAs(r fsm.Reader, j *schema.Job, model string, host *schema.Host) (*Plan, error) {
	vm, datastore := j.Params[fsm.ParamVM], j.Params[fsm.ParamDatastore]
	c, err := cloneOf(r, host.Group, model)
	if err != nil {
		return nil, err
	}
	plan, err := c.place(r, vm, j.Params[fsm.ParamVMServer], datastore)
	if err != nil {
		return nil, err
	}
	to, why := plan.Moves[0].To, plan.Moves[0].Reason
	srv, err := machineRow(r, to)
	if err != nil {
		return nil, err
	}
	key := fsm.GroupKey(host.Group, host.Name)
	p := &Plan{Group: c.group.Name, Targets: []string{vm}, Locks: []string{
		fsm.Exclusive("machine", vm), fsm.Exclusive("host", key), fsm.Shared("machine", to),
	}}
	args := func(more ...string) map[string]string {
		a := c.args(srv, key, datastore)
		for i := 0; i < len(more); i += 2 {
			a[more[i]] = more[i+1]
		}
		return a
	}
	for _, a := range plan.StartBefore {
		p.Locks = append(p.Locks, fsm.Exclusive("machine", srv.Name))
		p.add(nameStartServer, srv.Name, machineArgs(srv, argServer, srv.Name, argWhy, a.Reason))
	}
	p.add(nameAssignHost, vm, args())
	p.add(nameCreateVM, vm, args(argWhy, why))
	p.add(nameCollectInfo, vm, args())
	p.add(nameUpdate, vm, args())
	s := side{&schema.Machine{Name: vm, Kind: schema.MachineVM}, c.group, host, c.model.Name}
	p.register(nameRegisterDPM, s)
	p.distribute(r, fsm.PhaseRun, s.m, s.h, s.model, s.g.Name)
	p.add(nameStart, vm, args(argWas, schema.PowerOff, argVariant, variantActivate))
	return p, p.balance(r, nameLBAdd, s)
}

// chooseHost is the named host setting of a group, or the one that a failed job
// has kept for vm, or the first free one.
func chooseHost(r fsm.Reader, group, name, vm string) (*schema.Host, error) {
	if _, ok := fsm.Groups.Get(r, group); !ok {
		return nil, schema.Errorf(schema.KindGroupNotFound, "group "+group, "there is no such group")
	}
	var free *schema.Host
	for h := range fsm.Hosts.By(r, fsm.ByGroup, group) {
		switch {
		case name != "" && h.Name != name:
		case h.Machine == vm:
			return h, nil // kept by a job for this VM that has failed
		case h.Machine == "":
			if free == nil {
				free = h
			}
		case name != "":
			return nil, schema.Errorf(schema.KindHostSetting, "host setting "+name, "machine %s runs under it", h.Machine)
		}
	}
	if free != nil {
		return free, nil
	}
	if name != "" {
		return nil, schema.Errorf(schema.KindHostSetting, "host setting "+name, "group %s has none of this name", group)
	}
	return nil, schema.Errorf(schema.KindHostSetting, "group "+group, "no host setting of it is free")
}

var assignHostSetting = &Step{
	Name: nameAssignHost,
	Commit: func(tx *fsm.Tx, e *Env) error {
		h, ok := fsm.Hosts.Edit(tx, e.arg(argHost))
		if !ok || (h.Machine != "" && h.Machine != e.Step.Target) {
			return schema.Errorf(schema.KindHostSetting, "host setting "+e.arg(argHost), "it is gone or taken")
		}
		h.Machine = e.Step.Target
		return fsm.Hosts.Put(tx, h)
	},
	UndoCommit: freeHost,
}

// logNICs warns that a machine and its host setting differ in their NICs.
func logNICs(tx *fsm.Tx, e *Env, m *schema.Machine, h *schema.Host) error {
	entry, _ := catalog.LogEntry("check-host-setting", PhaseOther)
	return fsm.LogEvent(tx, &schema.Event{
		EventId: entry.ID, Severity: entry.Severity, Target: m.Name, Group: h.Group, Operation: entry.Operation, Phase: entry.Phase, Job: e.Job.Id,
		Text: fmt.Sprintf("%s: %s has %d, %s has %d", entry.Text, m.Name, len(m.Nics), h.Name, len(h.Nics)),
	})
}

// freeHost gives the host setting back that the step's machine has.
func freeHost(tx *fsm.Tx, e *Env) error {
	h, ok := fsm.Hosts.Edit(tx, e.arg(argHost))
	if !ok || h.Machine != e.Step.Target {
		return nil
	}
	if m, ok := fsm.Machines.Get(tx, h.Machine); ok && m.Group == h.Group && m.Host == h.Name {
		return nil // a later job has brought the machine into operation under it
	}
	h.Machine = ""
	return fsm.Hosts.Put(tx, h)
}

// ownVM reads the VM that the step's clone made: found is false when there is
// no VM of the name. A VM of the name that is somebody else's is refused.
func ownVM(ctx context.Context, e *Env) (v drivers.VM, found bool, err error) {
	h, err := e.hypervisor(ctx)
	if err != nil {
		return v, false, err
	}
	v, err = h.VMByName(ctx, e.Step.Target)
	if err != nil {
		if drivers.KindOf(err) == drivers.KindNotFound {
			return v, false, nil
		}
		return v, false, err
	}
	if !e.ownToken(v.Token) {
		return v, false, &drivers.Error{Kind: drivers.KindRefused, System: e.Step.Subsystem, Op: nameCreateVM, Object: e.Step.Target,
			Err: errors.New("a VM of this name exists that this job didn't make")}
	}
	return v, true, nil
}

var createVM = &Step{
	Name: nameCreateVM,
	Act: &Act{
		Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
			h, err := e.hypervisor(ctx)
			if err != nil {
				return drivers.Task{}, err
			}
			spec, err := cloneSpec(e)
			if err != nil {
				return drivers.Task{}, err
			}
			return h.Clone(ctx, e.Call, spec)
		},
		Probe: func(ctx context.Context, e *Env) (Finding, error) {
			v, found, err := ownVM(ctx, e)
			if err != nil || !found {
				return Finding{}, err
			}
			e.set(outUUID, v.UUID)
			return Finding{State: FoundDone}, nil
		},
	},
	Undo: &Act{
		Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
			v, found, err := ownVM(ctx, e)
			if err != nil || !found {
				return drivers.Done(""), notOurs(err)
			}
			h, err := e.hypervisor(ctx)
			if err != nil {
				return drivers.Task{}, err
			}
			return h.Destroy(ctx, e.Call, v.UUID)
		},
		Probe: func(ctx context.Context, e *Env) (Finding, error) {
			_, found, err := ownVM(ctx, e)
			if err := notOurs(err); err != nil || found {
				return Finding{}, err
			}
			return Finding{State: FoundDone}, nil
		},
	},
	Skip: func(e *Env) string {
		if e.Job.Sequence == fsm.SeqMoveMachine && !e.succeeded(nameDeleteVM) {
			return "the VM is there"
		}
		return ""
	},
	Timeout: 2 * time.Hour,
}

// notOurs forgives an undo that finds somebody else's VM: it isn't touched.
func notOurs(err error) error {
	if err != nil && drivers.KindOf(err) == drivers.KindRefused {
		return nil
	}
	return err
}

// cloneSpec is the VM that the step makes.
func cloneSpec(e *Env) (drivers.CloneSpec, error) {
	h, ok := fsm.Hosts.Get(e.Rows, e.arg(argHost))
	if !ok {
		return drivers.CloneSpec{}, schema.Errorf(schema.KindHostSetting, "host setting "+e.arg(argHost), "it is gone")
	}
	srv, err := machineRow(e.Rows, e.arg(argServer))
	if err != nil {
		return drivers.CloneSpec{}, err
	}
	id, err := vmIdentity(e)
	if err != nil {
		return drivers.CloneSpec{}, err
	}
	spec := drivers.CloneSpec{
		Template: e.arg(argTemplate), Name: e.Step.Target, Server: srv.Name, Datastore: e.arg(argDatastore), Datacenter: srv.Datacenter, Identity: id,
	}
	if mo, ok := fsm.Models.Get(e.Rows, fsm.GroupKey(h.Group, e.arg(argModel))); ok {
		spec.CPUs, spec.MemoryMiB = int(mo.Cpus), mo.MemoryMib
	}
	return spec, nil
}

// vmIdentity is what a VM becomes under the host setting of the step.
func vmIdentity(e *Env) (drivers.Identity, error) {
	h, ok := fsm.Hosts.Get(e.Rows, e.arg(argHost))
	if !ok {
		return drivers.Identity{}, schema.Errorf(schema.KindHostSetting, "host setting "+e.arg(argHost), "it is gone")
	}
	mo, _ := fsm.Models.Get(e.Rows, fsm.GroupKey(h.Group, e.arg(argModel)))
	id := drivers.Identity{Hostname: h.Name, Domain: h.Domain, DNS: h.Dns}
	for i, network := range networksOf(mo, h) {
		nic := drivers.NICSetting{Network: network}
		if i < len(h.Nics) && len(h.Nics[i].Addresses) > 0 { // one address for each virtual NIC [5.2.19]
			a := h.Nics[i].Addresses[0]
			nic.Address, nic.Prefix, nic.Gateway = a.Ip, int(a.Prefix), a.Gateway
		}
		id.NICs = append(id.NICs, nic)
	}
	return id, nil
}

// collectVM reads what the new VM has become and makes its row.
var collectVM = &Step{
	Name: nameCollectInfo,
	Act: &Act{Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
		h, err := e.hypervisor(ctx)
		if err != nil {
			return drivers.Task{}, err
		}
		v, err := h.VM(ctx, e.earlier(nameCreateVM).Output[outUUID])
		if err != nil {
			return drivers.Task{}, err
		}
		e.Carry = v
		return drivers.Done(""), nil
	}},
	Skip: func(e *Env) string {
		if e.Job.Sequence == fsm.SeqMoveMachine && !e.succeeded(nameCreateVM) {
			return "the VM is there"
		}
		return ""
	},
	Commit: func(tx *fsm.Tx, e *Env) error {
		row := MachineOfVM(e.Step.Subsystem, e.Carry.(drivers.VM))
		row.Managed, row.Status, row.HardwareStatus = true, schema.StatusInUse, schema.HardwareNormal
		if old, ok := fsm.Machines.Edit(tx, row.Name); ok { // created anew: what the group says of it stays
			row.Group, row.Host, row.Model, row.Origin, row.PoolGroups = old.Group, old.Host, old.Model, old.Origin, old.PoolGroups
			row.Tags, row.Description, row.Cost = old.Tags, old.Description, old.Cost
		}
		return fsm.Machines.Put(tx, row)
	},
	UndoCommit: func(tx *fsm.Tx, e *Env) error {
		if e.Job.Sequence == fsm.SeqMoveMachine {
			return nil
		}
		return fsm.DeleteMachine(tx, e.Step.Target)
	},
	Timeout:  5 * time.Minute,
	ReadOnly: true,
}

// enterGroup makes the VM that the job has made run under its host setting.
func enterGroup(tx *fsm.Tx, e *Env) error {
	group, host, _ := strings.Cut(e.arg(argHost), "/")
	e.Job.Result = e.Step.Target + " runs in " + group + " as " + host
	if err := fsm.Activate(tx, fsm.Activation{Machine: e.Step.Target, Group: group, Host: host, Model: e.arg(argModel)}); err != nil {
		return err
	}
	return warnNICs(tx, e)
}
