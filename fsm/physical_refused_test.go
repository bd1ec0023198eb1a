package fsm_test

import (
	"strings"
	"testing"

	"yagura/fsm"
	"yagura/fsm/schema"
)

func TestPhysicalDocumentsAreRefused(t *testing.T) {
	c := physical(t,
		doc("Group", "vms", `{'kind':'vm'}`), doc("Model", "vms/m", `{}`), doc("Host", "vms/v1", `{}`),
		doc("Group", "empty", `{}`), doc("Host", "empty/e1", `{'nics':[{'vlan':'db'}]}`),
	)
	for name, tt := range map[string]struct {
		kind  schema.Kind
		doc   fsm.Document
		words []string
	}{
		"VLAN without id":           {schema.KindInvalid, doc("Vlan", "x", `{}`), []string{"Vlan x", "id is 0", "1 to 4094"}},
		"VLAN id out of range":      {schema.KindInvalid, doc("Vlan", "x", `{'id':4095}`), []string{"4095"}},
		"two VLANs of one id":       {schema.KindConflict, doc("Vlan", "x", `{'id':10}`), []string{`VLAN id "10"`, "db"}},
		"VLAN's kind":               {schema.KindInvalid, doc("Vlan", "x", `{'id':11,'kind':'tagged'}`), []string{"port, management"}},
		"VLAN with a colon":         {schema.KindInvalid, doc("Vlan", "x:1", `{'id':11}`), []string{"colon"}},
		"management becomes port":   {schema.KindConflict, doc("Vlan", "mng", `{'kind':'port'}`), []string{"group db", "one port-based VLAN"}},
		"port becomes management":   {schema.KindConflict, doc("Vlan", "db", `{'kind':'management'}`), []string{"empty/e1"}},
		"group's VLAN":              {schema.KindInvalid, doc("Group", "db", `{'vlans':['nowhere']}`), []string{"vlans[0]", `no VLAN "nowhere"`}},
		"NIC of a VLAN":             {schema.KindInvalid, doc("Group", "db", `{'vlans':['db:x']}`), []string{"vlans[0]", "NAME:N"}},
		"NIC 0":                     {schema.KindInvalid, doc("Group", "db", `{'vlans':['db:0']}`), []string{"NAME:N"}},
		"two VLANs of a port":       {schema.KindInvalid, doc("Group", "db", `{'vlans':['db','backup']}`), []string{"vlans[1]", "NIC 1", "backup:N"}},
		"VLAN twice":                {schema.KindInvalid, doc("Group", "db", `{'vlans':['db','db']}`), []string{"twice"}},
		"VLANs of VMs":              {schema.KindInvalid, doc("Group", "vms", `{'vlans':['db']}`), []string{"vlans", "VMs"}},
		"VLAN of a VM's NIC":        {schema.KindInvalid, doc("Host", "vms/v1", `{'nics':[{'vlan':'db'}]}`), []string{"nics[0].vlan", "network"}},
		"kind by a model":           {schema.KindConflict, doc("Model", "empty/m", `{'kind':'vm'}`), []string{"empty/e1", "VLANs of VMs"}},
		"host's VLAN":               {schema.KindInvalid, doc("Host", "db/db01", `{'nics':[{'vlan':'nowhere'}]}`), []string{"nics[0].vlan", `"nowhere"`}},
		"host's management VLAN":    {schema.KindInvalid, doc("Host", "db/db01", `{'nics':[{'vlan':'mng'}]}`), []string{"nics[0].vlan", "management"}},
		"group's balancer":          {schema.KindInvalid, doc("Group", "db", `{'load_balancers':['x']}`), []string{"load_balancers[0]", `"x"`}},
		"balancer of no subsystem":  {schema.KindInvalid, doc("LoadBalancer", "x", `{'port':1}`), []string{"subsystem is missing", "load balancer"}},
		"balancer's subsystem":      {schema.KindInvalid, doc("LoadBalancer", "x", `{'port':1,'subsystem':'nowhere'}`), []string{`no subsystem "nowhere"`}},
		"balancer that is a switch": {schema.KindInvalid, doc("LoadBalancer", "x", `{'port':1,'subsystem':'sw1'}`), []string{"qbridge", "not a load balancer"}},
		"balancer's port":           {schema.KindInvalid, doc("LoadBalancer", "x", `{'subsystem':'lb1'}`), []string{"port is 0"}},
		"one pool twice":            {schema.KindConflict, doc("LoadBalancer", "db", `{'port':1,'subsystem':'lb1'}`), []string{"db-lb"}},
		"switch becomes storage":    {schema.KindConflict, doc("Subsystem", "sw1", `{'kind':'tgt','address':null}`), []string{"ph01", "a switch"}},
		"array becomes a balancer":  {schema.KindConflict, doc("Subsystem", "tgt1", `{'kind':'haproxy','address':'h:1'}`), []string{"db/db01", "storage"}},
		"volume of no subsystem":    {schema.KindInvalid, doc("Host", "db/db01", `{'volumes':[{'name':'v'}]}`), []string{"volumes[0].subsystem is missing"}},
		"volume of a switch":        {schema.KindInvalid, doc("Host", "db/db01", `{'volumes':[{'subsystem':'sw1','name':'v'}]}`), []string{"volumes[0].subsystem", "not storage"}},
		"volume of another host":    {schema.KindConflict, doc("Host", "db/db02", `{'volumes':[{'subsystem':'tgt1','name':'db01'}]}`), []string{"db01", "db/db01", "shared"}},
		"volume half shared":        {schema.KindConflict, doc("Host", "db/db02", `{'volumes':[{'subsystem':'tgt1','name':'shared'}]}`), []string{"shared", "alike"}},
		"volume twice":              {schema.KindInvalid, doc("Host", "db/db02", `{'volumes':[{'subsystem':'tgt1','name':'v'},{'subsystem':'tgt1','name':'v','shared':true}]}`), []string{"twice"}},
		"volumes of a VM":           {schema.KindInvalid, doc("Host", "vms/v1", `{'volumes':[{'subsystem':'tgt1','name':'v'}]}`), []string{"volumes", "VMs"}},
		"scenario of no system":     {schema.KindInvalid, doc("Software", "x", `{'kind':'scenario'}`), []string{"subsystem is missing", "distributes software"}},
		"scenario of a switch":      {schema.KindInvalid, doc("Software", "x", `{'kind':'scenario','subsystem':'sw1'}`), []string{"sw1", "distributes software"}},
		"body of a template":        {schema.KindInvalid, doc("Software", "tmpl", `{'body':'x'}`), []string{"body", "scenario or script"}},
		"body too long":             {schema.KindTooLarge, doc("Software", "db", `{'body':'`+strings.Repeat("x", schema.MaxBody+1)+`'}`), []string{"262145", "262144", "object"}},
		"time of a script":          {schema.KindInvalid, doc("Software", "db", `{'timeout_seconds':-1}`), []string{"timeout_seconds"}},
		"monitoring's kind":         {schema.KindInvalid, doc("Group", "db", `{'monitoring':{'kind':'smtp'}}`), []string{"monitoring.kind", "icmp, tcp, snmp"}},
		"monitoring's port":         {schema.KindInvalid, doc("Group", "db", `{'monitoring':{'kind':'tcp','community':null}}`), []string{"monitoring.port is missing"}},
		"monitoring's community":    {schema.KindInvalid, doc("Group", "db", `{'monitoring':{'kind':'icmp'}}`), []string{"monitoring.community"}},
		"community is output":       {schema.KindInvalid, doc("Group", "db", `{'monitoring':{'community_set':true}}`), []string{"community_set is output"}},
		"healthy machines":          {schema.KindInvalid, doc("Group", "db", `{'min_healthy':-1}`), []string{"min_healthy"}},
		"NIC's MAC":                 {schema.KindConflict, doc("Machine", "ph09", `{'kind':'physical','nics':[{'mac':'52:54:00:00:09:01'}]}`), []string{"52:54:00:00:09:01", "ph01"}},
		"UUID":                      {schema.KindConflict, doc("Machine", "ph09", `{'kind':'physical','uuid':'00000000-0000-0000-0009-000000000001'}`), []string{"uuid", "ph01"}},
		"switch port taken":         {schema.KindConflict, doc("Machine", "ph09", `{'kind':'physical','nics':[{'mac':'52:54:00:00:0b:01','network':'sw1','port':'1'}]}`), []string{"switch port", "ph01"}},
		"switch without port":       {schema.KindInvalid, doc("Machine", "ph09", `{'kind':'physical','nics':[{'mac':'52:54:00:00:0b:01','network':'sw1'}]}`), []string{"nics[0].port is missing"}},
		"port without switch":       {schema.KindInvalid, doc("Machine", "ph09", `{'kind':'physical','nics':[{'mac':'52:54:00:00:0b:01','port':'1'}]}`), []string{"nics[0].network is missing"}},
		"plugged into storage":      {schema.KindInvalid, doc("Machine", "ph09", `{'kind':'physical','nics':[{'mac':'52:54:00:00:0b:01','network':'tgt1','port':'1'}]}`), []string{"nics[0].network", "not a switch"}},
		"machine's address":         {schema.KindInvalid, doc("Machine", "ph03", `{'address':'http://h/'}`), []string{"address", "HOST:PORT"}},
		"monitored":                 {schema.KindInvalid, doc("Machine", "ph03", `{'monitored':'2026-01-01T00:00:00Z'}`), []string{"monitored", "jobs"}},
		"hardware":                  {schema.KindInvalid, doc("Machine", "ph03", `{'hardware':{}}`), []string{"hardware is collected"}},
		"replaced":                  {schema.KindInvalid, doc("Machine", "ph03", `{'replaced':null}`), []string{"replaced"}},
		"BMC's kind":                {schema.KindInvalid, doc("Machine", "ph03", `{'bmc':{'kind':'ilo'}}`), []string{"redfish, ipmi, wol"}},
		"another one's BMC":         {schema.KindConflict, doc("Machine", "ph03", `{'bmc':{'address':'https://127.0.0.31/'}}`), []string{"bmc", "machine ph01 already"}},
		"IPMI at a URL":             {schema.KindInvalid, doc("Machine", "ph03", `{'bmc':{'kind':'ipmi'}}`), []string{"bmc.address", "HOST or HOST:PORT"}},
		"IPMI's cipher suite":       {schema.KindInvalid, doc("Machine", "ph03", `{'bmc':{'kind':'ipmi','address':'h','system':'0'}}`), []string{"bmc.system", "cipher suite"}},
		"IPMI with a certificate":   {schema.KindInvalid, doc("Machine", "ph03", `{'bmc':{'kind':'ipmi','address':'h','thumbprint':'`+strings.Repeat("ab", 32)+`'}}`), []string{"bmc.thumbprint", "redfish"}},
		"redfish with a broadcast":  {schema.KindInvalid, doc("Machine", "ph03", `{'bmc':{'broadcast':'10.0.0.255:9'}}`), []string{"bmc.broadcast", "wol"}},
		"no host key":               {schema.KindInvalid, doc("Machine", "ph03", `{'bmc':{'kind':'wol','address':'h','user':'root'}}`), []string{"bmc.host_key is missing", "ssh-keyscan"}},
		"bad host key":              {schema.KindInvalid, doc("Machine", "ph03", `{'bmc':{'kind':'wol','address':'h','host_key':'ssh-rsa `+strings.Fields(testHostKey)[1]+`'}}`), []string{"bmc.host_key"}},
		"no SSH account":            {schema.KindInvalid, doc("Machine", "ph03", `{'bmc':{'kind':'wol','address':'h','user':null,'host_key':'`+testHostKey+`'}}`), []string{"bmc.user"}},
		"broadcast":                 {schema.KindInvalid, doc("Machine", "ph03", `{'bmc':{'kind':'wol','address':'h','host_key':'`+testHostKey+`','broadcast':'everybody'}}`), []string{"bmc.broadcast", "ADDRESS:PORT"}},
		"no private key":            {schema.KindInvalid, doc("Machine", "ph03", `{'bmc':{'kind':'wol','key':'secret-key'}}`), []string{"bmc: key holds no private key"}},
		"key that is a certificate": {schema.KindInvalid, doc("Subsystem", "dist1", `{'key':'-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'}`), []string{"no private key"}},
		"options":                   {schema.KindInvalid, doc("Subsystem", "sw2", `{'options':['x']}`), []string{"options is a list"}},
		"option's value":            {schema.KindInvalid, doc("Subsystem", "sw2", `{'options':{'x':1}}`), []string{"options.x is a number", "quotes"}},
		"option's name":             {schema.KindInvalid, doc("Subsystem", "sw2", `{'options':{'X Y':'1'}}`), []string{"X Y"}},
		"storm":                     {schema.KindInvalid, doc("Settings", "cluster", `{'storm_machines':-1}`), []string{"storm_machines"}},
		"replacements":              {schema.KindInvalid, doc("Settings", "cluster", `{'brake_replacements':-1}`), []string{"brake_replacements"}},
	} {
		t.Run(name, func(t *testing.T) {
			refuse(t, c, tt.kind, tt.words, tt.doc)
		})
	}
}

