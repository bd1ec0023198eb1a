package sim

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// Many clients relocate, switch, clone and delete while servers die and come
// back. Afterwards all records agree with each other and with the ledger.
func TestStorm(t *testing.T) {
	e := start(t, quick())
	folders, err := object.NewDatacenter(e.client, e.sim.vc.dc).Folders(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	servers := []string{"esx01", "esx02", "esx03", "esx04"}
	hosts, pools := map[string]*object.HostSystem{}, map[string]*object.ResourcePool{}
	for _, s := range servers {
		hosts[s] = e.host(s)
		if pools[s], err = hosts[s].ResourcePool(e.ctx); err != nil {
			t.Fatal(err)
		}
	}
	tmpl := e.vm("tmpl-web")
	vms := map[string]*object.VirtualMachine{}
	for i := 1; i <= 12; i++ {
		name := fmt.Sprintf("web%02d", i)
		vms[name] = e.vm(name)
	}
	// Failures are part of the storm; only a lost connection isn't.
	wait := func(task *object.Task, err error) bool { return err == nil && task.Wait(e.ctx) == nil }

	var wg sync.WaitGroup
	for name, vm := range vms {
		wg.Go(func() {
			for round := range 6 {
				to := servers[(round+len(name)+int(name[4]))%len(servers)]
				wait(vm.Relocate(e.ctx, types.VirtualMachineRelocateSpec{
					Host: types.NewReference(hosts[to].Reference()), Pool: types.NewReference(pools[to].Reference()),
				}, ""))
				if !wait(vm.PowerOn(e.ctx)) {
					wait(vm.PowerOff(e.ctx))
				}
			}
		})
	}
	for n := range 2 {
		wg.Go(func() {
			for round := range 3 {
				to := servers[(n+round)%len(servers)]
				name := fmt.Sprintf("new%d-%d", n, round)
				if !wait(tmpl.Clone(e.ctx, folders.VmFolder, name, types.VirtualMachineCloneSpec{
					Location: types.VirtualMachineRelocateSpec{Host: types.NewReference(hosts[to].Reference()), Pool: types.NewReference(pools[to].Reference())},
				})) {
					continue
				}
				made, err := e.find.VirtualMachine(e.ctx, name)
				if err != nil {
					t.Error(err)
					continue
				}
				if round == 0 {
					wait(made.Destroy(e.ctx))
				}
			}
		})
	}
	wg.Go(func() {
		for round := range 8 {
			name := servers[1+round%3]
			if _, err := e.sim.HostDown(name, round%2 == 0); err != nil {
				t.Error(err)
			}
			if _, err := e.sim.HostUp(e.ctx, name); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	e.agree(servers)
}

// agree checks that the lists of VMs match where the VMs say that they are.
func (e *env) agree(servers []string) {
	e.Helper()
	all, err := e.find.VirtualMachineList(e.ctx, "*")
	if err != nil {
		e.Fatal(err)
	}
	want := map[types.ManagedObjectReference][]types.ManagedObjectReference{}
	for _, vm := range all {
		var m mo.VirtualMachine
		if err := vm.Properties(e.ctx, vm.Reference(), []string{"runtime", "summary.runtime"}, &m); err != nil {
			e.Fatal(err)
		}
		if *m.Runtime.Host != *m.Summary.Runtime.Host || m.Runtime.PowerState != m.Summary.Runtime.PowerState {
			e.Errorf("%s: runtime %v %s, summary %v %s", vm.Name(), m.Runtime.Host, m.Runtime.PowerState, m.Summary.Runtime.Host, m.Summary.Runtime.PowerState)
		}
		if m.Runtime.ConnectionState != types.VirtualMachineConnectionStateConnected {
			e.Errorf("%s is %s", vm.Name(), m.Runtime.ConnectionState)
		}
		want[*m.Runtime.Host] = append(want[*m.Runtime.Host], vm.Reference())
	}
	order := func(a, b types.ManagedObjectReference) int {
		if a.Value < b.Value {
			return -1
		}
		return 1
	}
	for _, s := range servers {
		h := e.hostProps(s)
		got := h.Vm
		slices.SortFunc(got, order)
		slices.SortFunc(want[h.Self], order)
		if !slices.Equal(got, want[h.Self]) {
			e.Errorf("%s lists %v, the VMs on it are %v", s, got, want[h.Self])
		}
	}
	// The last word of the ledger about each VM's server is where it is.
	last := map[string]string{}
	entries, err := e.sim.Ledger()
	if err != nil {
		e.Fatal(err)
	}
	for _, l := range entries {
		var from, to string
		if l.OK() && (l.Op == OpMigrate || l.Op == OpRegister) {
			if n, err := fmt.Sscanf(l.Detail, "from %s to %5s", &from, &to); n != 2 {
				e.Fatalf("detail %q: %v", l.Detail, err)
			}
			last[l.Object] = to
		}
	}
	if len(last) == 0 {
		e.Error("nothing was ever relocated")
	}
	for vm, server := range last {
		if got := e.serverOf(vm); got != server {
			e.Errorf("%s is on %s, the ledger says %s", vm, got, server)
		}
	}
}
