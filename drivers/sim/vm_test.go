package sim

import (
	"testing"
	"time"

	"github.com/vmware/govmomi/event"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func TestPowerOfVM(t *testing.T) {
	e := start(t, quick())
	vm := e.vm("spare01")
	e.must(vm.PowerOn(e.ctx))
	if got := e.fault(vm.PowerOn(e.ctx)); got != "InvalidPowerState" {
		t.Errorf("power on twice: %s", got)
	}
	e.must(vm.Reset(e.ctx))
	e.must(vm.Suspend(e.ctx))
	e.must(vm.PowerOn(e.ctx))
	e.must(vm.PowerOff(e.ctx))
	tmpl := e.vm("tmpl-web")
	if _, err := tmpl.PowerOn(e.ctx); err == nil {
		t.Error("a template was switched on")
	}
	e.wantLedger(
		"vc1 power-on spare01 ok",
		"vc1 power-on spare01 failed: InvalidPowerState",
		"vc1 reset spare01 ok",
		"vc1 suspend spare01 ok",
		"vc1 power-on spare01 ok",
		"vc1 power-off spare01 ok",
		"vc1 power-on tmpl-web failed: it is a template",
	)
}

func TestOneTaskForOneRequest(t *testing.T) {
	e := start(t, quick())
	e.must(e.vm("spare01").PowerOn(e.ctx))
	if n := len(e.vmProps("spare01").RecentTask); n != 1 {
		t.Errorf("spare01 shows %d tasks for one request", n)
	}
}

func TestGuestIsAsked(t *testing.T) {
	e := start(t, quick())
	vm := e.vm("web01")
	before := e.vmProps("web01").Runtime.BootTime
	if err := vm.RebootGuest(e.ctx); err != nil {
		t.Fatal(err)
	}
	e.eventually("web01 has rebooted", func() bool {
		now := e.vmProps("web01").Runtime.BootTime
		return now != nil && (before == nil || now.After(*before))
	})
	if err := vm.ShutdownGuest(e.ctx); err != nil {
		t.Fatal(err)
	}
	e.eventually("web01 is off", func() bool {
		return e.vmProps("web01").Runtime.PowerState == types.VirtualMachinePowerStatePoweredOff
	})
	if err := vm.ShutdownGuest(e.ctx); err == nil {
		t.Error("a guest that is off was asked to shut down")
	}
	e.wantLedger("vc1 reboot web01 ok", "vc1 shutdown web01 ok", "vc1 shutdown web01 failed: InvalidPowerState")
}

// cardMAC is the address of a VM's first network card.
func cardMAC(m mo.VirtualMachine) string {
	for _, d := range m.Config.Hardware.Device {
		if c, ok := d.(types.BaseVirtualEthernetCard); ok {
			return c.GetVirtualEthernetCard().MacAddress
		}
	}
	return ""
}

func TestCloneCustomizeDestroy(t *testing.T) {
	e := start(t, quick())
	folders, err := object.NewDatacenter(e.client, e.sim.vc.dc).Folders(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	h := e.host("esx03")
	pool, err := h.ResourcePool(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	spec := types.VirtualMachineCloneSpec{
		Location: types.VirtualMachineRelocateSpec{Host: types.NewReference(h.Reference()), Pool: types.NewReference(pool.Reference())},
		PowerOn:  true,
		Config: &types.VirtualMachineConfigSpec{
			NumCPUs: 3, ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: tokenKey, Value: "tok-1"}},
		},
		Customization: &types.CustomizationSpec{
			Identity: &types.CustomizationLinuxPrep{HostName: &types.CustomizationFixedName{Name: "web13"}, Domain: "example.org"},
			NicSettingMap: []types.CustomizationAdapterMapping{{
				Adapter: types.CustomizationIPSettings{Ip: &types.CustomizationFixedIp{IpAddress: "192.0.2.13"}},
			}},
		},
	}
	e.must(e.vm("tmpl-web").Clone(e.ctx, folders.VmFolder, "web13", spec))
	m := e.vmProps("web13")
	if m.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn || m.Guest.HostName != "web13" || m.Guest.IpAddress != "192.0.2.13" ||
		m.Config.Hardware.NumCPU != 3 || *m.Runtime.Host != h.Reference() {
		t.Errorf("web13: %s host name %q address %q CPUs %d", m.Runtime.PowerState, m.Guest.HostName, m.Guest.IpAddress, m.Config.Hardware.NumCPU)
	}
	if mac, tmpl := cardMAC(m), cardMAC(e.vmProps("tmpl-web")); mac == "" || mac == tmpl {
		t.Errorf("web13's card has the address %q, the template's has %q", mac, tmpl)
	}
	if got := e.fault(e.vm("tmpl-web").Clone(e.ctx, folders.VmFolder, "web13", spec)); got != "DuplicateName" {
		t.Errorf("clone of the same name: %s", got)
	}
	if got := e.fault(e.vm("web13").Destroy(e.ctx)); got != "InvalidPowerState" {
		t.Errorf("destroy while on: %s", got)
	}
	e.must(e.vm("web13").PowerOff(e.ctx))
	e.must(e.vm("web13").Destroy(e.ctx))
	if _, err := e.find.VirtualMachine(e.ctx, "web13"); err == nil {
		t.Error("web13 is still there")
	}
	e.wantLedger(
		"vc1 clone web13 ok", "vc1 clone web13 failed: DuplicateName",
		"vc1 destroy web13 failed: InvalidPowerState", "vc1 power-off web13 ok", "vc1 destroy web13 ok",
	)
	entries, err := e.sim.Ledger()
	if err != nil || entries[0].Token != "tok-1" {
		t.Errorf("token of the clone: %+v %v", entries[0], err)
	}
}

func TestDelayIsVisibleAndExclusive(t *testing.T) {
	e := start(t, quick())
	if _, err := e.sim.Delay("power-on", time.Hour); err != nil {
		t.Fatal(err)
	}
	vm := e.vm("spare01")
	slow, err := vm.PowerOn(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	var m mo.Task
	if err := slow.Properties(e.ctx, slow.Reference(), []string{"info"}, &m); err != nil {
		t.Fatal(err)
	}
	if m.Info.State != types.TaskInfoStateRunning || m.Info.Entity == nil || *m.Info.Entity != vm.Reference() {
		t.Errorf("task: %s %v", m.Info.State, m.Info.Entity)
	}
	if got := e.vmProps("spare01").Runtime.PowerState; got != types.VirtualMachinePowerStatePoweredOff {
		t.Errorf("spare01 is %s while the task runs", got)
	}
	if _, err := vm.PowerOn(e.ctx); err == nil {
		t.Error("a second task was accepted")
	}
	e.wantLedger("vc1 power-on spare01 failed: TaskInProgress")
}

func TestOperationIDIsTheToken(t *testing.T) {
	e := start(t, quick())
	ctx := e.ctx
	e.ctx = contextWithID(ctx, "tok-7")
	e.must(e.vm("spare01").PowerOn(e.ctx))
	entries, err := e.sim.Ledger()
	if err != nil || len(entries) != 1 || entries[0].Token != "tok-7" {
		t.Errorf("%+v %v", entries, err)
	}
}

func TestFailureIsUsedUp(t *testing.T) {
	e := start(t, quick())
	if _, err := e.sim.Fail("power-on", 1); err != nil {
		t.Fatal(err)
	}
	if got := e.fault(e.vm("spare01").PowerOn(e.ctx)); got != "SystemError (failure put in by ctl)" {
		t.Errorf("fault: %s", got)
	}
	e.must(e.vm("spare01").PowerOn(e.ctx))
}

func TestRegisterKeepsSettings(t *testing.T) {
	e := start(t, quick())
	before := e.vmProps("spare01")
	if err := e.vm("spare01").Unregister(e.ctx); err != nil {
		t.Fatal(err)
	}
	if err := e.vm("web01").Unregister(e.ctx); err == nil {
		t.Error("a running VM was unregistered")
	}
	folders, err := object.NewDatacenter(e.client, e.sim.vc.dc).Folders(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	h := e.host("esx04")
	pool, err := h.ResourcePool(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	e.must(folders.VmFolder.RegisterVM(e.ctx, before.Config.Files.VmPathName, "spare01", false, pool, h))
	after := e.vmProps("spare01")
	if after.Config.Uuid != before.Config.Uuid || after.Config.Hardware.NumCPU != before.Config.Hardware.NumCPU ||
		after.Config.Hardware.MemoryMB != before.Config.Hardware.MemoryMB ||
		len(after.Config.Hardware.Device) != len(before.Config.Hardware.Device) || after.Summary.Config.Uuid != before.Config.Uuid {
		t.Errorf("settings were lost: %+v", after.Summary.Config)
	}
	if got := e.serverOf("spare01"); got != "esx04" {
		t.Errorf("spare01 is on %s", got)
	}
	e.must(e.vm("spare01").PowerOn(e.ctx))
	e.wantLedger("vc1 unregister spare01 ok", "vc1 unregister web01 failed: InvalidPowerState",
		"vc1 register spare01 ok", "vc1 power-on spare01 ok")
}

func TestPowerOnSeveral(t *testing.T) {
	e := start(t, quick())
	req := types.PowerOnMultiVM_Task{This: e.sim.vc.dc, Vm: []types.ManagedObjectReference{e.vm("spare01").Reference()}}
	res, err := methods.PowerOnMultiVM_Task(e.ctx, e.client, &req)
	if err != nil {
		t.Fatal(err)
	}
	info := e.must(object.NewTask(e.client, res.Returnval), nil)
	attempted := info.Result.(types.ClusterPowerOnVmResult).Attempted
	if len(attempted) != 1 {
		t.Fatalf("attempted %v", attempted)
	}
	e.must(object.NewTask(e.client, *attempted[0].Task), nil)
	e.wantLedger("vc1 power-on spare01 ok")
}

func TestUnknownReferences(t *testing.T) {
	e := start(t, quick())
	ref := func(kind, value string) *types.ManagedObjectReference {
		return &types.ManagedObjectReference{Type: kind, Value: value}
	}
	h := e.host("esx01")
	pool, err := h.ResourcePool(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	pools := types.NewReference(pool.Reference())
	c := e.client
	for what, call := range map[string]func() error{
		"relocate to a server": func() error {
			_, err := e.vm("web01").Relocate(e.ctx, types.VirtualMachineRelocateSpec{Host: ref("HostSystem", "host-9"), Pool: pools}, "")
			return err
		},
		"relocate to a datastore": func() error {
			_, err := e.vm("web01").Relocate(e.ctx, types.VirtualMachineRelocateSpec{Datastore: ref("Datastore", "datastore-9")}, "")
			return err
		},
		"clone into a folder": func() error {
			_, err := e.vm("tmpl-web").Clone(e.ctx, object.NewFolder(c, *ref("Folder", "group-v9")), "x",
				types.VirtualMachineCloneSpec{Location: types.VirtualMachineRelocateSpec{Pool: pools}})
			return err
		},
		"power on a VM": func() error {
			_, err := object.NewVirtualMachine(c, *ref("VirtualMachine", "vm-9")).PowerOn(e.ctx)
			return err
		},
		"a view of a container": func() error {
			_, err := view.NewManager(c).CreateContainerView(e.ctx, *ref("Datacenter", "datacenter-9"), nil, true)
			return err
		},
		"properties": func() error {
			var m mo.VirtualMachine
			return property.DefaultCollector(c).RetrieveOne(e.ctx, *ref("VirtualMachine", "vm-9"), []string{"name"}, &m)
		},
		"events of an object": func() error {
			_, err := event.NewManager(c).QueryEvents(e.ctx, types.EventFilterSpec{
				Entity: &types.EventFilterSpecByEntity{Entity: *ref("HostSystem", "host-9"), Recursion: types.EventFilterSpecRecursionOptionAll},
			})
			return err
		},
	} {
		err := call()
		if err == nil || !soap.IsSoapFault(err) || faultName(soap.ToSoapFault(err).VimFault()) != "ManagedObjectNotFound" {
			t.Errorf("%s that doesn't exist: %v", what, err)
		}
	}
	e.must(e.vm("spare01").PowerOn(e.ctx)) // all still works
}

func TestIdleCollectorsAreDestroyed(t *testing.T) {
	e := start(t, quick())
	pc, err := property.DefaultCollector(e.client).Create(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	look := func() error {
		var m mo.HostSystem
		return pc.RetrieveOne(e.ctx, e.host("esx01").Reference(), []string{"name"}, &m)
	}
	if err := look(); err != nil {
		t.Fatal(err)
	}
	if n := e.sim.vc.collectors.sweep(time.Now()); n != 0 {
		t.Errorf("%d collectors in use were destroyed", n)
	}
	if n := e.sim.vc.collectors.sweep(time.Now().Add(2 * collectorIdle)); n == 0 {
		t.Error("no idle collector was destroyed")
	}
	if err := look(); err == nil {
		t.Error("the collector still works")
	}
	if got := e.vmProps("web01").Name; got != "web01" { // the session's own collector does
		t.Errorf("name %q", got)
	}
}
