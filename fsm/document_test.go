package fsm_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// refuse applies documents that must fail with kind and a message that has all
// of the words, and checks that nothing has changed.
func refuse(t *testing.T, c *fsmtest.Cluster, kind schema.Kind, words []string, docs ...fsm.Document) {
	t.Helper()
	before := c.Store().View()
	_, err := c.Try(func(tx *fsm.Tx) error {
		_, err := fsm.ApplyDocuments(tx, docs)
		return err
	})
	if schema.KindOf(err) != kind {
		t.Fatalf("%v: kind %q, want %q", err, schema.KindOf(err), kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q doesn't say %q", err, w)
		}
	}
	if c.Store().View() != before {
		t.Error("a refused document changed the state")
	}
}

func TestDocumentsAreRefused(t *testing.T) {
	c := demo(t)
	for name, tt := range map[string]struct {
		kind  schema.Kind
		doc   fsm.Document
		words []string
	}{
		"unknown kind":          {schema.KindInvalid, doc("Rack", "r1", `{}`), []string{"Rack", "no such kind", "Category, Group"}},
		"empty name":            {schema.KindInvalid, doc("Category", " / ", `{}`), []string{"empty"}},
		"spec is no JSON":       {schema.KindInvalid, doc("Category", "a", `{`), []string{"Category a", "no JSON", "nothing was changed"}},
		"spec is a list":        {schema.KindInvalid, doc("Category", "a", `[]`), []string{"a list", "object of fields"}},
		"two values":            {schema.KindInvalid, doc("Category", "a", `{} {}`), []string{"after its end"}},
		"unknown field":         {schema.KindInvalid, doc("Category", "a", `{'colour':1}`), []string{"colour is no field of a Category", "description, priority"}},
		"camel case":            {schema.KindInvalid, doc("Group", "a", `{'useCommonPool':true}`), []string{"useCommonPool is no field"}},
		"wrong type":            {schema.KindInvalid, doc("Category", "a", `{'priority':'high'}`), []string{"priority is a text", "whole number"}},
		"fraction":              {schema.KindInvalid, doc("Category", "a", `{'priority':1.5}`), []string{"priority", "whole number"}},
		"out of range":          {schema.KindInvalid, doc("Category", "a", `{'priority':4294967296}`), []string{"out of range"}},
		"number for text":       {schema.KindInvalid, doc("Category", "a", `{'description':12}`), []string{"description is a number", "quotes"}},
		"text for list":         {schema.KindInvalid, doc("Group", "g", `{'vlans':'v1'}`), []string{"vlans is a text", "list"}},
		"text for object":       {schema.KindInvalid, doc("Group", "g", `{'software':'x'}`), []string{"software is a text", "object of fields"}},
		"null in a list":        {schema.KindInvalid, doc("Group", "g", `{'vlans':[null]}`), []string{"vlans[0] is null"}},
		"control character":     {schema.KindInvalid, doc("Category", "a", `{'description':'a\u0007b'}`), []string{"control character"}},
		"key in spec":           {schema.KindInvalid, doc("Category", "a", `{'path':'b'}`), []string{"path is part of the name"}},
		"runtime field":         {schema.KindInvalid, doc("Category", "a", `{'disarm':{}}`), []string{"disarm", "arm and disarm"}},
		"parent missing":        {schema.KindInvalid, doc("Category", "nowhere/x", `{}`), []string{`no category "nowhere"`}},
		"category = group":      {schema.KindConflict, doc("Category", "shop/web", `{}`), []string{"group of this name"}},
		"group = category":      {schema.KindConflict, doc("Group", "shop", `{}`), []string{"category of this name"}},
		"group's category":      {schema.KindInvalid, doc("Group", "g", `{'category':'nowhere'}`), []string{"category", `"nowhere"`, "same call"}},
		"group twice":           {schema.KindExists, doc("Group", "infra/web", `{}`), []string{"shop/web", "unique"}},
		"group moved by chance": {schema.KindExists, doc("Group", "web", `{'category':'infra'}`), []string{`"shop"`, "unique"}},
		"group's name":          {schema.KindInvalid, doc("Group", "a;b", `{}`), []string{"a;b"}},
		"group's length":        {schema.KindInvalid, doc("Group", strings.Repeat("あ", 65), `{}`), []string{"65 characters", "64"}},
		"group's policy":        {schema.KindInvalid, doc("Group", "web", `{'policy':'none'}`), []string{`no policy "none"`}},
		"group's fencing":       {schema.KindInvalid, doc("Group", "web", `{'fencing':'hope'}`), []string{"fencing", "bmc, vcenter"}},
		"group's kind":          {schema.KindConflict, doc("Group", "web", `{'kind':'physical'}`), []string{"model web/web-vm is for vm"}},
		"group's template":      {schema.KindInvalid, doc("Group", "web", `{'templates':['x']}`), []string{"templates[0]", `"x"`, "Software"}},
		"group's software":      {schema.KindInvalid, doc("Group", "web", `{'software':{'run':['x']}}`), []string{`no software "x"`}},
		"software slot":         {schema.KindInvalid, doc("Group", "web", `{'software':{'run_before':['tmpl-web']}}`), []string{"run_before", "run, standby"}},
		"model of no group":     {schema.KindInvalid, doc("Model", "g/m", `{'kind':'vm'}`), []string{`no group "g"`}},
		"model's name":          {schema.KindInvalid, doc("Model", "m", `{}`), []string{"GROUP/NAME"}},
		"model elsewhere":       {schema.KindInvalid, doc("Model", "infra/web/web-vm", `{'cost':11}`), []string{"category", "web/web-vm"}},
		"other kind of model":   {schema.KindConflict, doc("Model", "web/iron", `{'kind':'physical'}`), []string{"one kind"}},
		"cost of a server":      {schema.KindInvalid, doc("Model", "vmservers/esx", `{'cost':1}`), []string{"cost is for models of kind vm"}},
		"capacity of a vm":      {schema.KindInvalid, doc("Model", "web/web-vm", `{'capacity':1}`), []string{"capacity is for models of kind vm-server"}},
		"boundaries":            {schema.KindInvalid, doc("Model", "vmservers/esx", `{'placement':{'enabled':true,'low':50,'high':40}}`), []string{"out of order"}},
		"nested unknown":        {schema.KindInvalid, doc("Model", "vmservers/esx", `{'placement':{'hi':1}}`), []string{"placement.hi", "target_high"}},
		"server model":          {schema.KindInvalid, doc("Model", "web/web-vm", `{'vm_server_model':'web/web-vm'}`), []string{"vm_server_model", "vm-server"}},
		"no server model":       {schema.KindInvalid, doc("Model", "web/web-vm", `{'vm_server_model':'infra/vmservers/x'}`), []string{`no model "vmservers/x"`}},
		"template isn't one":    {schema.KindInvalid, doc("Model", "web/web-vm", `{'template':'x'}`), []string{`no template "x"`}},
		"bad IP":                {schema.KindInvalid, doc("Host", "web/h", `{'nics':[{'addresses':[{'ip':'10.0.0.300'}]}]}`), []string{"nics[0].addresses[0].ip"}},
		"gateway elsewhere":     {schema.KindInvalid, doc("Host", "web/h", `{'nics':[{'addresses':[{'ip':'10.0.0.3','prefix':24,'gateway':'10.0.1.1'}]}]}`), []string{"gateway 10.0.1.1", "10.0.0.0/24"}},
		"address taken":         {schema.KindConflict, doc("Host", "web/h", `{'nics':[{'addresses':[{'ip':'10.0.0.1','prefix':24}]}]}`), []string{"10.0.0.1", "vmservers/esx01"}},
		"two addresses":         {schema.KindInvalid, doc("Host", "web/h", `{'nics':[{'addresses':[{'ip':'10.1.0.1'},{'ip':'10.1.0.2'}]}]}`), []string{"virtual NIC"}},
		"host's name":           {schema.KindInvalid, doc("Host", "web/a b", `{}`), []string{"host name"}},
		"host's machine":        {schema.KindInvalid, doc("Host", "web/web01", `{'machine':'web02'}`), []string{"machine", "Machine document"}},
		"collected field":       {schema.KindInvalid, doc("Machine", "web01", `{'power':'off'}`), []string{"Machine web01", "power is collected, not set"}},
		"collected UUID":        {schema.KindInvalid, doc("Machine", "web01", `{'uuid':'00000000-0000-0000-0002-000000000099'}`), []string{"uuid is collected", "vc1"}},
		"not collected":         {schema.KindMachineNotFound, doc("Machine", "web99", `{'managed':true}`), []string{"run collect", "kind: physical"}},
		"declared VM":           {schema.KindMachineNotFound, doc("Machine", "web99", `{'kind':'vm'}`), []string{"run collect"}},
		"template managed":      {schema.KindInvalid, doc("Machine", "tmpl-web", `{'managed':true}`), []string{"template"}},
		"group without host":    {schema.KindInvalid, doc("Machine", "spare01", `{'group':'web'}`), []string{"without host"}},
		"host in use":           {schema.KindHostSetting, doc("Machine", "spare01", `{'group':'web','host':'web01','model':'web-vm'}`), []string{"web01", "already"}},
		"no such host":          {schema.KindHostSetting, doc("Machine", "spare01", `{'group':'web','host':'web77','model':'web-vm'}`), []string{"web/web77", "Host document"}},
		"no such model":         {schema.KindGroupNotFound, doc("Machine", "spare01", `{'group':'web','host':'web01','model':'x'}`), []string{"web/x"}},
		"other kind of group":   {schema.KindConflict, doc("Machine", "spare01", `{'group':'vmservers','host':'esx01','model':'esx'}`), []string{"vm-server"}},
		"other kind of pool":    {schema.KindConflict, doc("Machine", "spare01", `{'managed':true,'pool_groups':['vmservers']}`), []string{"spare01", "vm-server"}},
		"pool of no group":      {schema.KindGroupNotFound, doc("Machine", "spare01", `{'managed':true,'pool_groups':['x']}`), []string{`"x"`}},
		"re-purposed":           {schema.KindConflict, doc("Machine", "web01", `{'host':'web02'}`), []string{"can't be re-purposed"}},
		"unmanaged in group":    {schema.KindInvalid, doc("Machine", "web01", `{'managed':false}`), []string{"runs in group web"}},
		"capacity of a VM":      {schema.KindInvalid, doc("Machine", "web01", `{'capacity':5}`), []string{"capacity is for VM servers"}},
		"cost of a VM server":   {schema.KindInvalid, doc("Machine", "esx01", `{'cost':5}`), []string{"cost is for VMs"}},
		"BMC of a VM":           {schema.KindInvalid, doc("Machine", "web01", `{'bmc':{'address':'h:1'}}`), []string{"bmc is for"}},
		"BMC without address":   {schema.KindInvalid, doc("Machine", "esx01", `{'bmc':{'address':null}}`), []string{"bmc.address"}},
		"BMC output":            {schema.KindInvalid, doc("Machine", "esx01", `{'bmc':{'password_set':true}}`), []string{"bmc.password_set is output"}},
		"status":                {schema.KindInvalid, doc("Machine", "esx01", `{'status':'in-use'}`), []string{"status", "only abnormal"}},
		"subsystem's kind":      {schema.KindInvalid, doc("Subsystem", "s", `{'kind':'xen','address':'h'}`), []string{"kind", "vcenter"}},
		"subsystem's address":   {schema.KindInvalid, doc("Subsystem", "s", `{}`), []string{"address is missing"}},
		"password in URL":       {schema.KindInvalid, doc("Subsystem", "s", `{'address':'https://u:p@h/'}`), []string{"user or a password"}},
		"CA":                    {schema.KindInvalid, doc("Subsystem", "s", `{'address':'h','ca':'x'}`), []string{"ca holds no certificate"}},
		"thumbprint":            {schema.KindInvalid, doc("Subsystem", "s", `{'address':'h','thumbprint':'12:34'}`), []string{"thumbprint", "64"}},
		"software's kind":       {schema.KindInvalid, doc("Software", "s", `{}`), []string{"kind", "template"}},
		"template in use":       {schema.KindInvalid, doc("Software", "tmpl-web", `{'kind':'script'}`), []string{"cost is for software of kind template"}},
		"template's name":       {schema.KindInvalid, doc("Software", "web 2008", `{'kind':'template'}`), []string{"web 2008", "80"}},
		"software's subsystem":  {schema.KindInvalid, doc("Software", "s", `{'kind':'script','subsystem':'x'}`), []string{`no subsystem "x"`}},
		"notifier":              {schema.KindInvalid, doc("Policy", "p", `{'rules':[{'name':'r','notifier':'x','selector':'y','actions':['notify']}]}`), []string{"rules[0] (r).notifier", "VMwareProvider"}},
		"selector":              {schema.KindInvalid, doc("Policy", "p", `{'rules':[{'notifier':'SystemMonitorEvent','selector':'category:x','actions':['notify']}]}`), []string{"selector", "cpu-failure"}},
		"action":                {schema.KindInvalid, doc("Policy", "p", `{'rules':[{'notifier':'SystemMonitorPerf','selector':'11000006','actions':['explode']}]}`), []string{"actions[0]", "vms-load-balance"}},
		"no action":             {schema.KindInvalid, doc("Policy", "p", `{'rules':[{'notifier':'SystemMonitorPerf','selector':'11000006'}]}`), []string{"actions is empty"}},
		"suppression":           {schema.KindInvalid, doc("Policy", "p", `{'rules':[{'notifier':'SystemMonitorPerf','selector':'11000006','actions':['notify'],'suppress_seconds':-1}]}`), []string{"suppress_seconds"}},
		"builtin":               {schema.KindInvalid, doc("Policy", "standard", `{'builtin':false}`), []string{"builtin"}},
		"OID":                   {schema.KindInvalid, doc("TrapRule", "r", `{'oid':'enterprises.1','notifier':'SNMP','event_id':'x'}`), []string{"oid is"}},
		"variable":              {schema.KindInvalid, doc("TrapRule", "r", `{'oid':'1.3','notifier':'SNMP','event_id':'x','target':'${home}'}`), []string{"target", "${home}", "${agent}"}},
		"regexp":                {schema.KindInvalid, doc("TrapRule", "r", `{'oid':'1.3','match':[{'oid':'1.3','regexp':'('}],'notifier':'SNMP','event_id':'x'}`), []string{"match[0].regexp"}},
		"matches everything":    {schema.KindInvalid, doc("TrapRule", "r", `{'notifier':'SNMP','event_id':'x'}`), []string{"everything"}},
		"settings' name":        {schema.KindInvalid, doc("Settings", "mine", `{}`), []string{"named cluster"}},
		"settings' feature":     {schema.KindInvalid, doc("Settings", "cluster", `{'feature':2}`), []string{"feature"}},
		"settings' range":       {schema.KindInvalid, doc("Settings", "cluster", `{'max_jobs':-1}`), []string{"max_jobs"}},
	} {
		t.Run(name, func(t *testing.T) { refuse(t, c, tt.kind, tt.words, tt.doc) })
	}
	refuse(t, c, schema.KindInvalid, []string{"Group web", "two documents"}, doc("Group", "web", `{}`), doc("group", "shop\\web", `{}`))
	// All or nothing: the first document is right.
	refuse(t, c, schema.KindInvalid, []string{"Category x/y/z"}, doc("Category", "x", `{}`), doc("Category", "x/y/z", `{}`))
}

