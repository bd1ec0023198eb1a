package fsm_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// doc makes a document; spec is JSON with ' for ".
func doc(kind, name, spec string) fsm.Document {
	return fsm.Document{Kind: kind, Name: name, Spec: []byte(strings.ReplaceAll(spec, "'", `"`))}
}

// bootstrapped is a cluster that is set up.
func bootstrapped(t testing.TB) *fsmtest.Cluster {
	t.Helper()
	c := fsmtest.New(t)
	c.Do(func(tx *fsm.Tx) error {
		return fsm.Bootstrap(tx, fsm.BootstrapSpec{Admin: "admin", AdminHash: []byte("hash"), Cluster: "c1"})
	})
	return c
}

func apply(t testing.TB, c *fsmtest.Cluster, docs ...fsm.Document) []fsm.Applied {
	t.Helper()
	var out []fsm.Applied
	c.Do(func(tx *fsm.Tx) (err error) {
		out, err = fsm.ApplyDocuments(tx, docs)
		return err
	})
	return out
}

// report is what the demo's vCenter tells.
func report() []*schema.Machine {
	var out []*schema.Machine
	for i := range 4 {
		out = append(out, &schema.Machine{
			Name: fmt.Sprintf("esx%02d", i+1), Uuid: fmt.Sprintf("00000000-0000-0000-0001-%012d", i+1), Kind: schema.MachineVMServer, Power: schema.PowerOn,
			Connected: true, Datacenter: "DC1", Datastores: []string{"shared01"}, SharedDatastores: []string{"shared01"}, Networks: []string{"VM Network"},
			Nics: []*schema.NIC{{Mac: fmt.Sprintf("52:54:00:00:01:%02x", i+1)}}, Cpus: 16, MemoryMib: 65536, CpuMhz: 40000,
		})
	}
	vm := func(n int, name string) *schema.Machine {
		return &schema.Machine{
			Name: name, Uuid: fmt.Sprintf("00000000-0000-0000-0002-%012d", n), Kind: schema.MachineVM, Power: schema.PowerOn, Connected: true, Datacenter: "DC1",
			Datastores: []string{"shared01"}, Networks: []string{"VM Network"}, VmServer: fmt.Sprintf("esx%02d", n%4+1),
			Nics: []*schema.NIC{{Mac: fmt.Sprintf("52:54:00:00:02:%02x", n), Network: "VM Network"}}, Cpus: 2, MemoryMib: 2048,
		}
	}
	for i := range 12 {
		out = append(out, vm(i+1, fmt.Sprintf("web%02d", i+1)))
	}
	tmpl := vm(100, "tmpl-web")
	tmpl.Template, tmpl.Power = true, schema.PowerOff
	return append(out, vm(13, "spare01"), tmpl)
}

// demoDocs are the objects of the demo world, those that are referred to last.
func demoDocs() []fsm.Document {
	var docs []fsm.Document
	for i := range 4 {
		n := fmt.Sprintf("esx%02d", i+1)
		docs = append(docs,
			doc("Machine", n, `{'managed':true,'group':'infra¥vmservers','host':'`+n+`','model':'esx','bmc':{'address':'https://127.0.0.31:8443','user':'root','password':'calvin'}}`),
			doc("Host", "infra/vmservers/"+n, fmt.Sprintf(`{'nics':[{'addresses':[{'ip':'10.0.0.%d','prefix':24}]}]}`, i+1)))
	}
	for i := range 12 {
		n := fmt.Sprintf("web%02d", i+1)
		docs = append(docs, doc("Machine", n, `{'managed':true,'group':'shop/web','host':'`+n+`','model':'web-vm'}`), doc("Host", `web\`+n, `{}`))
	}
	return append(docs,
		doc("Model", "shop¥web¥web-vm", `{'kind':'vm','cost':10,'template':'tmpl-web','optimal_start':true,'vm_server_model':'infra/vmservers/esx'}`),
		doc("Model", "vmservers/esx", `{'capacity':200}`),
		doc("Group", "shop¥web", `{'templates':['tmpl-web']}`),
		doc("Group", "vmservers", `{'category':'infra','kind':'vm-server','policy':'standard-vms'}`),
		doc("Software", "tmpl-web", `{'kind':'template','subsystem':'vc1','cost':10,'os':'linux'}`),
		doc("Category", "shop", `{}`), doc("Category", "infra", ``),
	)
}

// demo is a cluster with the demo world.
func demo(t testing.TB) *fsmtest.Cluster {
	t.Helper()
	c := bootstrapped(t)
	apply(t, c, doc("Subsystem", "vc1", `{'kind':'vcenter','address':'https://127.0.0.21:8989/sdk','user':'admin','password':'secret'}`))
	c.Do(func(tx *fsm.Tx) error {
		problems, err := fsm.Collected(tx, "vc1", report(), fsm.Complete)
		if len(problems) > 0 {
			t.Errorf("problems: %v", problems)
		}
		return err
	})
	apply(t, c, demoDocs()...)
	return c
}

func TestDemoWorld(t *testing.T) {
	c := demo(t)
	v := c.Store().View()
	running, pool, err := fsm.GroupMachines(v, "shop¥web")
	if err != nil || len(running) != 12 || len(pool) != 0 || running[0].Host != "web01" {
		t.Fatalf("%d running, %d in the pool, %v", len(running), len(pool), err)
	}
	h, _ := fsm.Hosts.Get(v, "vmservers/esx02")
	if h.GetMachine() != "esx02" {
		t.Fatalf("host esx02 is of %q", h.GetMachine())
	}
	// The same documents again, in another order, change nothing.
	index := v.Index()
	for _, a := range apply(t, c, append(demoDocs()[7:], demoDocs()[:7]...)...) {
		if a.Action != fsm.ActionUnchanged {
			t.Errorf("%s %s: %s %v", a.Kind, a.Name, a.Action, a.Changes)
		}
	}
	if got := c.Store().View().Index(); got != index {
		t.Errorf("applying again made entry %d", got)
	}
	// And so does what get shows.
	var docs []fsm.Document
	for _, kind := range fsm.DocumentKinds() {
		objects, err := fsm.ListObjects(v, kind, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			if !json.Valid(o.Spec) || strings.Contains(string(o.Spec), "secret") {
				t.Errorf("%s %s has the spec %s", o.Kind, o.Name, o.Spec)
			}
			docs = append(docs, fsm.Document{Kind: o.Kind, Name: o.Name, Spec: o.Spec})
		}
	}
	for _, a := range apply(t, c, docs...) {
		if a.Action != fsm.ActionUnchanged {
			t.Errorf("%s %s: %s %v", a.Kind, a.Name, a.Action, a.Changes)
		}
	}
	s, _ := fsm.Subsystems.Get(c.Store().View(), "vc1")
	if plain, err := c.Store().Sealer().Open(s.Password); err != nil || string(plain) != "secret" {
		t.Errorf("the stored password is %q, %v", plain, err)
	}
}
