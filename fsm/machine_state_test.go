package fsm_test

import (
	"slices"
	"testing"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// iron is a cluster with physical groups a and b of one specification, group c of
// another, and machines m1, m2 that are managed.
func iron(t *testing.T) *fsmtest.Cluster {
	c := bootstrapped(t)
	var docs []fsm.Document
	for group, model := range map[string]string{"a": "R1", "b": "R1", "c": "R9"} {
		docs = append(docs, doc("Group", group, `{'kind':'physical'}`), doc("Model", group+"/std", `{'model_name':'`+model+`'}`),
			doc("Host", group+"/h1", `{}`), doc("Host", group+"/h2", `{}`))
	}
	docs = append(docs, doc("Group", "bare", `{'kind':'physical'}`), doc("Host", "bare/h1", `{}`),
		doc("Machine", "m1", `{'kind':'physical','managed':true,'model_name':'R1','uuid':'00000000-0000-0000-0000-0000000000A1'}`),
		doc("Machine", "m2", `{'kind':'physical','managed':true,'model_name':'R1','nics':[{'mac':'52-54-00-00-00-02'}]}`))
	apply(t, c, docs...)
	return c
}

// TestStateTransitions walks the table of the manual's section 1.2.2.
func TestStateTransitions(t *testing.T) {
	c := iron(t)
	try := func(verb func(*fsm.Tx) error) schema.Kind {
		_, err := c.Try(verb)
		return schema.KindOf(err)
	}
	state := func() schema.RunState {
		m, _ := fsm.Machines.Get(c.Store().View(), "m1")
		return m.RunState()
	}
	activate := func(group, host string, master bool) func(*fsm.Tx) error {
		return func(tx *fsm.Tx) error {
			return fsm.Activate(tx, fsm.Activation{Machine: "m1", Group: group, Host: host, Master: master})
		}
	}
	one := func(verb func(*fsm.Tx, string) error) func(*fsm.Tx) error {
		return func(tx *fsm.Tx) error { return verb(tx, "m1") }
	}
	pool := func(verb func(*fsm.Tx, string, string) error, group string) func(*fsm.Tx) error {
		return func(tx *fsm.Tx) error { return verb(tx, "m1", group) }
	}
	for i, step := range []struct {
		name string
		verb func(*fsm.Tx) error
		kind schema.Kind
		then schema.RunState
	}{
		{"9: out of management", one(fsm.Unmanage), "", schema.StateKnown},
		{"not managed, not in a pool", pool(fsm.AddToPool, "a"), schema.KindConflict, schema.StateKnown},
		{"not managed, not in a group", activate("a", "h1", false), schema.KindConflict, schema.StateKnown},
		{"2: managed", one(fsm.Manage), "", schema.StateManaged},
		{"2 again", one(fsm.Manage), "", schema.StateManaged},
		{"not running, no standby", one(fsm.StandBy), schema.KindConflict, schema.StateManaged},
		{"not running, no release", one(fsm.Release), schema.KindConflict, schema.StateManaged},
		{"3: into the pool of a", pool(fsm.AddToPool, "a"), "", schema.StatePool},
		{"3: and of b", pool(fsm.AddToPool, "b"), "", schema.StatePool},
		{"c is of another specification", pool(fsm.AddToPool, "c"), schema.KindConflict, schema.StatePool},
		{"in a pool, stays managed", one(fsm.Unmanage), schema.KindConflict, schema.StatePool},
		{"no such group", activate("x", "h1", false), schema.KindGroupNotFound, schema.StatePool},
		{"no such host", activate("a", "h9", false), schema.KindHostSetting, schema.StatePool},
		{"no model", activate("bare", "h1", false), schema.KindConflict, schema.StatePool},
		{"of the wrong model", activate("c", "h1", false), schema.KindConflict, schema.StatePool},
		{"4: runs in a", activate("a", "h1", false), "", schema.StateRunning},
		{"runs already", activate("b", "h1", false), schema.KindInGroup, schema.StateRunning},
		{"stays in the pool it returns to", pool(fsm.RemoveFromPool, "a"), schema.KindConflict, schema.StateRunning},
		{"running, stays managed", one(fsm.Unmanage), schema.KindConflict, schema.StateRunning},
		{"6: standby", one(fsm.StandBy), "", schema.StatePool},
		{"4: runs in b", activate("b", "h2", false), "", schema.StateRunning},
		{"7: released, still in the pool of a", one(fsm.Release), "", schema.StatePool},
		{"8: out of the pool", pool(fsm.RemoveFromPool, "a"), "", schema.StateManaged},
		{"5: straight into a", activate("a", "h2", false), "", schema.StateRunning},
		{"10: no standby for it", one(fsm.StandBy), schema.KindConflict, schema.StateRunning},
		{"10: back to the common pool", one(fsm.Release), "", schema.StateManaged},
		{"3: into the pool of a again", pool(fsm.AddToPool, "a"), "", schema.StatePool},
		{"a master machine", activate("a", "h1", true), "", schema.StateRunning},
		{"returns to the common pool", one(fsm.Release), "", schema.StateManaged},
		{"9: out of management", one(fsm.Unmanage), "", schema.StateKnown},
	} {
		if kind := try(step.verb); kind != step.kind {
			t.Fatalf("step %d, %s: kind %q, want %q", i, step.name, kind, step.kind)
		}
		if got := state(); got != step.then {
			t.Fatalf("step %d, %s: state %s, want %s", i, step.name, got, step.then)
		}
		for h := range fsm.Hosts.All(c.Store().View()) {
			m, _ := fsm.Machines.Get(c.Store().View(), "m1")
			if bound := h.Machine == "m1"; bound != (m.Group == h.Group && m.Host == h.Name) {
				t.Fatalf("step %d, %s: host %s/%s is of %q, the machine has %s/%s", i, step.name, h.Group, h.Name, h.Machine, m.Group, m.Host)
			}
		}
	}
	if kind := try(func(tx *fsm.Tx) error { return fsm.Manage(tx, "nobody") }); kind != schema.KindMachineNotFound {
		t.Errorf("a machine that isn't there: %s", kind)
	}
}

func TestTwoMachinesCantHaveOneHost(t *testing.T) {
	c := iron(t)
	run := func(machine string) schema.Kind {
		_, err := c.Try(func(tx *fsm.Tx) error {
			return fsm.Activate(tx, fsm.Activation{Machine: machine, Group: "a", Host: "h1"})
		})
		return schema.KindOf(err)
	}
	if a, b := run("m1"), run("m2"); a != "" || b != schema.KindHostSetting {
		t.Errorf("first %q, second %q", a, b)
	}
}

func TestMachineDocumentsOfPhysicalMachines(t *testing.T) {
	c := iron(t)
	apply(t, c, doc("Machine", "m1", `{'group':'a','host':'h1','pool_groups':['a','b']}`))
	m, _ := fsm.Machines.Get(c.Store().View(), "m1")
	if m.Origin != "a" || m.Master || m.Uuid != "00000000-0000-0000-0000-0000000000a1" || m.Model != "std" {
		t.Errorf("taken from its pool: %v", m)
	}
	refuse(t, c, schema.KindConflict, []string{"model_name", "runs in group a"}, doc("Machine", "m1", `{'model_name':'R9'}`))
	refuse(t, c, schema.KindConflict, []string{"shuts it down"}, doc("Machine", "m1", `{'group':null}`))
	refuse(t, c, schema.KindConflict, []string{"a and c"}, doc("Machine", "m2", `{'model_name':null,'pool_groups':['a','c']}`))
	refuse(t, c, schema.KindConflict, []string{"model_name"}, doc("Model", "a/std", `{'model_name':'R2'}`))
	apply(t, c, doc("Machine", "m2", `{'group':'a','host':'h2','hardware_status':'normal'}`))
	m, _ = fsm.Machines.Get(c.Store().View(), "m2")
	if !m.Master || m.Nics[0].Mac != "52:54:00:00:00:02" || m.HardwareStatus != schema.HardwareNormal {
		t.Errorf("registered as it is: %v", m)
	}
	// What was only registered can be taken out by a document, and another can
	// have its host in the same call.
	apply(t, c, doc("Machine", "m3", `{'kind':'physical','model_name':'R1','group':'a','host':'h2'}`), doc("Machine", "m2", `{'group':null}`))
	h, _ := fsm.Hosts.Get(c.Store().View(), "a/h2")
	if h.Machine != "m3" {
		t.Errorf("host h2 is of %q", h.Machine)
	}
	running, pool, err := fsm.GroupMachines(c.Store().View(), "a")
	if err != nil || len(running) != 2 || len(pool) != 0 {
		t.Errorf("%v %v %v", running, pool, err)
	}
	if _, pool, _ = fsm.GroupMachines(c.Store().View(), "b"); len(pool) != 0 {
		t.Errorf("m1 runs in a and can't be used by b: %v", pool)
	}
}

func TestHeldMachineIsLeftAlone(t *testing.T) {
	c := demo(t)
	c.Do(func(tx *fsm.Tx) error {
		return fsm.Locks.Put(tx, &schema.Lock{Object: fsm.MachineLock("web01"), Job: "00001"})
	})
	refuse(t, c, schema.KindConflict, []string{"job 00001"}, doc("Machine", "web01", `{'group':null}`))
	apply(t, c, doc("Machine", "web01", `{'maintenance':true,'tags':['x']}`))
}

func TestAbnormalMachineIsMadeReady(t *testing.T) {
	c := demo(t)
	c.Do(func(tx *fsm.Tx) error {
		m, _ := fsm.Machines.Edit(tx, "web01")
		m.Status, m.StatusReason = schema.StatusAbnormal, "the clone failed"
		return fsm.Machines.Put(tx, m)
	})
	apply(t, c, doc("Machine", "web01", `{'status':'ready'}`))
	if m, _ := fsm.Machines.Get(c.Store().View(), "web01"); m.Status != schema.StatusReady || m.StatusReason != "" {
		t.Errorf("%s %q", m.Status, m.StatusReason)
	}
}

func TestMaintenance(t *testing.T) {
	c := demo(t)
	set := func(on bool, group, host string) ([]string, schema.Kind) {
		var names []string
		_, err := c.Try(func(tx *fsm.Tx) (err error) {
			names, err = fsm.SetMaintenance(tx, on, group, host)
			return err
		})
		return names, schema.KindOf(err)
	}
	if names, kind := set(true, "shop¥web", "web03"); kind != "" || !slices.Equal(names, []string{"web03"}) {
		t.Errorf("%v %s", names, kind)
	}
	if names, kind := set(true, "web", ""); kind != "" || len(names) != 12 {
		t.Errorf("%v %s", names, kind)
	}
	if m, _ := fsm.Machines.Get(c.Store().View(), "web12"); !m.Maintenance {
		t.Error("web12 isn't in maintenance")
	}
	apply(t, c, doc("Group", "empty", `{}`))
	for want, path := range map[schema.Kind][2]string{
		schema.KindGroupNotFound: {"nowhere", ""}, schema.KindMachineNotFound: {"web", "spare01"}, schema.KindTooFewHosts: {"empty", ""},
	} {
		if _, kind := set(false, path[0], path[1]); kind != want {
			t.Errorf("%v: %s, want %s", path, kind, want)
		}
	}
}

func TestPolicyOfGroupAndModel(t *testing.T) {
	c := demo(t)
	set := func(path, policy string) schema.Kind {
		_, err := c.Try(func(tx *fsm.Tx) error { return fsm.SetPolicy(tx, path, policy) })
		return schema.KindOf(err)
	}
	for _, tt := range []struct {
		path, policy string
		want         schema.Kind
	}{
		{"web", "standard", ""}, {"web/web-vm", "standard-vms", ""}, {"web", "no", schema.KindPolicyNotFound},
		{"x", "standard", schema.KindGroupNotFound}, {"shop", "standard", schema.KindGroupNotFound}, {"vmservers", "", ""},
	} {
		if got := set(tt.path, tt.policy); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.path, got, tt.want)
		}
	}
	got, err := fsm.ShowPolicy(c.Store().View(), "")
	if err != nil || len(got) != 2 || got[0].Policy != "" || got[1].Policy != "standard" || got[1].Models[0].Policy != "standard-vms" {
		t.Errorf("%+v %v", got, err)
	}
	if got, err = fsm.ShowPolicy(c.Store().View(), "shop"); err != nil || len(got) != 1 || got[0].Name != "web" {
		t.Errorf("%+v %v", got, err)
	}
}

