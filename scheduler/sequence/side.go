package sequence

import (
	"fmt"
	"slices"
	"strings"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// Variants of steps, see Step.Variant.
const (
	variantPhysical = "physical"       // the machine is a physical one
	variantFence    = fsm.VariantFence // physical, and to be proven off: its volumes and addresses move
	variantActivate = "activate"       // a VM that has its name and addresses from the job
	variantBind     = "bind"           // the machine exists, and is bound to its host setting at once
)

// Arguments of the steps that bind a machine to what moves with it.
const (
	argPool       = "pool"       // of the balancer
	argMember     = "member"     // node of the balancer's pool
	argAddress    = "address"    // of the node
	argPort       = "port"       // of the node, or of the switch
	argDrain      = "drain"      // seconds that a node's connections get
	argVLAN       = "vlan"       // name
	argVLANID     = "vlan_id"    // number
	argManagement = "management" // "true": a management VLAN
	argVolume     = "volume"
	argShared     = "shared"     // "true": several machines may use the volume
	argInitiators = "initiators" // of the machine, with spaces between them
	argOrigin     = "origin"     // pool that the machine came from
	argMaster     = "master"     // "true": it ran as a master machine
	argPools      = "pools"      // groups in whose pools it was, with commas between them
	argFaulty     = "faulty"     // why the machine can't be expected to answer
	argResult     = "result"     // what the job has led to
)

// side is a machine under a host setting: the one that a flow takes out of
// operation, or the one that it brings into operation.
type side struct {
	m     *schema.Machine
	g     *schema.Group
	h     *schema.Host
	model string
}

func (s side) key() string { return fsm.GroupKey(s.h.Group, s.h.Name) }

// args are arguments of a step about the side.
func (s side) args(more ...string) map[string]string {
	a := machineArgs(s.m, argHost, s.key(), argModel, s.model)
	for i := 0; i < len(more); i += 2 {
		a[more[i]] = more[i+1]
	}
	return a
}

// before adds what the machine was before the job, so that it can become that again.
func (s side) before(more ...string) map[string]string {
	a := s.args(more...)
	a[argOrigin], a[argPools] = s.m.Origin, strings.Join(s.m.PoolGroups, ",")
	if s.m.Master {
		a[argMaster] = "true"
	}
	return a
}

// sideOf is the running machine m with its host setting.
func sideOf(r fsm.Reader, m *schema.Machine) (side, error) {
	g, ok := fsm.Groups.Get(r, m.Group)
	if !ok || m.Host == "" {
		return side{}, schema.Errorf(schema.KindTooFewHosts, "machine "+m.Name, "it is running in no group")
	}
	h, ok := fsm.Hosts.Get(r, fsm.GroupKey(m.Group, m.Host))
	if !ok {
		return side{}, schema.Errorf(schema.KindHostSetting, "host "+fsm.GroupKey(m.Group, m.Host), "there is no such host setting")
	}
	return side{m, g, h, m.Model}, nil
}

// lock makes the job hold the machine and the host setting alone.
func (p *Plan) lock(s side) {
	p.Locks = append(p.Locks, fsm.Exclusive("machine", s.m.Name), fsm.Exclusive("host", s.key()))
	if s.m.VmServer != "" {
		p.Locks = append(p.Locks, fsm.Shared("machine", s.m.VmServer))
	}
	if !slices.Contains(p.Targets, s.m.Name) {
		p.Targets = append(p.Targets, s.m.Name)
	}
}

// balance adds a row for each load-balancing group of the side's group [1.8.7].
func (p *Plan) balance(r fsm.Reader, name string, s side) error {
	if len(s.g.LoadBalancers) == 0 {
		p.leaveOut(name, s.m.Name, "the group has no load-balancing group")
	}
	for _, lb := range s.g.LoadBalancers {
		row, ok := fsm.LoadBalancers.Get(r, lb)
		if !ok {
			return schema.Errorf(schema.KindGroupUnusable, "load-balancing group "+lb, "group %s names it, and there is none", s.g.Name).WithHint("apply it: kind LoadBalancer")
		}
		ip := firstAddress(s.h)
		if ip == "" {
			return schema.Errorf(schema.KindHostSetting, "host "+s.key(), "it has no address, and load-balancing group %s needs one", lb).WithHint("give its first NIC an address")
		}
		pool, drain := row.Pool, row.DrainSeconds
		if pool == "" {
			pool = row.Name
		}
		if drain == 0 {
			drain = defaultDrain
		}
		st := p.add(name, s.m.Name, map[string]string{
			argSubsystem: row.Subsystem, argHost: s.key(), argPool: pool, argMember: s.h.Name, argAddress: ip, argPort: fmt.Sprint(row.Port), argDrain: fmt.Sprint(drain),
		})
		st.Description = fmt.Sprintf("%s (%s:%d) in pool %s of %s", s.h.Name, ip, row.Port, pool, row.Subsystem)
	}
	return nil
}

// defaultDrain is how long the connections of a node get to end, seconds.
const defaultDrain = 30

func firstAddress(h *schema.Host) string {
	for _, n := range h.Nics {
		for _, a := range n.Addresses {
			return a.Ip
		}
	}
	return ""
}

// wirings are the VLANs of a host setting in its group, by NIC.
func wirings(r fsm.Reader, g *schema.Group, h *schema.Host) ([]fsm.PortVLAN, error) {
	out, err := fsm.PortVLANs(r, g, h)
	if err != nil {
		return nil, schema.Errorf(schema.KindGroupUnusable, "group "+g.Name, "its VLANs can't be used: %v", err).WithHint("apply what is missing: kind Vlan")
	}
	slices.SortStableFunc(out, func(a, b fsm.PortVLAN) int { return a.NIC - b.NIC })
	return out, nil
}

// wire adds a row for each VLAN of each NIC of the side. A machine that is to
// come into operation must have a switch port for each.
func (p *Plan) wire(r fsm.Reader, name string, s side) error {
	if s.m.Kind == schema.MachineVM {
		return nil // VLANs of VMs can't be controlled [1.8.1]
	}
	ws, err := wirings(r, s.g, s.h)
	if err != nil {
		return err
	}
	if len(ws) == 0 {
		p.leaveOut(name, s.m.Name, "the group has no VLAN")
	}
	for _, w := range ws {
		if w.NIC > len(s.m.Nics) || s.m.Nics[w.NIC-1].Network == "" || s.m.Nics[w.NIC-1].Port == "" {
			if name == nameVLANRemove {
				p.leaveOut(name, s.m.Name, fmt.Sprintf("no switch port is known for its NIC %d, which VLAN %s is for", w.NIC, w.VLAN.Name))
				continue
			}
			return schema.Errorf(schema.KindGroupUnusable, "machine "+s.m.Name, "VLAN %s is for its NIC %d, of which no switch port is known", w.VLAN.Name, w.NIC).
				WithHint("set network (the switch) and port of the machine's nics")
		}
		nic := s.m.Nics[w.NIC-1]
		args := map[string]string{argSubsystem: nic.Network, argHost: s.key(), argPort: nic.Port, argVLAN: w.VLAN.Name, argVLANID: fmt.Sprint(w.VLAN.Id)}
		if w.VLAN.Kind == schema.VLANManagement {
			args[argManagement] = "true"
		}
		p.add(name, s.m.Name, args).Description = fmt.Sprintf("port %s of %s, VLAN %s (%d)", nic.Port, nic.Network, w.VLAN.Name, w.VLAN.Id)
	}
	return nil
}

// store adds a row for each volume of the side's host setting [1.9.5].
func (p *Plan) store(name string, s side) error {
	if len(s.h.Volumes) == 0 {
		p.leaveOut(name, s.m.Name, "the host setting has no volume")
	}
	for _, v := range s.h.Volumes {
		if len(s.m.Initiators) == 0 {
			if name == nameDisconnect {
				p.leaveOut(name, s.m.Name, "the machine has no initiators, so volume "+v.Name+" can't be connected to it")
				continue
			}
			return schema.Errorf(schema.KindGroupUnusable, "machine "+s.m.Name, "volume %s is to be connected to it, and it has no initiators", v.Name).
				WithHint("set the machine's initiators (iSCSI name, WWPN)")
		}
		args := map[string]string{argSubsystem: v.Subsystem, argHost: s.key(), argVolume: v.Name, argInitiators: strings.Join(s.m.Initiators, " ")}
		if v.Shared {
			args[argShared] = "true"
		}
		p.add(name, s.m.Name, args).Description = "volume " + v.Name + " of " + v.Subsystem
	}
	return nil
}

// monitor adds the row that begins or ends the monitoring of the side's machine.
func (p *Plan) monitor(name string, s side) {
	switch {
	case s.g.Monitoring == nil || s.g.Monitoring.Kind == "":
		if name == nameUnregisterMonitoring && s.m.Monitored != nil {
			break
		}
		p.leaveOut(name, s.m.Name, "the group has no monitoring")
		return
	case name == nameUnregisterMonitoring && s.m.Monitored == nil:
		p.leaveOut(name, s.m.Name, "it isn't monitored")
		return
	}
	p.add(name, s.m.Name, s.args())
}

// giving refuses to do more for a machine when the host setting of the step
// isn't the machine's any more: a job that goes on long after it failed may
// find that another one has settled the matter.
func giving(e *Env) error {
	h, ok := fsm.Hosts.Get(e.Rows, e.arg(argHost))
	if !ok || h.Machine != e.Step.Target {
		return schema.Errorf(schema.KindConflict, "host "+e.arg(argHost), "it isn't the host setting of %s any more, but of %s", e.Step.Target, orNobody(h.GetMachine())).
			WithHint("take the job back: pvmutl job rollback %s", e.Job.Id)
	}
	return nil
}

// taking refuses to take something from a machine that runs elsewhere by now.
func taking(e *Env) error {
	m, ok := fsm.Machines.Get(e.Rows, e.Step.Target)
	if ok && m.Group != "" && fsm.GroupKey(m.Group, m.Host) != e.arg(argHost) {
		return schema.Errorf(schema.KindConflict, "machine "+m.Name, "it runs as host %s by now, not as %s", fsm.GroupKey(m.Group, m.Host), e.arg(argHost))
	}
	return nil
}

// runsElsewhere says under which other host setting the step's machine runs by
// now, or "": then what the step is to take from it was given up before.
func runsElsewhere(e *Env) string {
	m, ok := fsm.Machines.Get(e.Rows, e.Step.Target)
	if ok && m.Group != "" && fsm.GroupKey(m.Group, m.Host) != e.arg(argHost) {
		return "it runs as host " + fsm.GroupKey(m.Group, m.Host) + " by now"
	}
	return ""
}

func orNobody(machine string) string {
	if machine == "" {
		return "none"
	}
	return machine
}