func TestDocumentsMerge(t *testing.T) {
	c := bootstrapped(t)
	apply(t, c, doc("Category", "a", `{'description':'one','priority':5}`))
	got := apply(t, c, doc("Category", "a", `{'priority':2e1}`))[0]
	if got.Action != fsm.ActionChanged || len(got.Changes) != 1 || got.Changes[0] != "priority: 5 -> 20" {
		t.Errorf("%+v", got)
	}
	got = apply(t, c, doc("category", "a", `{'description':null}`))[0]
	row, _ := fsm.Categories.Get(c.Store().View(), "a")
	if !proto.Equal(row, &schema.Category{Path: "a", Priority: 20}) || got.Changes[0] != "description: one -> none" {
		t.Errorf("%v %+v", row, got)
	}
}

func TestAddressesBecomeURLs(t *testing.T) {
	c := bootstrapped(t)
	for given, want := range map[string]string{"vc.example": "https://vc.example/sdk", "10.0.0.1:8989": "https://10.0.0.1:8989/sdk", "https://vc/other": "https://vc/other"} {
		for range 2 { // the second time it is unchanged
			apply(t, c, doc("Subsystem", "s", `{'address':'`+given+`'}`))
		}
		if s, _ := fsm.Subsystems.Get(c.Store().View(), "s"); s.Address != want {
			t.Errorf("%s became %s, want %s", given, s.Address, want)
		}
	}
	apply(t, c, doc("Machine", "ph01", `{'kind':'physical','bmc':{'address':'10.0.0.2:8443'}}`))
	if m := machine(t, c, "ph01"); m.Bmc.Address != "https://10.0.0.2:8443" {
		t.Errorf("the BMC's address is %s", m.Bmc.Address)
	}
	if got := apply(t, c, doc("Machine", "ph01", `{'kind':'physical','bmc':{'address':'10.0.0.2:8443'}}`)); got[0].Action != fsm.ActionUnchanged {
		t.Errorf("applied again: %+v", got)
	}
}

