package sim

import (
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
)

func TestCreateReconfigureRename(t *testing.T) {
	e := start(t, quick())
	folders, err := object.NewDatacenter(e.client, e.sim.vc.dc).Folders(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := e.host("esx02").ResourcePool(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	spec := types.VirtualMachineConfigSpec{
		Name: "blank", GuestId: "otherGuest", Files: &types.VirtualMachineFileInfo{VmPathName: "[shared01]"},
		ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: tokenKey, Value: "tok-c"}},
	}
	e.must(folders.VmFolder.CreateVM(e.ctx, spec, pool, nil))
	if got := e.serverOf("blank"); got != "esx02" {
		t.Errorf("blank is on %s", got)
	}
	e.must(e.vm("blank").Reconfigure(e.ctx, types.VirtualMachineConfigSpec{NumCPUs: 8}))
	if n := e.vmProps("blank").Config.Hardware.NumCPU; n != 8 {
		t.Errorf("blank has %d CPUs", n)
	}
	e.must(e.vm("blank").Rename(e.ctx, "filled"))
	if got := e.vmProps("filled").Name; got != "filled" {
		t.Errorf("the name is %q", got)
	}
	other := e.host("esx03")
	if got := e.fault(folders.VmFolder.CreateVM(e.ctx, spec, pool, other)); got != "InvalidArgument" {
		t.Errorf("a server that doesn't own the pool: %s", got)
	}
	e.down("esx02", false)
	if got := e.fault(e.vm("filled").Reconfigure(e.ctx, types.VirtualMachineConfigSpec{NumCPUs: 2})); got != "HostNotConnected" {
		t.Errorf("reconfigure on a dead server: %s", got)
	}
	e.wantLedger("vc1 create blank ok", "vc1 reconfigure blank ok", "vc1 rename blank ok",
		"vc1 create blank failed: InvalidArgument", "vc1 reconfigure filled failed: HostNotConnected")
	if entries, err := e.sim.Ledger(); err != nil || entries[0].Token != "tok-c" {
		t.Errorf("token %+v %v", entries[0], err)
	}
}

func TestCloneIsChecked(t *testing.T) {
	e := start(t, quick())
	folders, err := object.NewDatacenter(e.client, e.sim.vc.dc).Folders(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	clone := func(server string) string {
		t.Helper()
		spec := types.VirtualMachineCloneSpec{}
		if server != "" {
			pool, err := e.host(server).ResourcePool(e.ctx)
			if err != nil {
				t.Fatal(err)
			}
			spec.Location.Pool = types.NewReference(pool.Reference())
		}
		return e.fault(e.vm("tmpl-web").Clone(e.ctx, folders.VmFolder, "web13", spec))
	}
	if got := clone(""); got != "InvalidArgument" {
		t.Errorf("without a pool: %s", got)
	}
	e.down("esx02", false)
	if got := clone("esx02"); got != "HostNotConnected" {
		t.Errorf("to a dead server: %s", got)
	}
	e.down("esx01", false)
	if got := clone("esx03"); got != "HostNotConnected" {
		t.Errorf("from a template of a dead server: %s", got)
	}
}

func TestRegisterIsChecked(t *testing.T) {
	e := start(t, quick())
	folders, err := object.NewDatacenter(e.client, e.sim.vc.dc).Folders(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	register := func(path, server string) string {
		t.Helper()
		pool, err := e.host(server).ResourcePool(e.ctx)
		if err != nil {
			t.Fatal(err)
		}
		return e.fault(folders.VmFolder.RegisterVM(e.ctx, path, "x", false, pool, nil))
	}
	taken := e.vmProps("web01").Config.Files.VmPathName
	e.down("esx02", false)
	for _, c := range []struct{ path, server, want string }{
		{"nonsense", "esx01", "InvalidDatastorePath"},
		{"[nowhere] x/x.vmx", "esx01", "InvalidDatastore"},
		{"[local-esx02] x/x.vmx", "esx01", "InvalidDatastore"},
		{taken, "esx01", "AlreadyExists"},
		{taken, "esx02", "HostNotConnected"},
	} {
		if got := register(c.path, c.server); got != c.want {
			t.Errorf("register %s on %s: %s, want %s", c.path, c.server, got, c.want)
		}
	}
	// The record of a VM that died with its server may go, and come back elsewhere.
	path := e.vmProps("web02").Config.Files.VmPathName
	if err := e.vm("web02").Unregister(e.ctx); err != nil {
		t.Fatal(err)
	}
	pool, err := e.host("esx03").ResourcePool(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	e.must(folders.VmFolder.RegisterVM(e.ctx, path, "web02", false, pool, nil))
	e.must(e.vm("web02").PowerOn(e.ctx))
}

func TestWorldCannotGrowServers(t *testing.T) {
	e := start(t, quick())
	folders, err := object.NewDatacenter(e.client, e.sim.vc.dc).Folders(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := folders.HostFolder.AddStandaloneHost(e.ctx, types.HostConnectSpec{HostName: "esx05"}, true, nil, nil); err == nil {
		t.Error("a server was added")
	}
	if _, err := folders.HostFolder.CreateCluster(e.ctx, "c1", types.ClusterConfigSpecEx{}); err == nil {
		t.Error("a cluster was made")
	}
	if _, err := e.host("esx01").Destroy(e.ctx); err == nil {
		t.Error("a server was removed")
	}
}
