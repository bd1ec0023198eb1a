package schedulertest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/drivers"
	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/schema"
)

// Names of the systems of the rig's physical world.
const (
	SwitchSystem   = "sw1"
	BalancerSystem = "lb1"
	ArraySystem    = "array1"
	DistSystem     = "dist1"
)

// VLANs of the rig's physical groups.
const (
	vlanDB    = 110
	vlanBatch = 120
	unused    = 999
)

// physicalWorld makes the machines ph01..ph04 with what moves with them: group
// db runs on ph01 and ph02 as db01 and db02, each with a volume, a port in VLAN
// db and a node of pool db; ph03 waits in its pool, ph04 in the common pool.
func physicalWorld(w *fake.World) {
	w.AddSwitch(SwitchSystem, []string{"p1", "p2", "p3", "p4"}, unused)
	for _, v := range []string{"vol-db01", "vol-db02", "vol-batch01"} {
		w.AddVolume(ArraySystem, v)
	}
	w.AddScenario(DistSystem, "db-run")
	w.AddScenario(DistSystem, "db-standby")
	var members []drivers.Member
	for i := range 4 {
		name := fmt.Sprintf("ph%02d", i+1)
		p := fake.Physical{NICs: []drivers.NIC{{MAC: macOf(i + 1)}}}
		if i < 2 {
			p.Power = drivers.PowerOn
		}
		w.AddPhysical(name, p)
		if i < 2 {
			if _, err := w.Switch(SwitchSystem).AddToVLAN(context.Background(), drivers.Call{}, fmt.Sprintf("p%d", i+1), drivers.VLAN{Name: "db", ID: vlanDB}); err != nil {
				panic(err) // a mistake of the rig
			}
			w.Array(ArraySystem).Attach(fmt.Sprintf("vol-db%02d", i+1), InitiatorOf(name))
			members = append(members, drivers.Member{Name: fmt.Sprintf("db%02d", i+1), Address: addressOf(i + 1), Port: 5432})
		}
	}
	w.AddPool(BalancerSystem, "db", members...)
	w.ResetLedger()
}

func macOf(n int) string     { return fmt.Sprintf("52:54:00:00:00:%02x", n) }
func addressOf(n int) string { return fmt.Sprintf("192.0.2.%d", 200+n) }

// InitiatorOf is the initiator of a physical machine of the rig.
func InitiatorOf(machine string) string { return "iqn.2026-01.example.fake:" + machine }

// physicalRows are the rows of the physical world.
func physicalRows(tx *fsm.Tx) error {
	err := firstError(
		fsm.Subsystems.Put(tx, &schema.Subsystem{Name: SwitchSystem, Kind: "ovs", Address: "127.0.0.1:6640"}),
		fsm.Subsystems.Put(tx, &schema.Subsystem{Name: BalancerSystem, Kind: "haproxy", Address: "127.0.0.1:9999"}),
		fsm.Subsystems.Put(tx, &schema.Subsystem{Name: ArraySystem, Kind: "tgt"}),
		fsm.Subsystems.Put(tx, &schema.Subsystem{Name: DistSystem, Kind: "ansible", Address: "127.0.0.1:22"}),
		fsm.Vlans.Put(tx, &schema.Vlan{Name: "db", Id: vlanDB}),
		fsm.Vlans.Put(tx, &schema.Vlan{Name: "batch", Id: vlanBatch}),
		fsm.LoadBalancers.Put(tx, &schema.LoadBalancer{Name: "db", Subsystem: BalancerSystem, Port: 5432}),
		fsm.SoftwareItems.Put(tx, &schema.Software{Name: "db-run", Kind: schema.SoftwareScenario, Subsystem: DistSystem}),
		fsm.SoftwareItems.Put(tx, &schema.Software{Name: "db-standby", Kind: schema.SoftwareScenario, Subsystem: DistSystem}),
		fsm.Groups.Put(tx, &schema.Group{
			Name: "db", Category: "shop", Kind: schema.MachinePhysical, UseCommonPool: true, Vlans: []string{"db"}, LoadBalancers: []string{"db"},
			Monitoring: &schema.Monitoring{Kind: "icmp"}, Software: &schema.SoftwareSlots{Run: []string{"db-run"}, Standby: []string{"db-standby"}},
		}),
		fsm.Models.Put(tx, &schema.Model{Group: "db", Name: "server", Kind: schema.MachinePhysical}),
		fsm.Groups.Put(tx, &schema.Group{Name: "batch", Category: "shop", Kind: schema.MachinePhysical, Vlans: []string{"batch"}}),
		fsm.Models.Put(tx, &schema.Model{Group: "batch", Name: "server", Kind: schema.MachinePhysical}),
		fsm.Hosts.Put(tx, host("batch", "batch01", 11)),
	)
	for i := range 4 {
		if err == nil {
			err = physicalRow(tx, i+1)
		}
	}
	return err
}

func host(group, name string, n int) *schema.Host {
	return &schema.Host{
		Group: group, Name: name, Nics: []*schema.HostNIC{{Addresses: []*schema.Address{{Ip: addressOf(n), Prefix: 24}}}},
		Volumes: []*schema.Volume{{Subsystem: ArraySystem, Name: "vol-" + name}},
	}
}