// TestUsedObjectsOfPhysicalMachinesStay: what is named somewhere can't be removed.
func TestUsedObjectsOfPhysicalMachinesStay(t *testing.T) {
	c := physical(t)
	for name, users := range map[string][]string{
		"Vlan db": {"group db"}, "Vlan backup": {"group db"}, "LoadBalancer db-lb": {"group db"}, "Subsystem sw1": {"machine ph01", "machine ph04"},
		"Subsystem lb1": {"load-balancing group db-lb"}, "Subsystem tgt1": {"host db/db01", "host db/db02"}, "Subsystem dist1": {"software base"}, "Software base": {"group db"},
	} {
		kind, key, _ := strings.Cut(name, " ")
		_, err := c.Try(func(tx *fsm.Tx) error { return fsm.Unset(tx, kind, key) })
		if schema.KindOf(err) != schema.KindConflict {
			t.Errorf("%s: %v", name, err)
		}
		for _, u := range users {
			if err == nil || !strings.Contains(err.Error(), u) {
				t.Errorf("%s: %v doesn't name %s", name, err, u)
			}
		}
	}
	apply(t, c, doc("Host", "db/db01", `{'nics':[{'vlan':'backup'}]}`), doc("Group", "db", `{'vlans':['mng'],'load_balancers':[]}`))
	_, err := c.Try(func(tx *fsm.Tx) error { return fsm.Unset(tx, "Vlan", "backup") })
	if err == nil || !strings.Contains(err.Error(), "host db/db01") {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"Vlan db", "LoadBalancer db-lb", "Subsystem lb1"} {
		kind, key, _ := strings.Cut(name, " ")
		c.Do(func(tx *fsm.Tx) error { return fsm.Unset(tx, kind, key) })
	}
}

