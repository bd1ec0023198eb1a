package fsm_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// physicalDocs are a group of physical machines with all that moves with them:
// db01 and db02 run on ph01 and ph02, ph03 waits in the pool, ph04 in the common pool.
func physicalDocs() []fsm.Document {
	docs := []fsm.Document{
		doc("Category", "shop", `{}`),
		doc("Subsystem", "sw1", `{'kind':'qbridge','address':'127.0.0.22','password':'secret-community'}`),
		doc("Subsystem", "sw2", `{'kind':'ovs','address':'unix:/run/ovs.sock','options':{'bridge':'br0'}}`),
		doc("Subsystem", "lb1", `{'kind':'haproxy','address':'127.0.0.23:9999'}`),
		doc("Subsystem", "tgt1", `{'kind':'tgt'}`),
		doc("Subsystem", "dist1", `{'kind':'ansible','user':'root','key':'`+testKey+`'}`),
		doc("Vlan", "db", `{'id':10}`), doc("Vlan", "backup", `{'id':20}`), doc("Vlan", "mng", `{'id':30,'kind':'management'}`),
		doc("LoadBalancer", "db-lb", `{'subsystem':'lb1','pool':'db','port':5432,'drain_seconds':5}`),
		doc("Software", "base", `{'kind':'scenario','subsystem':'dist1','body':'- hosts: all\n','repeatable':true,'timeout_seconds':60}`),
		doc("Software", "db", `{'kind':'script','body':'#!/bin/sh\ntrue\n'}`),
		doc("Software", "tmpl", `{'kind':'template'}`),
		doc("Group", "shop/db", `{'kind':'physical','policy':'standard','vlans':['db','backup:2','mng'],'load_balancers':['db-lb'],'software':{'run':['base','db']},
			'monitoring':{'kind':'snmp','misses':3,'interval_seconds':5,'community':'secret-word'},'min_healthy':1,'max_replacements':1}`),
		doc("Model", "db/r120", `{'model_name':'R120','priority':10}`),
	}
	for i := range 4 {
		n := i + 1
		spec := fmt.Sprintf(`'kind':'physical','model_name':'R120','nics':[{'mac':'52:54:00:00:09:%02x','network':'sw1','port':'%d'},{'mac':'52:54:00:00:0a:%02x','network':'sw2','port':'p%d'}],
			'uuid':'00000000-0000-0000-0009-%012d','initiators':['iqn.2026-01.example:ph%02d'],'bmc':{'address':'127.0.0.3%d','user':'admin','password':'secret'}`, n, n, n, n, n, n, n)
		switch n {
		case 1, 2:
			spec += fmt.Sprintf(`,'group':'shop/db','host':'db%02d','model':'r120','pool_groups':['db']`, n)
			docs = append(docs, doc("Host", fmt.Sprintf("db/db%02d", n), fmt.Sprintf(`{'nics':[{'addresses':[{'ip':'10.9.0.%d','prefix':24}]}],'volumes':[{'subsystem':'tgt1','name':'db%02d'},{'subsystem':'tgt1','name':'shared','shared':true}]}`, n, n)))
		case 3:
			spec += `,'pool_groups':['db']`
		case 4:
			spec += `,'managed':true`
		}
		docs = append(docs, doc("Machine", fmt.Sprintf("ph%02d", n), `{`+spec+`}`))
	}
	return docs
}

// testKey has the form of a private key and is none.
const testKey = `-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0LWtleQ==\n-----END OPENSSH PRIVATE KEY-----\n`

// testHostKey is an SSH host key of an account that doesn't exist.
const testHostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtlZXAgY2FsbSBhbmQgY2FycnkgdGhlIGhvc3Qga2V5"

// physical is a cluster with these machines.
func physical(t testing.TB, more ...fsm.Document) *fsmtest.Cluster {
	t.Helper()
	c := bootstrapped(t)
	apply(t, c, append(physicalDocs(), more...)...)
	return c
}

// edit changes a machine's row as jobs do.
func edit(c *fsmtest.Cluster, name string, change func(*schema.Machine)) {
	c.Do(func(tx *fsm.Tx) error {
		m, _ := fsm.Machines.Edit(tx, name)
		change(m)
		return fsm.Machines.Put(tx, m)
	})
}