func physicalRow(tx *fsm.Tx, n int) error {
	name := fmt.Sprintf("ph%02d", n)
	m := &schema.Machine{
		Name: name, Uuid: fake.UUIDOf(name), Kind: schema.MachinePhysical, Managed: true, Power: schema.PowerOff, HardwareStatus: schema.HardwareNormal, Status: schema.StatusReady,
		Nics: []*schema.NIC{{Mac: macOf(n), Network: SwitchSystem, Port: fmt.Sprintf("p%d", n)}}, Initiators: []string{InitiatorOf(name)},
		ModelName: "fake", Bmc: &schema.Bmc{Kind: "redfish", Address: "https://bmc-" + name + ".example"},
	}
	if n <= 3 {
		m.PoolGroups = []string{"db"}
	}
	if n == 2 {
		m.PoolGroups = []string{"batch", "db"}
	}
	if n > 2 {
		return fsm.Machines.Put(tx, m)
	}
	m.Power = schema.PowerOn
	as := fmt.Sprintf("db%02d", n)
	err := firstError(
		fsm.Machines.Put(tx, m),
		fsm.Hosts.Put(tx, host("db", as, n)),
		fsm.Activate(tx, fsm.Activation{Machine: name, Group: "db", Host: as}),
	)
	if err != nil {
		return err
	}
	m, _ = fsm.Machines.Edit(tx, name)
	m.Monitored = timestamppb.New(tx.Now())
	return fsm.Machines.Put(tx, m)
}

// physicalState is the physical world as text.
func (r *Rig) physicalState() []string {
	var out []string
	fail := func(err error) {
		if err != nil {
			r.T.Fatal(err)
		}
	}
	ctx := context.Background()
	ports, err := r.World.Switch(SwitchSystem).Ports(ctx)
	fail(err)
	for _, p := range ports {
		out = append(out, fmt.Sprintf("world: port %s in VLAN %d and %v", p.Name, p.VLAN, p.Also))
	}
	pools, err := r.World.Balancer(BalancerSystem).Pools(ctx)
	fail(err)
	for _, pool := range pools {
		members, err := r.World.Balancer(BalancerSystem).Members(ctx, pool)
		fail(err)
		for _, m := range members {
			out = append(out, fmt.Sprintf("world: node %s/%s %s:%d %s", pool, m.Name, m.Address, m.Port, m.Mode))
		}
	}
	volumes, err := r.World.Array(ArraySystem).Volumes(ctx)
	fail(err)
	for _, v := range volumes {
		out = append(out, fmt.Sprintf("world: volume %s connected to %v, sessions of %v", v.Name, v.Initiators, v.Sessions))
	}
	for m := range fsm.Machines.By(r.Rows(), fsm.BySub, "") {
		if m.Kind == schema.MachinePhysical {
			out = append(out, fmt.Sprintf("world: machine %s is %s", m.Name, r.World.Machine(m.Name).Power))
		}
	}
	return out
}

// Doubles finds moments of the ledger at which two machines had one identity:
// both were on, with a port in the VLAN of that identity's group. Which identity
// a machine has tells the volume that it was connected to when it was started.
// The world is taken to have begun as physicalWorld makes it.
func Doubles(ledger []fake.Effect) []string {
	type machine struct{ volume, identity string }
	of := map[string]*machine{}
	wired := map[string]bool{} // port is in a VLAN
	get := func(name string) *machine {
		if of[name] == nil {
			of[name] = &machine{}
		}
		return of[name]
	}
	for i := 1; i <= 2; i++ {
		v := fmt.Sprintf("vol-db%02d", i)
		*get(fmt.Sprintf("ph%02d", i)) = machine{v, v}
		wired[fmt.Sprintf("p%d", i)] = true
	}
	var out []string
	for _, e := range ledger {
		what, who, _ := strings.Cut(e.Object, " ")
		switch e.Op {
		case fake.OpConnect:
			get(strings.TrimPrefix(who, InitiatorOf(""))).volume = what
		case fake.OpDisconnect:
			get(strings.TrimPrefix(who, InitiatorOf(""))).volume = ""
		case fake.HostPrefix + string(drivers.OpPowerOn):
			get(e.Object).identity = get(e.Object).volume
		case fake.HostPrefix + string(drivers.OpPowerOff), fake.HostPrefix + string(drivers.OpShutdown):
			get(e.Object).identity = ""
		case fake.OpVLANAdd:
			wired[what] = true
		case fake.OpVLANRemove:
			wired[what] = false
		}
		seen := map[string]string{}
		for _, name := range sortedKeys(of) {
			m := of[name]
			if m.identity == "" || !wired["p"+strings.TrimLeft(strings.TrimPrefix(name, "ph"), "0")] {
				continue
			}
			if other := seen[m.identity]; other != "" {
				out = append(out, fmt.Sprintf("after %s %s both %s and %s have the addresses that go with %s", e.Op, e.Object, other, name, m.identity))
			}
			seen[m.identity] = name
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
