package fsm_test

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// checkReferences fails the test when a row refers to one that isn't there, or
// when two rows that must agree don't.
func checkReferences(t interface{ Errorf(string, ...any) }, v *fsm.View) {
	for m := range fsm.Machines.All(v) {
		if m.Group != "" {
			h, ok := fsm.Hosts.Get(v, fsm.GroupKey(m.Group, m.Host))
			if !ok || h.Machine != m.Name {
				t.Errorf("machine %s runs as %s/%s, which is of %q", m.Name, m.Group, m.Host, h.GetMachine())
			}
			model, ok := fsm.Models.Get(v, fsm.GroupKey(m.Group, m.Model))
			if !ok || model.Kind != m.Kind {
				t.Errorf("machine %s is a %s, its model is %v", m.Name, m.Kind, model)
			}
		}
		for _, g := range m.PoolGroups {
			if _, ok := fsm.Groups.Get(v, g); !ok {
				t.Errorf("machine %s is in the pool of %s, which isn't there", m.Name, g)
			}
		}
	}
	for h := range fsm.Hosts.All(v) {
		if _, ok := fsm.Groups.Get(v, h.Group); !ok {
			t.Errorf("host %s/%s has no group", h.Group, h.Name)
		}
		if m, ok := fsm.Machines.Get(v, h.Machine); h.Machine != "" && (!ok || m.Group != h.Group || m.Host != h.Name) {
			t.Errorf("host %s/%s is of %s, which has %s/%s", h.Group, h.Name, h.Machine, m.GetGroup(), m.GetHost())
		}
	}
	for m := range fsm.Models.All(v) {
		if g, ok := fsm.Groups.Get(v, m.Group); !ok || g.Kind != m.Kind {
			t.Errorf("model %s/%s is of kind %s, its group is %v", m.Group, m.Name, m.Kind, g)
		}
	}
	for g := range fsm.Groups.All(v) {
		if _, ok := fsm.Categories.Get(v, g.Category); g.Category != "" && !ok {
			t.Errorf("group %s is in category %s, which isn't there", g.Name, g.Category)
		}
		if _, ok := fsm.Policies.Get(v, g.Policy); g.Policy != "" && !ok {
			t.Errorf("group %s has policy %s, which isn't there", g.Name, g.Policy)
		}
	}
	for c := range fsm.Categories.All(v) {
		if parent := fsm.ParentCategory(c.Path); parent != "" {
			if _, ok := fsm.Categories.Get(v, parent); !ok {
				t.Errorf("category %s has no parent", c.Path)
			}
		}
	}
	checkNetwork(t, v)
	for token := range fsm.Tokens.All(v) {
		if _, ok := fsm.Users.Get(v, token.User); !ok {
			t.Errorf("a session is of %s, who isn't there", token.User)
		}
	}
}

// checkNetwork holds VLANs, load-balancing groups, volumes and cables.
func checkNetwork(t interface{ Errorf(string, ...any) }, v *fsm.View) {
	subsystem := func(user, name string) {
		if _, ok := fsm.Subsystems.Get(v, name); name != "" && !ok {
			t.Errorf("%s names subsystem %s, which isn't there", user, name)
		}
	}
	alone := map[string]string{} // volume that isn't shared: its host
	for h := range fsm.Hosts.All(v) {
		g, _ := fsm.Groups.Get(v, h.Group)
		if _, err := fsm.PortVLANs(v, g, h); err != nil {
			t.Errorf("host %s/%s: %v", h.Group, h.Name, err)
		}
		if g.GetKind() == schema.MachineVM && len(h.Volumes) > 0 {
			t.Errorf("host %s/%s of VMs has volumes", h.Group, h.Name)
		}
		for _, vol := range h.Volumes {
			subsystem("host "+h.Name, vol.Subsystem)
			key := vol.Subsystem + "/" + vol.Name
			if other := alone[key]; other != "" && !vol.Shared {
				t.Errorf("volume %s is of %s and %s/%s", key, other, h.Group, h.Name)
			}
			if !vol.Shared {
				alone[key] = h.Group + "/" + h.Name
			}
		}
	}
	for h := range fsm.Hosts.All(v) {
		for _, vol := range h.Volumes {
			if other := alone[vol.Subsystem+"/"+vol.Name]; vol.Shared && other != "" {
				t.Errorf("volume %s is shared at %s/%s and not at %s", vol.Name, h.Group, h.Name, other)
			}
		}
	}
	for g := range fsm.Groups.All(v) {
		if g.Kind == schema.MachineVM && len(g.Vlans) > 0 {
			t.Errorf("group %s of VMs has VLANs", g.Name)
		}
		for _, name := range g.LoadBalancers {
			if _, ok := fsm.LoadBalancers.Get(v, name); !ok {
				t.Errorf("group %s has load-balancing group %s, which isn't there", g.Name, name)
			}
		}
	}
	for l := range fsm.LoadBalancers.All(v) {
		subsystem("load-balancing group "+l.Name, l.Subsystem)
	}
	for m := range fsm.Machines.All(v) {
		for _, n := range m.Nics {
			if m.Kind == schema.MachinePhysical {
				subsystem("machine "+m.Name, n.Network)
			}
		}
	}
}