func TestArmedState(t *testing.T) {
	c := demo(t)
	s := c.Store()
	arm := func(category string, disarm bool) schema.Kind {
		_, err := s.Update(t.Context(), fsm.Why{User: "eve", Reason: "firmware"}, func(tx *fsm.Tx) error { return fsm.SetArmed(tx, category, disarm) })
		return schema.KindOf(err)
	}
	check := func(group string, armed bool, where string) {
		t.Helper()
		got, d, at := fsm.ArmedState(s.View(), group)
		if got != armed || at != where || !armed && (d.By != "eve" || d.Reason != "firmware") {
			t.Errorf("%s: %v %v %q, want %v %q", group, got, d, at, armed, where)
		}
	}
	apply(t, c, doc("Category", "shop/eu", `{}`), doc("Group", "shop/eu/api", `{}`))
	check("api", true, "")
	if kind := arm("shop", true); kind != "" {
		t.Fatal(kind)
	}
	check("api", false, "category shop")
	check("vmservers", true, "")
	check("", true, "")
	if kind := arm("", true); kind != "" {
		t.Fatal(kind)
	}
	check("vmservers", false, "cluster")
	check("", false, "cluster")
	arm("", false)
	arm("shop", false)
	check("api", true, "")
	if kind := arm("nowhere", true); kind != schema.KindGroupNotFound {
		t.Error(kind)
	}
}

func TestDeleteMachineFreesItsHost(t *testing.T) {
	c := demo(t)
	c.Do(func(tx *fsm.Tx) error { return fsm.DeleteMachine(tx, "web01") })
	v := c.Store().View()
	h, _ := fsm.Hosts.Get(v, "web/web01")
	if _, ok := fsm.Machines.Get(v, "web01"); ok || h.Machine != "" {
		t.Errorf("still there: %v, host of %q", ok, h.Machine)
	}
	c.Do(func(tx *fsm.Tx) error { return fsm.DeleteMachine(tx, "web01") })
	if c.Store().View().Index() != v.Index() {
		t.Error("deleting what isn't there changed something")
	}
}
