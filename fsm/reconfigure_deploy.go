package fsm

import (
	"slices"
	"strings"

	"yagura/fsm/schema"
)

// Deploy asks for a distribution of software: to a group (manual 3.2.7), to a
// machine that runs in one (3.2.8), or to any managed machine (3.2.9).
type Deploy struct {
	Group   string // group, or group with model; empty: Machine is named
	Host    string // host of one machine of the group; empty: all that run in it
	Machine string // any managed machine, instead of a group; it takes exactly the named software
	// Software names what to distribute: exactly this, with Only, else a part of
	// what is registered. Empty: all that is registered.
	Software   []string
	Only       bool // exactly the named software, registered or not, whatever is installed
	Full       bool // all that is registered, whatever is installed; else what is missing
	Sequential bool // to a group: one machine after another
}

// maxSoftware bounds the software that one command names.
const maxSoftware = 1000

// RequestDeploy queues one job for the distribution. KindInvalid,
// KindGroupNotFound, KindMachineNotFound (no such machine or none under the host),
// KindTooFewHosts (none runs in the group), KindSoftware (a name that isn't
// known, isn't distributable, or isn't registered where it must be).
func RequestDeploy(tx *Tx, d Deploy) ([]string, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	for _, name := range d.Software {
		s, ok := SoftwareItems.Get(tx, name)
		if !ok {
			return nil, schema.Errorf(schema.KindSoftware, "software "+name, "there is no such software").WithHint("pvmutl get software lists it")
		}
		if s.Kind == schema.SoftwareTemplate {
			return nil, schema.Errorf(schema.KindSoftware, "software "+name, "it is a template, which can't be distributed")
		}
	}
	params := map[string]string{}
	if len(d.Software) > 0 {
		params[ParamSoftware] = strings.Join(d.Software, ",")
	}
	if d.Full {
		params[ParamFull] = "true"
	}
	if d.Sequential {
		params[ParamSequential] = "true"
	}
	if d.Machine != "" {
		return deployMachine(tx, d, params)
	}
	return deployGroup(tx, d, params)
}

// check refuses what contradicts itself.
func (d Deploy) check() error {
	why := ""
	switch {
	case d.Machine != "" && (d.Group != "" || d.Host != ""):
		why = "a machine is named, and a group or host"
	case d.Machine == "" && d.Group == "":
		why = "neither a group nor a machine is named"
	case d.Machine != "" && (len(d.Software) == 0 || d.Full || d.Sequential):
		why = "to a machine exactly the named software is distributed, and none is named or another choice is made"
	case d.Only && len(d.Software) == 0:
		why = "no software is named"
	case d.Full && len(d.Software) > 0:
		why = "software is named, and the distribution of all that is registered is asked for"
	case d.Machine == "" && d.Host == "" && len(d.Software) > 0 && !d.Only:
		why = "to a group exactly the named software can be distributed, or all that is registered, but no part of that"
	case d.Sequential && d.Host != "":
		why = "one machine is named, so there is no order of machines"
	case len(d.Software) > maxSoftware:
		why = "too much software is named"
	}
	if why == "" {
		return nil
	}
	return schema.Errorf(schema.KindInvalid, "distribution", "%s", why)
}

// deployMachine distributes exactly the named software to any managed machine.
func deployMachine(tx *Tx, d Deploy, params map[string]string) ([]string, error) {
	m, ok := Machines.Get(tx, d.Machine)
	if !ok || m.Template {
		return nil, schema.Errorf(schema.KindMachineNotFound, "machine "+d.Machine, "there is no such machine").WithHint("pvmutl get machine lists them")
	}
	if !m.Managed {
		return nil, schema.Errorf(schema.KindMachineNotFound, "machine "+d.Machine, "it isn't managed").WithHint("take it under management first: managed: true")
	}
	params[ParamMachine] = m.Name
	return oneJob(tx, &schema.Job{Sequence: SeqDistributeSoftwareToMachineWithScenario, Params: params, Targets: []string{m.Name}, Group: m.Group, Priority: PriorityOperator})
}

// deployGroup distributes to the machines that run in a group, or to one of them.
func deployGroup(tx *Tx, d Deploy, params map[string]string) ([]string, error) {
	ref, err := groupOnly(tx, d.Group)
	if err != nil {
		return nil, err
	}
	var hosts []string
	if d.Host != "" {
		hosts = []string{d.Host}
	}
	machines, err := hostMachines(tx, ref.String(), hosts)
	if err != nil {
		return nil, err
	}
	params[ParamGroup] = ref.Group
	params = withParam(params, ParamModel, ref.Model)
	j := &schema.Job{Sequence: SeqDistributeSoftwareToMachinesInGroup, Params: params, Group: ref.Group, Priority: PriorityOperator}
	for _, m := range machines {
		j.Targets = append(j.Targets, m.Name)
	}
	if d.Only {
		j.Sequence = SeqDistributeSoftwareToGroupWithScenario
	}
	if d.Host == "" {
		return oneJob(tx, j)
	}
	m := machines[0]
	params[ParamMachine], params[ParamHost] = m.Name, d.Host
	j.Sequence = SeqDistributeSoftwareToMachine
	if d.Only {
		j.Sequence = SeqDistributeSoftwareToMachineWithScenario
		return oneJob(tx, j)
	}
	host, _ := Hosts.Get(tx, GroupKey(m.Group, m.Host))
	registered := Registered(tx, m, host, m.Model, m.Group, PhaseRun)
	for _, name := range d.Software {
		if !slices.ContainsFunc(registered, func(s Slot) bool { return s.Name() == name }) {
			return nil, schema.Errorf(schema.KindSoftware, "software "+name, "it isn't registered for machine %s (host %s), its model or its group", m.Name, GroupKey(m.Group, m.Host)).
				WithHint("register it, or distribute it with /p, whatever is registered")
		}
	}
	return oneJob(tx, j)
}
