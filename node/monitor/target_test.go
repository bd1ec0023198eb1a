package monitor

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// TestShare holds that each machine has one manager, that shares are alike, and
// that a manager that goes or comes moves its own share only.
func TestShare(t *testing.T) {
	const machines = 3000
	var all []Target
	for i := range machines {
		all = append(all, Target{Machine: fmt.Sprintf("ph%04d", i)})
	}
	of := func(live ...string) map[string]string {
		out := map[string]string{}
		for _, node := range live {
			share := Share(all, live, node)
			if n := len(share) * len(live); n < machines*8/10 || n > machines*12/10 {
				t.Errorf("%s of %v polls %d of %d", node, live, len(share), machines)
			}
			for _, target := range share {
				if other := out[target.Machine]; other != "" {
					t.Errorf("%s is polled by %s and %s", target.Machine, other, node)
				}
				out[target.Machine] = node
			}
		}
		if len(out) != machines {
			t.Errorf("%v poll %d of %d", live, len(out), machines)
		}
		return out
	}
	three, two := of("m1", "m2", "m3"), of("m1", "m3")
	for name, node := range three {
		if node != "m2" && two[name] != node {
			t.Errorf("%s moved from %s to %s when m2 went", name, node, two[name])
		}
	}
}

func TestTargets(t *testing.T) {
	c := fsmtest.New(t)
	var sealed []byte
	c.Do(func(tx *fsm.Tx) error {
		sealed = tx.Sealer().Seal([]byte("secret"))
		now := timestamppb.New(tx.Now())
		put := func(m *schema.Machine) error {
			m.Kind, m.Managed, m.Model, m.HardwareStatus = schema.MachinePhysical, true, "m", "normal"
			return fsm.Machines.Put(tx, m)
		}
		for _, err := range []error{
			fsm.Groups.Put(tx, &schema.Group{Name: "db", Monitoring: &schema.Monitoring{Kind: schema.MonitorSNMP, Community: sealed}}),
			fsm.Groups.Put(tx, &schema.Group{Name: "web", Monitoring: &schema.Monitoring{Kind: schema.MonitorTCP, Port: 22, IntervalSeconds: 30, Misses: 5}}),
			fsm.Groups.Put(tx, &schema.Group{Name: "quiet"}),
			fsm.Hosts.Put(tx, &schema.Host{Group: "db", Name: "db01", Machine: "ph01", Nics: []*schema.HostNIC{{}, {Addresses: []*schema.Address{{Ip: "192.0.2.1", Prefix: 24}, {Ip: "192.0.2.2", Prefix: 24}}}}}),
			fsm.Hosts.Put(tx, &schema.Host{Group: "web", Name: "web01", Machine: "ph02"}),
			put(&schema.Machine{Name: "ph01", Group: "db", Host: "db01", Power: "on", Status: "ready", Monitored: now, Address: "192.0.2.9"}),
			put(&schema.Machine{Name: "ph02", Group: "web", Host: "web01", Power: "unknown", Status: "abnormal", Monitored: now, Address: "ph02.example"}),
			put(&schema.Machine{Name: "ph03", Group: "web", Host: "web03", Power: "on", Status: "ready", Monitored: now}),                                          // no address
			put(&schema.Machine{Name: "ph04", Group: "web", Host: "web04", Power: "off", Status: "ready", Monitored: now, Address: "192.0.2.4"}),                   // off on purpose
			put(&schema.Machine{Name: "ph05", Group: "web", Host: "web05", Power: "on", Status: "in-use", Monitored: now, Address: "192.0.2.5"}),                   // a job works on it
			put(&schema.Machine{Name: "ph06", Group: "web", Host: "web06", Power: "on", Status: "ready", Maintenance: true, Monitored: now, Address: "192.0.2.6"}), // in maintenance
			put(&schema.Machine{Name: "ph07", Group: "web", Host: "web07", Power: "on", Status: "ready", Address: "192.0.2.7"}),                                    // not registered
			put(&schema.Machine{Name: "ph08", Group: "quiet", Host: "q1", Power: "on", Status: "ready", Monitored: now, Address: "192.0.2.8"}),                     // its group isn't monitored
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	got := Targets(c.Store().View(), c.Store().Sealer().Open)
	want := []Target{
		{Machine: "ph01", Address: "192.0.2.1", Kind: "snmp", Port: 161, Community: "secret", Interval: 10 * time.Second, Misses: 3},
		{Machine: "ph02", Address: "ph02.example", Kind: "tcp", Port: 22, Interval: 30 * time.Second, Misses: 5},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("targets\n%v, want\n%v", got, want)
	}
}