func TestPasswordsAreSealedAndKept(t *testing.T) {
	c := bootstrapped(t)
	set := func(spec string) fsm.Applied { return apply(t, c, doc("Subsystem", "s", spec))[0] }
	stored := func() string {
		s, _ := fsm.Subsystems.Get(c.Store().View(), "s")
		if strings.Contains(string(s.Password), "hunter") {
			t.Error("the password is stored as it is")
		}
		plain, err := c.Store().Sealer().Open(s.Password)
		if err != nil {
			t.Fatal(err)
		}
		return string(plain)
	}
	for _, change := range set(`{'address':'h:443','password':'hunter2'}`).Changes {
		if strings.Contains(change, "hunter") || strings.HasPrefix(change, "password") && change != "password: changed" {
			t.Errorf("change %q", change)
		}
	}
	if stored() != "hunter2" {
		t.Errorf("stored %q", stored())
	}
	if a := set(`{'password':'hunter2'}`); a.Action != fsm.ActionUnchanged {
		t.Errorf("the same password again: %+v", a)
	}
	o, err := fsm.GetObject(c.Store().View(), "subsystem", "s")
	if err != nil || strings.Contains(string(o.Spec), "password") {
		t.Errorf("spec %s, %v", o.Spec, err)
	}
	if row := o.Row.(*schema.Subsystem); !row.PasswordSet || len(row.Password) > 0 {
		t.Errorf("row %v", row)
	}
	if set(string(o.Spec)); stored() != "hunter2" {
		t.Error("applying what get shows lost the password")
	}
	if a := set(`{'password':null}`); stored() != "" || a.Changes[0] != "password: changed" {
		t.Errorf("null clears: %q, %+v", stored(), a)
	}
}