func TestPhysicalWorld(t *testing.T) {
	c := physical(t)
	index := c.Store().View().Index()
	for _, a := range apply(t, c, physicalDocs()...) {
		if a.Action != fsm.ActionUnchanged {
			t.Errorf("%s %s: %s %v", a.Kind, a.Name, a.Action, a.Changes)
		}
	}
	// What get shows can be applied, changes nothing, and has no secret in it.
	var docs []fsm.Document
	for _, kind := range fsm.DocumentKinds() {
		objects, err := fsm.ListObjects(c.Store().View(), kind, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			row, err := proto.Marshal(o.Row)
			if err != nil || strings.Contains(string(o.Spec)+string(row), "secret") {
				t.Errorf("%s %s shows %s, %q (%v)", o.Kind, o.Name, o.Spec, row, err)
			}
			docs = append(docs, fsm.Document{Kind: o.Kind, Name: o.Name, Spec: o.Spec})
		}
	}
	for _, a := range apply(t, c, docs...) {
		if a.Action != fsm.ActionUnchanged {
			t.Errorf("%s %s: %s %v", a.Kind, a.Name, a.Action, a.Changes)
		}
	}
	if got := c.Store().View().Index(); got != index {
		t.Errorf("applying again made entry %d", got)
	}
	if m := machine(t, c, "ph01"); m.Origin != "db" || m.Host != "db01" {
		t.Errorf("%v", m)
	}
}

func TestSecretsOfPhysicalMachines(t *testing.T) {
	c := physical(t)
	v := c.Store().View()
	open := func(sealed []byte) string {
		plain, err := c.Store().Sealer().Open(sealed)
		if err != nil {
			t.Fatal(err)
		}
		return string(plain)
	}
	s, _ := fsm.Subsystems.Get(v, "dist1")
	g, _ := fsm.Groups.Get(v, "db")
	if got := open(s.Key); got != strings.ReplaceAll(testKey, `\n`, "\n") {
		t.Errorf("the stored key is %q", got)
	}
	if got := open(g.Monitoring.Community); got != "secret-word" {
		t.Errorf("the stored community is %q", got)
	}
	for kind, set := range map[string]func(proto.Message) bool{
		"Subsystem dist1": func(m proto.Message) bool { return m.(*schema.Subsystem).KeySet },
		"Subsystem sw1":   func(m proto.Message) bool { return m.(*schema.Subsystem).PasswordSet },
		"Group db":        func(m proto.Message) bool { return m.(*schema.Group).Monitoring.CommunitySet },
		"Machine ph01":    func(m proto.Message) bool { return m.(*schema.Machine).Bmc.PasswordSet },
	} {
		k, name, _ := strings.Cut(kind, " ")
		if o, err := fsm.GetObject(v, k, name); err != nil || !set(o.Row) {
			t.Errorf("%s doesn't tell that a secret is stored: %v, %v", kind, o.Row, err)
		}
	}
	// A field beside a secret leaves it as it is; null takes it away.
	apply(t, c, doc("Group", "db", `{'monitoring':{'misses':5}}`))
	if g, _ := fsm.Groups.Get(c.Store().View(), "db"); g.Monitoring.Misses != 5 || open(g.Monitoring.Community) != "secret-word" {
		t.Errorf("%v", g.Monitoring)
	}
	both := `-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n` + testKey // as Open vSwitch wants it
	apply(t, c, doc("Subsystem", "sw2", `{'key':'`+both+`'}`))
	apply(t, c, doc("Subsystem", "dist1", `{'key':null}`))
	if o, _ := fsm.GetObject(c.Store().View(), "Subsystem", "dist1"); o.Row.(*schema.Subsystem).KeySet {
		t.Error("the key is there still")
	}
}

func TestOptionsMerge(t *testing.T) {
	c := physical(t)
	a := apply(t, c, doc("Subsystem", "sw2", `{'options':{'unused':'999'}}`))[0]
	if len(a.Changes) != 1 || a.Changes[0] != `options: {"bridge":"br0"} -> {"bridge":"br0","unused":"999"}` {
		t.Errorf("%q", a.Changes)
	}
	apply(t, c, doc("Subsystem", "sw2", `{'options':{'bridge':null}}`))
	if s, _ := fsm.Subsystems.Get(c.Store().View(), "sw2"); len(s.Options) != 1 || s.Options["unused"] != "999" {
		t.Errorf("%v", s.Options)
	}
	a = apply(t, c, doc("Subsystem", "sw2", `{'options':null}`))[0]
	if len(a.Changes) != 1 || a.Changes[0] != `options: {"unused":"999"} -> none` {
		t.Errorf("%q", a.Changes)
	}
}

