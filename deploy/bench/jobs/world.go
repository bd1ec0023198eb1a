package main

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/drivers"
	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/schema"
)

// Systems of the simulated world.
const (
	switchSystem   = "sw1"
	balancerSystem = "lb1"
	arraySystem    = "array1"
	distSystem     = "dist1"
	firstVLAN      = 100
	unusedVLAN     = 4000
)

// world makes n groups of one running machine and one in the pool each, with a
// VLAN, a load-balancing group, a volume and software of their own.
func world(n int) *fake.World {
	w := fake.New(fake.Options{})
	var ports []string
	for i := range n {
		ports = append(ports, port("a", i), port("b", i))
	}
	w.AddSwitch(switchSystem, ports, unusedVLAN)
	w.AddScenario(distSystem, "setup")
	for i := range n {
		w.AddPhysical(machine("a", i), fake.Physical{Power: drivers.PowerOn, NICs: []drivers.NIC{{MAC: mac("a", i)}}})
		w.AddPhysical(machine("b", i), fake.Physical{NICs: []drivers.NIC{{MAC: mac("b", i)}}})
		w.AddVolume(arraySystem, volume(i))
		w.Array(arraySystem).Attach(volume(i), initiator("a", i))
		w.AddPool(balancerSystem, group(i), drivers.Member{Name: host(i), Address: address(i), Port: 80})
		if _, err := w.Switch(switchSystem).AddToVLAN(context.Background(), drivers.Call{}, port("a", i), drivers.VLAN{Name: group(i), ID: firstVLAN + i}); err != nil {
			panic(err) // a mistake of this program
		}
	}
	w.ResetLedger()
	return w
}

func group(i int) string              { return fmt.Sprintf("group%03d", i) }
func host(i int) string               { return fmt.Sprintf("host%03d", i) }
func volume(i int) string             { return fmt.Sprintf("volume%03d", i) }
func address(i int) string            { return fmt.Sprintf("192.0.2.%d", i+1) }
func machine(ab string, i int) string { return fmt.Sprintf("%s%03d", ab, i) }
func port(ab string, i int) string    { return fmt.Sprintf("p-%s%03d", ab, i) }
func initiator(ab string, i int) string {
	return "iqn.2026-01.example.fake:" + machine(ab, i)
}
func mac(ab string, i int) string { return fmt.Sprintf("52:54:00:00:%s0:%02x", ab, i) }

// rows are the groups as the configuration database has them.
func rows(tx *fsm.Tx, n int) error {
	const wide = 1000 // operations at once: the bound of a subsystem isn't what is measured
	puts := []error{
		fsm.Subsystems.Put(tx, &schema.Subsystem{Name: switchSystem, Kind: "ovs", Address: "127.0.0.1:6640", MaxOperations: wide}),
		fsm.Subsystems.Put(tx, &schema.Subsystem{Name: balancerSystem, Kind: "haproxy", Address: "127.0.0.1:9999", MaxOperations: wide}),
		fsm.Subsystems.Put(tx, &schema.Subsystem{Name: arraySystem, Kind: "tgt", MaxOperations: wide}),
		fsm.Subsystems.Put(tx, &schema.Subsystem{Name: distSystem, Kind: "ansible", MaxOperations: wide}),
		fsm.SoftwareItems.Put(tx, &schema.Software{Name: "setup", Kind: schema.SoftwareScenario, Subsystem: distSystem}),
	}
	for i := range n {
		puts = append(puts,
			fsm.Vlans.Put(tx, &schema.Vlan{Name: group(i), Id: int32(firstVLAN + i)}),
			fsm.LoadBalancers.Put(tx, &schema.LoadBalancer{Name: group(i), Subsystem: balancerSystem, Port: 80}),
			fsm.Groups.Put(tx, &schema.Group{
				Name: group(i), Kind: schema.MachinePhysical, Vlans: []string{group(i)}, LoadBalancers: []string{group(i)},
				Monitoring: &schema.Monitoring{Kind: "tcp", Port: 1, IntervalSeconds: 3600}, Software: &schema.SoftwareSlots{Run: []string{"setup"}, Standby: []string{"setup"}},
			}),
			fsm.Models.Put(tx, &schema.Model{Group: group(i), Name: "server", Kind: schema.MachinePhysical}),
			fsm.Hosts.Put(tx, &schema.Host{
				Group: group(i), Name: host(i), Nics: []*schema.HostNIC{{Addresses: []*schema.Address{{Ip: address(i), Prefix: 24}}}},
				Volumes: []*schema.Volume{{Subsystem: arraySystem, Name: volume(i)}},
			}),
		)
		for _, ab := range []string{"a", "b"} {
			m := &schema.Machine{
				Name: machine(ab, i), Uuid: fake.UUIDOf(machine(ab, i)), Kind: schema.MachinePhysical, Managed: true, Power: schema.PowerOff,
				HardwareStatus: schema.HardwareNormal, Status: schema.StatusReady, ModelName: "fake", PoolGroups: []string{group(i)},
				Nics: []*schema.NIC{{Mac: mac(ab, i), Network: switchSystem, Port: port(ab, i)}}, Initiators: []string{initiator(ab, i)},
				Bmc: &schema.Bmc{Kind: "redfish", Address: "https://bmc.example"},
			}
			if ab == "a" {
				m.Power, m.Monitored = schema.PowerOn, timestamppb.New(tx.Now())
			}
			puts = append(puts, fsm.Machines.Put(tx, m))
		}
		puts = append(puts, fsm.Activate(tx, fsm.Activation{Machine: machine("a", i), Group: group(i), Host: host(i)}))
	}
	for _, err := range puts {
		if err != nil {
			return err
		}
	}
	return nil
}

// clients are the drivers of the simulated world.
type clients struct{ w *fake.World }

func (c clients) Hypervisor(context.Context, string) (drivers.Hypervisor, error) {
	return c.w.Hypervisor(), nil
}
func (c clients) Power(context.Context, string) (drivers.Power, error) { return c.w.Power(), nil }
func (c clients) Hardware(context.Context, string) (drivers.Hardware, error) {
	return c.w.Hardware(), nil
}
func (c clients) Switch(_ context.Context, s string) (drivers.Switch, error) {
	return c.w.Switch(s), nil
}
func (c clients) Balancer(_ context.Context, s string) (drivers.Balancer, error) {
	return c.w.Balancer(s), nil
}
func (c clients) Storage(_ context.Context, s string) (drivers.Storage, error) {
	return c.w.Array(s), nil
}
func (c clients) Distributor(_ context.Context, s string) (drivers.Distributor, error) {
	return c.w.Distributor(s), nil
}
func (c clients) Close() {}