func TestDocumentsExchangeUniqueValues(t *testing.T) {
	c := bootstrapped(t)
	host := func(name, ip string) fsm.Document {
		return doc("Host", "g/"+name, `{'nics':[{'addresses':[{'ip':'`+ip+`'}]}]}`)
	}
	apply(t, c, host("a", "10.0.0.1"), host("b", "10.0.0.2"), doc("Group", "g", `{}`))
	apply(t, c, host("a", "10.0.0.2"), host("b", "10.0.0.1"))
	for i, s := range c.Stores() {
		for ip, want := range map[string]string{"10.0.0.1": "b", "10.0.0.2": "a"} {
			if h, _ := fsm.Hosts.One(s.View(), fsm.ByAddress, ip); h.GetName() != want {
				t.Errorf("replica %d: %s is of %v", i, ip, h)
			}
		}
	}
	// A verb that fails after an exchange leaves the index whole, too.
	refuse(t, c, schema.KindInvalid, []string{"nowhere"}, host("a", "10.0.0.1"), host("b", "10.0.0.2"), doc("Group", "x", `{'category':'nowhere'}`))
	apply(t, c, doc("Category", "later", `{}`))
	for ip, want := range map[string]string{"10.0.0.1": "b", "10.0.0.2": "a"} {
		if h, _ := fsm.Hosts.One(c.Store().View(), fsm.ByAddress, ip); h.GetName() != want {
			t.Errorf("after a refusal %s is of %v", ip, h)
		}
	}
	// Equal addresses are found in every spelling.
	apply(t, c, host("a", "2001:DB8:0::1"))
	refuse(t, c, schema.KindConflict, []string{"2001:db8::1", "g/a"}, host("b", "2001:db8::1"))
}