func TestContentIsDated(t *testing.T) {
	c := physical(t)
	content := func() string {
		s, _ := fsm.SoftwareItems.Get(c.Store().View(), "db")
		if s.Content == nil {
			return ""
		}
		return s.Content.AsTime().Format("2006-01-02T15:04:05.999999999Z")
	}
	first := content()
	if first == "" {
		t.Fatal("new software has no date of its content")
	}
	apply(t, c, doc("Software", "db", `{'description':'x','timeout_seconds':5}`))
	if content() != first {
		t.Error("another field made the content new")
	}
	apply(t, c, doc("Software", "db", `{'body':'echo','content':'`+first+`'}`)) // as one edits what get shows
	second := content()
	if second == first {
		t.Error("another text has the old date")
	}
	apply(t, c, doc("Software", "db", `{'body':'echo again','content':'2026-01-02T03:04:05Z'}`))
	if content() != "2026-01-02T03:04:05Z" {
		t.Errorf("the date given became %s", content())
	}
	apply(t, c, doc("Software", "db", `{'body':null,'object':'install.sh'}`))
	if content() == "2026-01-02T03:04:05Z" {
		t.Error("another file has the old date")
	}
	if s, _ := fsm.SoftwareItems.Get(c.Store().View(), "tmpl"); s.Content != nil {
		t.Errorf("a template was dated: %v", s)
	}
}

func TestAddressesOfSubsystems(t *testing.T) {
	c := bootstrapped(t)
	for _, tt := range []struct{ kind, given, want string }{
		{"vcenter", "h", "https://h/sdk"}, {"bigip", "h:8443", "https://h:8443"}, {"bigip", "https://h", "https://h"},
		{"qbridge", "h", "h"}, {"qbridge", "10.0.0.1:1161", "10.0.0.1:1161"}, {"qbridge", "[::1]:161", "[::1]:161"}, {"qbridge", "::1", "::1"},
		{"ovs", "h:6640", "h:6640"}, {"ovs", "unix:/run/db.sock", "unix:/run/db.sock"}, {"haproxy", "h:9999", "h:9999"}, {"haproxy", "unix:/run/h.sock", "unix:/run/h.sock"},
		{"tgt", "", ""}, {"storage-cli", "", ""}, {"ansible", "h", "h"}, {"ssh", "h:22", "h:22"}, {"local", "", ""},
		{"qbridge", "http://h", "!HOST or HOST:PORT"}, {"qbridge", "", "!address is missing"}, {"ovs", "h", "!HOST:PORT"}, {"ovs", "", "!unix:PATH"}, {"ovs", "unix:db.sock", "!absolute"},
		{"haproxy", "h:0", "!HOST:PORT"}, {"haproxy", "h:99999", "!HOST:PORT"}, {"bigip", "", "!URL"}, {"bigip", "ftp://h", "!https"}, {"ssh", "u@h", "!HOST"}, {"ansible", "a b", "!HOST"}, {"local", "h", "!leave it out"}, {"tgt", "h:3260", "!leave it out"},
	} {
		d := doc("Subsystem", "s", fmt.Sprintf(`{'kind':'%s','address':'%s'}`, tt.kind, tt.given))
		if want, bad := strings.CutPrefix(tt.want, "!"); bad {
			refuse(t, c, schema.KindInvalid, []string{"address", want}, d)
			continue
		}
		apply(t, c, d)
		if s, _ := fsm.Subsystems.Get(c.Store().View(), "s"); s.Address != tt.want {
			t.Errorf("%s: %s became %s", tt.kind, tt.given, s.Address)
		}
		c.Do(func(tx *fsm.Tx) error { return fsm.Unset(tx, "Subsystem", "s") })
	}
}

func TestInitiatorsAreNormal(t *testing.T) {
	c := physical(t)
	apply(t, c, doc("Machine", "ph03", `{'initiators':['IQN.1991-05.com.Microsoft:PH03','50060B0000C26200','0x50060b0000c26201','eui.02004567A425678D']}`))
	if got := strings.Join(machine(t, c, "ph03").Initiators, " "); got != "iqn.1991-05.com.microsoft:ph03 50:06:0b:00:00:c2:62:00 50:06:0b:00:00:c2:62:01 eui.02004567a425678d" {
		t.Errorf("%s", got)
	}
	for _, bad := range []string{"", "iqn.example", "iqn.2026-1.com.x", "50:06", "host"} {
		refuse(t, c, schema.KindInvalid, []string{"initiators"}, doc("Machine", "ph03", `{'initiators':['`+bad+`']}`))
	}
	refuse(t, c, schema.KindConflict, []string{"initiator", "ph01"}, doc("Machine", "ph03", `{'initiators':['iqn.2026-01.example:PH01']}`))
}