// smallWorld has what random verbs need to succeed often.
func smallWorld() []fsm.Document {
	docs := []fsm.Document{
		doc("Subsystem", "vc1", `{'address':'h'}`), doc("Subsystem", "sw1", `{'kind':'qbridge','address':'h'}`), doc("Subsystem", "lb1", `{'kind':'haproxy','address':'h:1'}`),
		doc("Subsystem", "tgt1", `{'kind':'tgt'}`), doc("Vlan", "v1", `{'id':1}`), doc("Vlan", "v2", `{'id':2,'kind':'management'}`), doc("LoadBalancer", "l1", `{'subsystem':'lb1','port':80}`),
	}
	for _, g := range []string{"g1", "g2"} {
		docs = append(docs, doc("Group", g, `{'kind':'physical'}`), doc("Model", g+"/x", `{}`), doc("Host", g+"/h1", `{}`), doc("Host", g+"/h2", `{}`))
	}
	for _, m := range []string{"m1", "m2", "m3"} {
		docs = append(docs, doc("Machine", m, `{'kind':'physical','managed':true}`))
	}
	return docs
}

// randomVerb draws one verb with arguments out of a small world, so that many
// succeed and many collide.
func randomVerb(rt *rapid.T) func(*fsm.Tx) error {
	pick := func(name string, from ...string) string { return rapid.SampledFrom(from).Draw(rt, name) }
	group, host := pick("group", "g1", "g2", "g3"), pick("host", "h1", "h2")
	m := pick("machine", "m1", "m2", "m3", "m4")
	kind := pick("kind", "physical", "physical", "physical", "vm", "vm-server")
	ip := pick("ip", "10.0.0.1", "10.0.0.2", "10.0.0.3")
	category := pick("category", "", "a", "a/b", "c")
	fields := map[string]string{
		"Category": fmt.Sprintf(`{'priority':%d}`, rapid.IntRange(-2, 2).Draw(rt, "priority")),
		"Group": `{'category':'` + category + `','policy':'` + pick("policy", "", "standard", "nothing") + `','vlans':[` + pick("vlans", "", "'v1'", "'v1','v2'", "'v1','v2:2'", "'v1:2'") +
			`],'load_balancers':[` + pick("balancers", "", "'l1'", "'l2'") + `]}`,
		"Model": `{'kind':'` + kind + `'}`,
		"Host": `{'nics':[{'vlan':'` + pick("vlan", "", "", "v1", "v2") + `','addresses':[{'ip':'` + ip + `'}]}],'volumes':[` +
			pick("volumes", "", "{'subsystem':'tgt1','name':'d1'}", "{'subsystem':'tgt1','name':'d1','shared':true}", "{'subsystem':'sw1','name':'d1'}") + `]}`,
		"Vlan":         fmt.Sprintf(`{'id':%d,'kind':'%s'}`, rapid.IntRange(1, 3).Draw(rt, "id"), pick("vlan's kind", "port", "management")),
		"LoadBalancer": `{'port':80,'subsystem':'` + pick("balancer", "lb1", "lb2", "sw1") + `'}`,
		"Subsystem":    `{'address':'h:1','kind':'` + pick("does", "qbridge", "haproxy", "ovs") + `'}`,
		"Machine": `{'kind':'physical','managed':true,'nics':[{'mac':'52:54:00:00:00:0` + m[1:] + `'` + pick("port", "", ",'network':'sw1','port':'1'", ",'network':'sw1','port':'2'") + `}],'group':` + pick("into", "null", "'g1'", "'g2'") + `,'host':'` + host + `','pool_groups':[` +
			pick("pool", "", "'g1'", "'g1','g2'") + `]}`,
	}
	names := map[string]string{
		"Category": pick("path", "a", "a/b", "c", "a/b/c"), "Group": group, "Model": group + "/" + pick("model", "x", "y"), "Host": group + "/" + host, "Machine": m,
		"Vlan": pick("name of a VLAN", "v1", "v2"), "LoadBalancer": pick("name of a balancer", "l1", "l2"), "Subsystem": pick("subsystem", "sw1", "lb1", "lb2", "tgt1"),
	}
	what := pick("what", "Category", "Group", "Model", "Host", "Machine", "Vlan", "LoadBalancer", "Subsystem")
	other := pick("other machine", "m1", "m2", "m3", "m4")
	switch pick("verb", "apply", "apply", "apply all", "unset", "activate", "standby", "release", "return", "take over", "pool", "collect", "user", "arm", "retain") {
	case "apply":
		return func(tx *fsm.Tx) error {
			_, err := fsm.ApplyDocuments(tx, []fsm.Document{doc(what, names[what], fields[what])})
			return err
		}
	case "apply all":
		return func(tx *fsm.Tx) error {
			docs := []fsm.Document{doc("Group", group, fields["Group"]), doc("Model", names["Model"], fields["Model"]), doc("Host", names["Host"], fields["Host"])}
			_, err := fsm.ApplyDocuments(tx, append(docs, doc("Category", "a", `{}`), doc("Category", "a/b", `{}`), doc("Category", "c", `{}`)))
			return err
		}
	case "unset":
		return func(tx *fsm.Tx) error { return fsm.Unset(tx, what, names[what]) }
	case "activate":
		return func(tx *fsm.Tx) error {
			return fsm.Activate(tx, fsm.Activation{Machine: m, Group: group, Host: host, Master: kind == "vm"})
		}
	case "standby":
		return func(tx *fsm.Tx) error { return fsm.StandBy(tx, m) }
	case "release":
		return func(tx *fsm.Tx) error { return fsm.Release(tx, m) }
	case "return":
		return func(tx *fsm.Tx) error { return fsm.ReturnToOrigin(tx, m) }
	case "take over":
		return func(tx *fsm.Tx) error { return fsm.TakeOver(tx, m, other, "") }
	case "pool":
		return func(tx *fsm.Tx) error { return fsm.AddToPool(tx, m, group) }
	case "collect":
		n, extent := rapid.IntRange(0, 3).Draw(rt, "reported"), rapid.SampledFrom([]fsm.Extent{fsm.Partial, fsm.Complete, fsm.Confirmed}).Draw(rt, "extent")
		return func(tx *fsm.Tx) error {
			var in []*schema.Machine
			for i := range n {
				in = append(in, &schema.Machine{Name: fmt.Sprintf("m%d", (i+n)%4+1), Uuid: fmt.Sprintf("00000000-0000-0000-0000-00000000000%d", i+1), Kind: kind})
			}
			_, err := fsm.Collected(tx, "vc1", in, extent)
			return err
		}
	case "user":
		return func(tx *fsm.Tx) error {
			return fsm.SetUser(tx, &schema.User{Name: m, Role: schema.RoleOperator, PasswordHash: []byte(host), Disabled: kind == "vm"})
		}
	case "arm":
		return func(tx *fsm.Tx) error { return fsm.SetArmed(tx, category, kind == "vm") }
	}
	return func(tx *fsm.Tx) error {
		_, err := fsm.Retain(tx)
		return err
	}
}