func TestVolumesAreSharedOrOnes(t *testing.T) {
	c := bootstrapped(t)
	host := func(name, shared string) fsm.Document {
		return doc("Host", "g/"+name, `{'volumes':[{'subsystem':'tgt1','name':'v1','shared':`+shared+`}]}`)
	}
	apply(t, c, doc("Subsystem", "tgt1", `{'kind':'tgt'}`), doc("Group", "g", `{}`), host("a", "true"))
	refuse(t, c, schema.KindConflict, []string{"v1", "g/a", "alike"}, host("b", "false"))
	apply(t, c, host("b", "true"))
	apply(t, c, doc("Host", "g/a", `{'volumes':[]}`), doc("Host", "g/b", `{'volumes':[]}`))
	apply(t, c, host("a", "false"))
	refuse(t, c, schema.KindConflict, []string{"v1", "g/a", "isn't shared"}, host("b", "false"))
	apply(t, c, host("b", "false"), doc("Host", "g/a", `{'volumes':null}`))
}

func TestGroupMoves(t *testing.T) {
	c := demo(t)
	a := apply(t, c, doc("Group", "shop/web", `{'category':'infra'}`))[0]
	if a.Changes[0] != "category: shop -> infra" {
		t.Errorf("%+v", a)
	}
	if ref, err := fsm.ResolveGroup(c.Store().View(), "infra/web"); err != nil || ref.Group != "web" {
		t.Errorf("%+v %v", ref, err)
	}
}

