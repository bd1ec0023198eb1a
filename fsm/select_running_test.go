package fsm_test

import (
	"testing"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// shared is a cluster with two groups that share machines: a1 and a2 run in
// src and stand in dst's pool, a3 runs in src alone, a4 runs in dst.
func shared(t testing.TB) *fsmtest.Cluster {
	t.Helper()
	c := bootstrapped(t)
	apply(t, c, doc("Category", "c", `{}`),
		doc("Group", "c/src", `{'kind':'physical'}`), doc("Model", "src/m", `{}`), doc("Group", "c/dst", `{'kind':'physical'}`), doc("Model", "dst/m", `{}`),
		doc("Host", "src/s1", `{}`), doc("Host", "src/s2", `{}`), doc("Host", "src/s3", `{}`),
		doc("Host", "dst/d1", `{}`), doc("Host", "dst/d2", `{}`), doc("Host", "dst/d3", `{}`),
		blade("a1", `'group':'src','host':'s1','pool_groups':['src','dst']`), blade("a2", `'group':'src','host':'s2','pool_groups':['dst']`),
		blade("a3", `'group':'src','host':'s3','pool_groups':['src']`), blade("a4", `'group':'dst','host':'d1','pool_groups':['dst']`))
	for _, name := range []string{"a1", "a2", "a3", "a4"} {
		edit(c, name, func(m *schema.Machine) { m.Power = schema.PowerOn })
	}
	return c
}

func TestPickForChange(t *testing.T) {
	c := shared(t)
	pick := func(machine string) (fsm.Choice, error) {
		return fsm.PickForChange(c.Store().View(), ref(t, c, "dst"), ref(t, c, "src"), machine, nil)
	}
	choice, err := pick("")
	if err != nil || choice.Machine.Name != "a1" || choice.Host.Name != "d2" || choice.Model.Group != "dst" {
		t.Fatalf("%+v, %v", choice, err)
	}
	edit(c, "a2", func(m *schema.Machine) { m.Power = schema.PowerOff })
	if choice, err = pick(""); err != nil || choice.Machine.Name != "a2" {
		t.Errorf("one that is off goes first: %+v, %v", choice, err)
	}
	if choice, err = pick("a1"); err != nil || choice.Machine.Name != "a1" {
		t.Errorf("%+v, %v", choice, err)
	}
	_, err = pick("a3")
	has(t, err, schema.KindGroupUnusable, "a3: it isn't in the pool of the destination")
	_, err = pick("a4")
	has(t, err, schema.KindTooFewMachines, "a4: it runs in group dst as host d1")
	edit(c, "a1", func(m *schema.Machine) { m.HardwareStatus = schema.HardwareFailed })
	_, err = pick("a1")
	has(t, err, schema.KindTooFewMachines, "a1: its hardware is failed")
	edit(c, "a2", func(m *schema.Machine) { m.Maintenance = true })
	_, err = pick("")
	has(t, err, schema.KindTooFewMachines, "a1: its hardware", "a2: it is in maintenance", "a3: it isn't in the pool")
	// From a category to a category: the groups below it that differ.
	edit(c, "a2", func(m *schema.Machine) { m.Maintenance = false })
	choice, err = fsm.PickForChange(c.Store().View(), ref(t, c, "c"), ref(t, c, "c"), "", nil)
	if err != nil || choice.Machine.Name != "a2" || choice.Host.Group != "dst" {
		t.Errorf("%+v, %v", choice, err)
	}
	apply(t, c, doc("Group", "c/src", `{'priority':9}`), doc("Host", "src/s4", `{}`)) // not to the group that it runs in, though its pool and a host are there
	choice, err = fsm.PickForChange(c.Store().View(), ref(t, c, "c"), ref(t, c, "c"), "", nil)
	if err != nil || choice.Host.Group == choice.Machine.Group {
		t.Errorf("%+v, %v", choice, err)
	}
	edit(c, "a2", func(m *schema.Machine) { m.Maintenance = true })
	edit(c, "a1", func(m *schema.Machine) { m.HardwareStatus = schema.HardwareNormal })
	choice, err = fsm.PickForChange(c.Store().View(), ref(t, c, "c"), ref(t, c, "c"), "", nil)
	if err != nil || choice.Machine.Name != "a1" || choice.Host.Group != "dst" {
		t.Errorf("%+v, %v", choice, err)
	}
	_, err = fsm.PickForChange(c.Store().View(), ref(t, c, "src"), ref(t, c, "src"), "", nil)
	has(t, err, schema.KindGroupUnusable, "one group")
	// No host setting is free: the destination can't take it (exit code 3, not 4).
	c.Do(func(tx *fsm.Tx) error { return fsm.TakeLocks(tx, "00001", []string{fsm.Exclusive("host", "dst/d2")}) })
	c.Do(func(tx *fsm.Tx) error { return fsm.Hosts.Delete(tx, "dst/d3") })
	_, err = pick("")
	has(t, err, schema.KindGroupUnusable, "d1: machine a4 runs under it", "d2: job 00001 works with it")
}

func TestPickForChangeByModel(t *testing.T) {
	c := shared(t)
	apply(t, c, doc("Model", "dst/r120", `{'model_name':'R120','priority':9}`))
	choice, err := fsm.PickForChange(c.Store().View(), ref(t, c, "dst"), ref(t, c, "src"), "", nil)
	if err != nil || choice.Model.Name != "m" {
		t.Errorf("%+v, %v", choice, err)
	}
	_, err = fsm.PickForChange(c.Store().View(), ref(t, c, "dst/r120"), ref(t, c, "src"), "", nil)
	has(t, err, schema.KindTooFewMachines, `a1, a2: its model name is none, model r120 is for "R120"`, "a3: it isn't in the pool")
}

func TestVMsAreNotRepurposed(t *testing.T) {
	c := demo(t)
	apply(t, c, doc("Group", "dst", `{'kind':'physical'}`), doc("Model", "dst/m", `{}`), doc("Host", "dst/h", `{}`))
	for _, paths := range [][2]string{{"dst", "web"}, {"web", "dst"}} {
		_, err := fsm.PickForChange(c.Store().View(), ref(t, c, paths[0]), ref(t, c, paths[1]), "", nil)
		has(t, err, schema.KindGroupUnusable, "shop/web", "VMs")
	}
}

func TestPickToLeave(t *testing.T) {
	c := shared(t)
	pick := func(path string, not func(string) bool) string {
		t.Helper()
		m, why, err := fsm.PickToLeave(c.Store().View(), ref(t, c, path), "", not)
		if err != nil {
			t.Fatal(err)
		}
		if why == "" {
			t.Error("no reason")
		}
		return m.Name
	}
	if got := pick("src", nil); got != "a1" {
		t.Errorf("%s", got)
	}
	edit(c, "a2", func(m *schema.Machine) { m.Power = schema.PowerOff })
	if got := pick("src", nil); got != "a2" {
		t.Errorf("one that is off first: %s", got)
	}
	edit(c, "a3", func(m *schema.Machine) { m.HardwareStatus = schema.HardwareFailed })
	if got := pick("src", nil); got != "a3" {
		t.Errorf("one with a fault first: %s", got)
	}
	edit(c, "a3", func(m *schema.Machine) { m.Maintenance = true })
	if got := pick("src", nil); got != "a2" {
		t.Errorf("one in maintenance last: %s", got)
	}
	if got := pick("src", func(m string) bool { return m != "a3" }); got != "a3" {
		t.Errorf("%s", got)
	}
	apply(t, c, doc("Group", "src", `{'priority':1}`))
	if got := pick("c", nil); got != "a4" {
		t.Errorf("the group of the lowest priority first: %s", got)
	}
	_, _, err := fsm.PickToLeave(c.Store().View(), ref(t, c, "dst"), "", func(string) bool { return true })
	has(t, err, schema.KindTooFewHosts, "a4: a job works on it")
	if m, _, err := fsm.PickToLeave(c.Store().View(), ref(t, c, "dst"), "d1", func(string) bool { return true }); err != nil || m.Name != "a4" {
		t.Errorf("a job on a named one is waited for: %v, %v", m, err)
	}
	_, _, err = fsm.PickToLeave(c.Store().View(), ref(t, c, "dst"), "d2", nil)
	has(t, err, schema.KindMachineNotFound, "d2")
}

// TestLoadedVMServersStay: one with a VM that is on isn't shut down [5.2.7].
func TestLoadedVMServersStay(t *testing.T) {
	c := demo(t)
	_, _, err := fsm.PickToLeave(c.Store().View(), ref(t, c, "vmservers"), "", nil)
	has(t, err, schema.KindTooFewHosts, "esx01: VM", "runs on it", "esx04")
	_, _, err = fsm.PickToLeave(c.Store().View(), ref(t, c, "vmservers"), "esx01", nil)
	has(t, err, schema.KindTooFewHosts, "esx01", "runs on it")
	for vm := range fsm.Machines.By(c.Store().View(), fsm.ByServer, "esx02") {
		edit(c, vm.Name, func(m *schema.Machine) { m.Power = schema.PowerSuspended })
	}
	_, _, err = fsm.PickToLeave(c.Store().View(), ref(t, c, "vmservers"), "esx02", nil)
	has(t, err, schema.KindTooFewHosts, "esx02", "runs on it") // who knows what is in its memory
	first := true
	for vm := range fsm.Machines.By(c.Store().View(), fsm.ByServer, "esx02") {
		gone := first
		edit(c, vm.Name, func(m *schema.Machine) {
			if m.Gone = gone; !gone {
				m.Power = schema.PowerOff
			}
		})
		first = false
	}
	if m, _, err := fsm.PickToLeave(c.Store().View(), ref(t, c, "vmservers"), "", nil); err != nil || m.Name != "esx02" {
		t.Errorf("%v, %v", m, err)
	}
}