// TestRandomHistories runs random verbs: all replicas and a restored snapshot
// have one digest, every row's references hold, and no verb breaks.
func TestRandomHistories(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := bootstrapped(t)
		apply(t, c, smallWorld()...)
		for range rapid.IntRange(5, 40).Draw(rt, "verbs") {
			if _, err := c.Try(randomVerb(rt)); schema.KindOf(err) == schema.KindInternal {
				rt.Fatal(err)
			}
		}
		v := c.Store().View()
		for i, s := range c.Stores() {
			if s.View().Digest() != v.Digest() || s.View().Verify() != nil {
				rt.Errorf("replica %d differs", i)
			}
		}
		restored, err := fsm.ReadSnapshot(bytes.NewReader(snapshotOf(t, v)))
		if err != nil || restored.Digest() != v.Digest() {
			rt.Errorf("restored %v, %v", restored, err)
		}
		checkReferences(rt, v)
		replay(rt, c)
	})
}

// replay applies the log to a new store and compares.
func replay(rt *rapid.T, c *fsmtest.Cluster) {
	s := fsm.NewStore(fsm.Options{})
	defer s.Close()
	for _, l := range c.Log() {
		s.Apply(l)
	}
	if s.View().Digest() != c.Store().View().Digest() {
		rt.Error("the log replays to another state")
	}
}