func TestResolveGroup(t *testing.T) {
	c := demo(t)
	apply(t, c, doc("Category", "shop/eu", `{}`), doc("Category", "shop/eu/web", `{}`))
	v := c.Store().View()
	for path, want := range map[string]string{
		"web": "shop/web", "shop¥web": "shop/web", `shop\web`: "shop/web", "/shop/web/": "shop/web", "web/web-vm": "shop/web/web-vm",
		"shop/web/web-vm": "shop/web/web-vm", "shop": "shop", "shop/eu/web": "shop/eu/web", "infra": "infra", " vmservers ": "infra/vmservers",
	} {
		if got, err := fsm.ResolveGroup(v, path); err != nil || got.String() != want {
			t.Errorf("%q is %v %v, want %s", path, got, err, want)
		}
	}
	for _, path := range []string{"", "/", "x", "infra/web", "shop/web/x", "web//web-vm", "web-vm"} {
		if got, err := fsm.ResolveGroup(v, path); schema.KindOf(err) != schema.KindGroupNotFound {
			t.Errorf("%q is %v %v, want group-not-found", path, got, err)
		}
	}
	if got := len(fsm.GroupsBelow(v, fsm.GroupRef{Category: "shop"})); got != 1 {
		t.Errorf("%d groups below shop", got)
	}
	if _, err := fsm.GetObject(v, "Group", "infra/web"); schema.KindOf(err) != schema.KindGroupNotFound {
		t.Errorf("get with a wrong category: %v", err)
	}
}

func TestListObjectsBelowAPath(t *testing.T) {
	c := demo(t)
	v := c.Store().View()
	for _, tt := range []struct {
		kind, path string
		want       int
	}{
		{"Machine", "", 18}, {"Machine", "shop", 12}, {"machine", "web/web-vm", 12}, {"Host", "infra", 4}, {"Model", "shop", 1}, {"Category", "shop", 1}, {"Group", "", 2},
	} {
		got, err := fsm.ListObjects(v, tt.kind, tt.path)
		if err != nil || len(got) != tt.want {
			t.Errorf("%s below %q: %d, %v, want %d", tt.kind, tt.path, len(got), err, tt.want)
		}
	}
	if _, err := fsm.ListObjects(v, "Policy", "web"); schema.KindOf(err) != schema.KindInvalid {
		t.Errorf("policies of a group: %v", err)
	}
	machines, err := fsm.ListMachines(v, "infra")
	if err != nil || len(machines) != 4 || len(machines[0].Bmc.Password) > 0 || !machines[0].Bmc.PasswordSet {
		t.Errorf("%v %v", machines, err)
	}
	if m, _ := fsm.Machines.Get(v, "esx01"); len(m.Bmc.Password) == 0 {
		t.Error("listing took the password out of the row itself")
	}
}

