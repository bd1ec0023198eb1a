package node_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/schema"
	"yagura/node"
	"yagura/node/monitor"
	"yagura/node/nodetest"
	"yagura/node/performance/snmpdtest"
	"yagura/rpc/api"
)

// sampledGroup is a group whose physical machines are sampled by SNMP, once a second.
func sampledGroup(tx *fsm.Tx, agent *snmpdtest.Agent, policy string, thresholds []*schema.Threshold, machines map[string]string) error {
	err := fsm.Groups.Put(tx, &schema.Group{
		Name: "db", Kind: schema.MachinePhysical, Policy: policy, Thresholds: thresholds,
		Performance: &schema.Performance{IntervalSeconds: 1, Port: int32(agent.Port), Community: tx.Sealer().Seal([]byte(snmpdtest.Community))},
	})
	for name, address := range machines {
		if err == nil {
			err = fsm.Machines.Put(tx, &schema.Machine{
				Name: name, Kind: schema.MachinePhysical, Power: schema.PowerOn, HardwareStatus: "normal", Status: schema.StatusReady, Managed: true,
				Group: "db", Host: name, Model: "m", Address: address,
			})
		}
	}
	return err
}

// ofSamples are the events that samples have raised: target, event and count,
// in the order of the text; by are the managers that saw them.
func ofSamples(c *nodetest.Cluster) (told, by []string) {
	for e := range fsm.Events.All(c.Node(c.WaitLeader()).Store().View()) {
		if e.Source == fsm.PerformanceSource {
			told = append(told, fmt.Sprintf("%s %s %d", e.Target, e.EventId, e.Count))
			by = append(by, e.Node)
		}
	}
	slices.Sort(told)
	return told, by
}