// TestCablesOfRunningMachinesStay: volumes and VLANs hang on them.
func TestCablesOfRunningMachinesStay(t *testing.T) {
	c := physical(t)
	for word, spec := range map[string]string{
		"initiator iqn.2026-01.example:ph01": `{'initiators':['iqn.2026-01.example:new']}`,
		"port 1 of sw1":                      `{'nics':[{'mac':'52:54:00:00:09:01','network':'sw1','port':'9'},{'mac':'52:54:00:00:0a:01','network':'sw2','port':'p1'}]}`,
		"port p1 of sw2":                     `{'nics':[{'mac':'52:54:00:00:09:01','network':'sw1','port':'1'}]}`,
	} {
		refuse(t, c, schema.KindConflict, []string{word, "runs in group db"}, doc("Machine", "ph01", spec))
	}
	apply(t, c, doc("Machine", "ph01", `{'initiators':['IQN.2026-01.example:ph01','iqn.2026-01.example:more']}`))
	apply(t, c, doc("Machine", "ph03", `{'initiators':['iqn.2026-01.example:new'],'nics':[{'mac':'52:54:00:00:09:03'}]}`)) // it waits
	c.Do(func(tx *fsm.Tx) error { return fsm.TakeLocks(tx, "00001", []string{fsm.Exclusive("machine", "ph04")}) })
	refuse(t, c, schema.KindConflict, []string{"initiator", "job 00001"}, doc("Machine", "ph04", `{'initiators':[]}`))
	apply(t, c, doc("Machine", "ph04", `{'bmc':{'password':'right this time'}}`)) // a parked job may wait for that
}

