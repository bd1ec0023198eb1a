package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseWorld(t *testing.T) {
	w, err := ParseWorld([]byte(`
vcenter: vc9
shared_datastores: [fast, slow]
vm_servers:
  - {name: "h%d", count: 3, cpus: 8, memory_gib: 64}
machines: [{name: db, off: true}]
vms:
  - {name: "a%02d", count: 4, datastore: slow}
  - {name: b, server: h3, cpus: 4}
`))
	if err != nil {
		t.Fatal(err)
	}
	l, err := w.layout()
	if err != nil {
		t.Fatal(err)
	}
	var vms []string
	for _, vm := range l.vms {
		vms = append(vms, fmt.Sprintf("%s@%s/%s", vm.Name, vm.Server, vm.Datastore))
	}
	if got, want := strings.Join(vms, " "), "a01@h1/slow a02@h2/slow a03@h3/slow a04@h1/slow b@h3/fast"; got != want {
		t.Errorf("VMs %s, want %s", got, want)
	}
	if len(l.servers) != 3 || l.servers[0].CPUMHz != 2400 || !l.machines[0].Off {
		t.Errorf("machines %+v %+v", l.servers, l.machines)
	}
}

func TestBadWorlds(t *testing.T) {
	const ok = "shared_datastores: [s]\nvm_servers: [{name: h}]\n"
	for what, text := range map[string]string{
		"at least one":      "shared_datastores: [s]\n",
		"have no place":     "vm_servers: [{name: h}]\n",
		"not found in type": ok + "colour: blue\n",
		"has that name":     ok + "vms: [{name: h}]\n",
		"number verb":       ok + "vms: [{name: a, count: 2}]\n",
		"no other %":        ok + "vms: [{name: 'a%d%s', count: 2}]\n",
		"can't be a name":   ok + "vms: [{name: a b}]\n",
		"not a VM server":   ok + "vms: [{name: a, server: z}]\n",
		"doesn't mount":     ok + "vms: [{name: a, datastore: z}]\n",
		"out of range":      ok + "vms: [{name: 'a%d', count: -1}]\n",
		"can't be the name": "shared_datastores: ['[x]']\nvm_servers: [{name: h}]\n",
	} {
		if _, err := ParseWorld([]byte(text)); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("want an error with %q, got %v", what, err)
		}
	}
	if _, err := LoadWorld(filepath.Join(t.TempDir(), "none.yaml")); err == nil {
		t.Error("a missing file was read")
	}
}

func TestIdentitiesAreStable(t *testing.T) {
	if got, want := nameUUID("vm", "web01"), nameUUID("vm", "web01"); got != want {
		t.Errorf("%s, %s", got, want)
	}
	seen := map[string]bool{}
	for i := range 1000 {
		for _, id := range []string{nameUUID("vm", fmt.Sprint(i)), nameMAC("vm", fmt.Sprint(i), 0)} {
			if seen[id] {
				t.Fatalf("%s twice", id)
			}
			seen[id] = true
		}
	}
	if u := nameUUID("vm", "x"); len(u) != 36 || u[14] != '5' {
		t.Errorf("UUID %s", u)
	}
}

func TestLargerWorld(t *testing.T) {
	cfg := quick()
	w := LargeWorld(10, 80)
	cfg.World = &w
	e := start(t, cfg)
	if n := len(e.sim.Status().VMs); n != 81 {
		t.Errorf("%d VMs", n)
	}
	e.down("esx0007", false)
	for _, vm := range e.hostVMs("esx0007") {
		e.must(e.relocate(vm, "esx0008"))
	}
	if n := len(e.hostVMs("esx0008")); n < 16 {
		t.Errorf("esx0008 has %d VMs", n)
	}
}

func TestReadLedgerLeavesOutHalfALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	if err := os.WriteFile(path, []byte(`{"op":"clone","object":"a","result":"ok"}`+"\n"+`{"op":"cl`), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := ReadLedger(path)
	if err != nil || len(l) != 1 || !l[0].OK() || l[0].Failed() {
		t.Errorf("%+v %v", l, err)
	}
	if err := os.WriteFile(path, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLedger(path); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("error: %v", err)
	}
}

func TestRules(t *testing.T) {
	r := newRules()
	if err := r.setFail("relocate", 2); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, true, false} {
		if got := r.takeFailure(OpMove); got != want {
			t.Errorf("failure %d: %t", i, got)
		}
	}
	if err := r.setDelay("clone", time.Second); err != nil || r.delayOf(OpClone) != time.Second {
		t.Errorf("delay %s %v", r.delayOf(OpClone), err)
	}
	if err := r.setDelay("clone", 0); err != nil || r.delayOf(OpClone) != 0 {
		t.Errorf("delay %s %v", r.delayOf(OpClone), err)
	}
}