// TestPerformanceEvents holds that each event of the catalog's list is raised
// by samples, of net-snmp's agent for physical machines and of the hypervisor's
// manager for VM servers, and what the standard policies decide on it.
func TestPerformanceEvents(t *testing.T) {
	t.Parallel()
	agent := snmpdtest.Start(t, "127.0.0.1")
	agent.SetLoad(97, 50, 30)
	w := fake.Demo(fake.Options{})
	c := nodetest.New(t, 1, func(_ int, cfg *node.Config) {
		cfg.Drivers = func(*fsm.Store) node.DriverSource { return fakeDrivers{w: w} }
	})
	c.WaitReady()
	store := c.Node(0).Store()
	c.Update("demo", func(tx *fsm.Tx) error {
		if err := fsm.Subsystems.Put(tx, &schema.Subsystem{Name: w.System(), Kind: "vcenter", Address: "https://127.0.0.1", AutoManage: true}); err != nil {
			return err
		}
		_, err := fsm.RequestCollect(tx, w.System())
		return err
	})
	c.Wait("the inventory", func() bool {
		m, ok := fsm.Machines.Get(store.View(), "web12")
		return ok && m.VmServer == "esx04" && len(fsm.LiveJobs(store.View())) == 0
	})

	// Every event has a threshold that the machines are beyond.
	type row struct{ policy, decision, action string }
	want := map[string]row{
		"esx01 11000006": {"standard-vms-powersave", schema.DecisionActed, "vms-load-balance not-carried-out"}, // VM placement is off for its model
		"esx01 11000007": {"standard-vms-powersave", schema.DecisionActed, "vms-power-save not-carried-out"},
	}
	var ofMachines, ofServers []*schema.Threshold
	n := 0
	for _, e := range catalog.Events() {
		switch {
		case e.Notifier != schema.NotifierPerf:
			continue
		case e.Category != "vm-server":
			ofMachines = append(ofMachines, &schema.Threshold{Event: e.ID, Metric: schema.MetricCPU, Value: 90, Times: 2})
			want["ph01 "+e.ID] = row{"standard", schema.DecisionIgnored, "do-nothing done"}
		default:
			// High load and low load at once: above little, and below much.
			ofServers = append(ofServers, &schema.Threshold{Event: e.ID, Metric: schema.MetricCPU, Value: map[string]int32{"11000006": 1, "11000007": 99}[e.ID], Below: e.ID == "11000007", Times: 1})
		}
		n++
	}
	if n != 17 || len(want) != 17 {
		t.Fatalf("the catalog has %d events of %s, the table %d", n, schema.NotifierPerf, len(want))
	}
	c.Update("groups", func(tx *fsm.Tx) error {
		if err := fsm.Groups.Put(tx, &schema.Group{
			Name: "vms", Kind: schema.MachineVMServer, Policy: "standard-vms-powersave", Performance: &schema.Performance{IntervalSeconds: 1}, Thresholds: ofServers,
		}); err != nil {
			return err
		}
		if err := fsm.Groups.Put(tx, &schema.Group{Name: "web", Kind: schema.MachineVM, Performance: &schema.Performance{IntervalSeconds: 1}}); err != nil {
			return err
		}
		for name, group := range map[string]string{"esx01": "vms", "web01": "web"} {
			m, _ := fsm.Machines.Edit(tx, name)
			m.Managed, m.Group, m.Host, m.Model = true, group, name, "m"
			if err := fsm.Machines.Put(tx, m); err != nil {
				return err
			}
		}
		return sampledGroup(tx, agent, "standard", ofMachines, map[string]string{"ph01": "127.0.0.1"})
	})
	got := map[string]row{}
	c.Wait("all events to be decided on", func() bool {
		clear(got)
		for e := range fsm.Events.All(store.View()) {
			if e.Source != fsm.PerformanceSource || e.State != schema.EventHandled {
				continue
			}
			var actions []string
			for _, a := range e.Actions {
				actions = append(actions, a.Action+" "+a.Result)
			}
			m, _ := fsm.Machines.Get(store.View(), e.Target)
			g, _ := fsm.Groups.Get(store.View(), m.Group)
			got[e.Target+" "+e.EventId] = row{g.Policy, e.Decision, strings.Join(actions, ", ")}
		}
		return len(got) >= len(want)
	})
	for event, r := range want {
		if got[event] != r {
			t.Errorf("%s: %q, want %q", event, got[event], r)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d events, want %d", len(got), len(want))
	}

	// The samples themselves.
	cl := c.Client(0)
	for name, metrics := range map[string][]string{"ph01": {"cpu", "memory", "disk"}, "esx01": {"cpu", "memory"}, "web01": {"cpu", "memory"}} {
		c.Wait("samples of "+name, func() bool {
			reply, err := cl.Inventory.Performance(t.Context(), &api.PerformanceRequest{Machine: name})
			if err != nil {
				t.Fatal(err)
			}
			var have []string
			for _, s := range reply.Series {
				have = append(have, s.Metric)
			}
			return slices.Equal(have, metrics)
		})
	}
	reply, err := cl.Inventory.Performance(t.Context(), &api.PerformanceRequest{Machine: "ph01", Metric: schema.MetricDisk, SinceSeconds: 3600})
	if err != nil || len(reply.Series) != 1 || reply.Series[0].Samples[0].Value != 30 || reply.Series[0].Samples[0].Manager != nodetest.ID(0) {
		t.Errorf("disk of ph01: %v, %v", reply, err)
	}
	if reply, err = cl.Inventory.Performance(t.Context(), &api.PerformanceRequest{Machine: "ph01"}); err != nil || len(reply.Thresholds) != 15 || len(reply.Crossed) != 15 {
		t.Errorf("thresholds of ph01: %v, %v", reply, err)
	}
}

// TestPerformance holds that the managers share the sampling of machines, that
// each crossing and each recovery is one event, though the manager that sampled
// the machine died in between, and that any manager shows the samples of all.
func TestPerformance(t *testing.T) {
	t.Parallel()
	live := []string{nodetest.ID(0), nodetest.ID(1), nodetest.ID(2)}
	share := map[string][]string{}
	machines := map[string]string{} // their addresses
	var hosts []string
	for i := 0; len(machines) < 6; i++ {
		name := fmt.Sprintf("ph%02d", i)
		if owner := monitor.Owner(name, live); len(share[owner]) < 2 {
			share[owner] = append(share[owner], name)
			machines[name] = fmt.Sprintf("127.78.0.%d", i+1)
			hosts = append(hosts, machines[name])
		}
	}
	agent := snmpdtest.Start(t, hosts...)
	agent.SetLoad(20, 50, 30)
	c := nodetest.New(t, 3, nil)
	c.WaitReady()
	c.Update("machines", func(tx *fsm.Tx) error {
		return sampledGroup(tx, agent, "", []*schema.Threshold{{Event: "10000001", Metric: schema.MetricMemory, Value: 80, Times: 2, Recovery: "10000002"}}, machines)
	})
	cl := c.Client(0)
	sampledBy := func(name, manager string) bool {
		reply, err := cl.Inventory.Performance(t.Context(), &api.PerformanceRequest{Machine: name, Metric: schema.MetricMemory})
		if err != nil {
			t.Fatal(err)
		}
		return len(reply.Series) == 1 && reply.Series[0].Samples[len(reply.Series[0].Samples)-1].Manager == manager
	}
	for manager, names := range share {
		for _, name := range names {
			c.Wait(name+" to be sampled by "+manager, func() bool { return sampledBy(name, manager) })
		}
	}
	var crossed, recovered []string
	for name := range machines {
		crossed = append(crossed, name+" 10000001 1")
		recovered = append(recovered, name+" 10000001 1", name+" 10000002 1")
	}
	slices.Sort(crossed)
	slices.Sort(recovered)
	is := func(want []string) func() bool {
		return func() bool {
			told, _ := ofSamples(c)
			return slices.Equal(told, want)
		}
	}
	agent.SetLoad(20, 95, 30)
	c.Wait("all to cross", is(crossed))
	_, by := ofSamples(c)
	slices.Sort(by)
	if by = slices.Compact(by); !slices.Equal(by, live) {
		t.Errorf("told by %q", by)
	}
	dead := c.WaitLeader()
	c.Kill(dead)
	cl = c.Client((dead + 1) % 3)
	for _, name := range share[nodetest.ID(dead)] {
		c.Wait(name+" to be sampled by another manager", func() bool {
			return sampledBy(name, nodetest.ID((dead+1)%3)) || sampledBy(name, nodetest.ID((dead+2)%3))
		})
	}
	reply, err := cl.Inventory.Performance(t.Context(), &api.PerformanceRequest{Machine: share[nodetest.ID(dead)][0]})
	if err != nil || !slices.ContainsFunc(reply.Problems, func(p string) bool { return strings.Contains(p, nodetest.ID(dead)+" doesn't tell") }) || len(reply.Crossed) != 1 {
		t.Errorf("with a manager dead: %v, %v", reply, err)
	}
	agent.SetLoad(20, 50, 30)
	c.Wait("all to recover", is(recovered))
	for e := range fsm.Events.All(c.Node(c.WaitLeader()).Store().View()) {
		if e.EventId == "10000002" && e.Node == nodetest.ID(dead) {
			t.Errorf("%s tells on, which was killed", e.Node)
		}
	}
	if _, err := cl.Inventory.Performance(t.Context(), &api.PerformanceRequest{Machine: "nobody"}); schema.KindOf(err) != schema.KindMachineNotFound {
		t.Errorf("samples of nobody: %v", err)
	}
	if _, err := cl.Inventory.Performance(t.Context(), &api.PerformanceRequest{Machine: "ph01", Metric: "heat"}); err == nil {
		t.Error("samples of heat are given")
	}
}