func TestControllersByKind(t *testing.T) {
	c := physical(t)
	for _, spec := range []string{
		`{'bmc':{'kind':'ipmi','address':'10.0.0.9:1623','user':'admin','password':'secret','system':'3'}}`,
		`{'bmc':{'kind':'wol','address':'10.0.0.9','system':null,'key':'` + testKey + `','host_key':'` + testHostKey + ` comment','mac':'52-54-00-00-09-03','broadcast':'10.0.0.255:9'}}`,
		`{'bmc':null}`,
		`{'bmc':{'address':'h:8443','system':'1'}}`,
	} {
		for range 2 {
			apply(t, c, doc("Machine", "ph03", spec))
		}
	}
	apply(t, c, doc("Machine", "ph04", `{'bmc':null}`))
	apply(t, c, doc("Machine", "ph04", `{'bmc':{'kind':'wol','address':'h','user':'root','key':'`+testKey+`','host_key':'`+testHostKey+`','mac':'52-54-00-00-09-04'}}`))
	m := machine(t, c, "ph04")
	if m.Bmc.Mac != "52:54:00:00:09:04" || m.Bmc.Kind != schema.BMCWoL || strings.Contains(string(m.Bmc.Key), "PRIVATE") {
		t.Errorf("%v", m.Bmc)
	}
}

func TestVLANsOfPorts(t *testing.T) {
	c := physical(t, doc("Vlan", "own", `{'id':40}`))
	apply(t, c, doc("Host", "db/db01", `{'nics':[{'vlan':'own'},{}]}`))
	v := c.Store().View()
	g, _ := fsm.Groups.Get(v, "db")
	for host, want := range map[string]string{"db01": "2:backup 1:mng 1:own", "db02": "1:db 2:backup 1:mng"} {
		h, _ := fsm.Hosts.Get(v, "db/"+host)
		got, err := fsm.PortVLANs(v, g, h)
		if s := vlanText(got); err != nil || s != want {
			t.Errorf("%s: %s, %v; want %s", host, s, err, want)
		}
	}
	if got, err := fsm.PortVLANs(v, g, nil); err != nil || vlanText(got) != "1:db 2:backup 1:mng" {
		t.Errorf("%v, %v", got, err)
	}
}

func vlanText(list []fsm.PortVLAN) string {
	var out []string
	for _, p := range list {
		out = append(out, string(rune('0'+p.NIC))+":"+p.VLAN.Name)
	}
	return strings.Join(out, " ")
}