func TestUnset(t *testing.T) {
	c := demo(t)
	unset := func(kind, name string) error {
		_, err := c.Try(func(tx *fsm.Tx) error { return fsm.Unset(tx, kind, name) })
		return err
	}
	for _, tt := range []struct{ kind, name, user string }{
		{"Category", "shop", "group web"}, {"Group", "shop/web", "model web/web-vm"}, {"Model", "web/web-vm", "machine web01"},
		{"Model", "vmservers/esx", "model web/web-vm"}, {"Host", "web/web01", "machine web01"}, {"Machine", "esx01", "vm web"},
		{"Subsystem", "vc1", "machine esx01"}, {"Software", "tmpl-web", "group web"}, {"Policy", "standard-vms", "standard policy"},
		{"TrapRule", "esmpro", "came with the product"}, {"Settings", "cluster", "always one"}, {"Machine", "spare01", "still reports"},
	} {
		err := unset(tt.kind, tt.name)
		if schema.KindOf(err) != schema.KindConflict || !strings.Contains(err.Error(), tt.user) {
			t.Errorf("%s %s: %v, want a conflict that says %q", tt.kind, tt.name, err, tt.user)
		}
	}
	for kind, want := range map[string]schema.Kind{
		"Machine": schema.KindMachineNotFound, "Group": schema.KindGroupNotFound, "Policy": schema.KindPolicyNotFound, "Software": schema.KindSoftware, "Nothing": schema.KindInvalid,
	} {
		if err := unset(kind, "no-such"); schema.KindOf(err) != want {
			t.Errorf("%s that isn't there: %v, want %s", kind, err, want)
		}
	}
	apply(t, c, doc("Policy", "mine", `{}`), doc("Group", "user", `{'policy':'mine','kind':'vm'}`))
	if err := unset("Policy", "mine"); schema.KindOf(err) != schema.KindConflict || !strings.Contains(err.Error(), "group user") {
		t.Errorf("policy in use: %v", err)
	}
	apply(t, c, doc("Group", "empty", `{}`), doc("Host", "empty/h", `{}`), doc("Machine", "spare01", `{'managed':true,'description':'x'}`))
	for _, o := range [][2]string{{"Host", "empty/h"}, {"Group", "empty"}, {"Machine", "spare01"}} {
		if err := unset(o[0], o[1]); err != nil {
			t.Error(err)
		}
	}
	if m, ok := fsm.Machines.Get(c.Store().View(), "spare01"); !ok || m.Managed || m.Description != "" {
		t.Errorf("a machine that is still reported stays known: %v", m)
	}
}

func TestUnsetSubsystemForgetsWhatItReported(t *testing.T) {
	c := bootstrapped(t)
	apply(t, c, doc("Subsystem", "vc1", `{'address':'h'}`))
	c.Do(func(tx *fsm.Tx) error {
		_, err := fsm.Collected(tx, "vc1", report(), fsm.Complete)
		return err
	})
	c.Do(func(tx *fsm.Tx) error { return fsm.Unset(tx, "Subsystem", "vc1") })
	if n := fsm.Machines.Len(c.Store().View()); n != 0 {
		t.Errorf("%d machines are left", n)
	}
}

func TestTooManyDocuments(t *testing.T) {
	c := bootstrapped(t)
	_, err := c.Try(func(tx *fsm.Tx) error {
		_, err := fsm.ApplyDocuments(tx, make([]fsm.Document, 50001))
		return err
	})
	var e *schema.Error
	if !errors.As(err, &e) || e.Kind != schema.KindTooLarge {
		t.Fatal(err)
	}
}
