package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

func (e *env) down(name string, bmcToo bool) {
	e.Helper()
	if _, err := e.sim.HostDown(name, bmcToo); err != nil {
		e.Fatal(err)
	}
}

func (e *env) up(name string) {
	e.Helper()
	if _, err := e.sim.HostUp(e.ctx, name); err != nil {
		e.Fatal(err)
	}
}

func TestFailoverOfAServer(t *testing.T) {
	e := start(t, quick())
	vms := e.hostVMs("esx02")
	if want := []string{"web02", "web06", "web10"}; !slices.Equal(vms, want) {
		t.Fatalf("esx02 has %v, want %v", vms, want)
	}
	e.down("esx02", false)
	h := e.hostProps("esx02")
	if h.Runtime.ConnectionState != types.HostSystemConnectionStateNotResponding || h.Runtime.PowerState != types.HostSystemPowerStateUnknown ||
		h.OverallStatus != types.ManagedEntityStatusRed || h.Summary.Runtime.ConnectionState != h.Runtime.ConnectionState {
		t.Errorf("esx02: %s %s %s", h.Runtime.ConnectionState, h.Runtime.PowerState, h.OverallStatus)
	}
	if len(h.TriggeredAlarmState) != 1 || h.TriggeredAlarmState[0].OverallStatus != types.ManagedEntityStatusRed {
		t.Errorf("alarms of esx02: %+v", h.TriggeredAlarmState)
	}
	web := e.vmProps("web02")
	if web.Runtime.ConnectionState != types.VirtualMachineConnectionStateDisconnected || web.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
		t.Errorf("web02: %s %s", web.Runtime.ConnectionState, web.Runtime.PowerState)
	}
	if got := e.fault(e.vm("web02").PowerOff(e.ctx)); got != "HostNotConnected" {
		t.Errorf("power off on a dead server: %s", got)
	}
	if m := e.machineStatus("esx02"); m.Power != "on" || m.Running != 0 || m.Phase != "hung" {
		t.Errorf("the truth about esx02: %+v", m)
	}

	e.must(e.relocate("web02", "esx03"))
	web = e.vmProps("web02")
	if web.Runtime.ConnectionState != types.VirtualMachineConnectionStateConnected || web.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff ||
		*web.Runtime.Host != e.host("esx03").Reference() || web.Config.Hardware.NumCPU != 2 {
		t.Errorf("web02 after failover: %s %s", web.Runtime.ConnectionState, web.Runtime.PowerState)
	}
	e.must(e.vm("web02").PowerOn(e.ctx))
	if got := e.hostVMs("esx02"); slices.Contains(got, "web02") {
		t.Errorf("esx02 still has %v", got)
	}
	if got := e.hostVMs("esx03"); !slices.Contains(got, "web02") {
		t.Errorf("esx03 has only %v", got)
	}

	e.up("esx02")
	if got := e.hostVMs("esx02"); slices.Contains(got, "web02") {
		t.Errorf("esx02 has %v back", got)
	}
	web = e.vmProps("web06") // stayed on esx02 and died with it
	if web.Runtime.ConnectionState != types.VirtualMachineConnectionStateConnected || web.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff {
		t.Errorf("web06: %s %s", web.Runtime.ConnectionState, web.Runtime.PowerState)
	}
	if h := e.hostProps("esx02"); len(h.TriggeredAlarmState) != 0 {
		t.Errorf("alarms of esx02: %+v", h.TriggeredAlarmState)
	}
	e.wantLedger("vc1 power-off web02 failed: HostNotConnected", "vc1 register web02 ok", "vc1 power-on web02 ok")
	e.must(e.relocate("web02", "esx04"))
	e.must(e.relocate("web06", "esx04"))
	events := e.events()
	for kind, text := range map[string]string{
		"HostConnectionLostEvent": "esx02", "HostConnectedEvent": "esx02", "EventEx": "Host connection state",
		"AlarmStatusChangedEvent": "Alarm 'Host connection state' on esx02 changed from ", "VmRegisteredEvent": "web02",
		"VmPoweredOnEvent": "web02", "VmMigratedEvent": "esx04",
	} {
		if got, ok := events[kind]; !ok || !strings.Contains(got, text) {
			t.Errorf("%s (there: %t): %q lacks %q", kind, ok, got, text)
		}
	}
}

func TestRelocateIsChecked(t *testing.T) {
	e := start(t, quick())
	e.must(e.relocate("web01", "esx02")) // hot
	if got := e.serverOf("web01"); got != "esx02" || e.vmProps("web01").Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
		t.Errorf("web01 is on %s", got)
	}
	e.must(e.relocate("web01", "esx02")) // there already

	h := e.host("esx03")
	_, err := e.vm("web01").Relocate(e.ctx, types.VirtualMachineRelocateSpec{Host: types.NewReference(h.Reference())}, "")
	if err == nil {
		t.Error("relocated without naming the pool of the other server")
	}
	pool, err := e.host("esx04").ResourcePool(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.vm("web01").Relocate(e.ctx, types.VirtualMachineRelocateSpec{
		Host: types.NewReference(h.Reference()), Pool: types.NewReference(pool.Reference()),
	}, "")
	if err == nil {
		t.Error("relocated into the pool of a third server")
	}

	e.down("esx03", false)
	if got := e.fault(e.relocate("web01", "esx03")); got != "HostNotConnected" {
		t.Errorf("to a dead server: %s", got)
	}
	if _, err := e.host("esx04").EnterMaintenanceMode(e.ctx, 1, false, nil); err != nil {
		t.Fatal(err)
	}
	local, err := e.find.Datastore(e.ctx, "local-esx02")
	if err != nil {
		t.Fatal(err)
	}
	move := types.VirtualMachineRelocateSpec{Datastore: types.NewReference(local.Reference())}
	e.must(e.vm("web01").Relocate(e.ctx, move, ""))
	if got := e.fault(e.relocate("web01", "esx01")); got != "InaccessibleDatastore" {
		t.Errorf("to a server without the datastore: %s", got)
	}
	if m := e.vmProps("web01"); m.Config.Files.VmPathName != "[local-esx02] web01/web01.vmx" || m.Summary.Config.VmPathName != m.Config.Files.VmPathName {
		t.Errorf("web01 is at %s, %s", m.Config.Files.VmPathName, m.Summary.Config.VmPathName)
	}
	if len(e.vmProps("web01").Datastore) != 1 || e.vmProps("web01").Datastore[0] != local.Reference() {
		t.Error("web01 is not on the local datastore")
	}
	e.down("esx02", false)
	if got := e.fault(e.relocate("web01", "esx01")); got != "InaccessibleDatastore" {
		t.Errorf("failover from a local datastore: %s", got)
	}
	e.wantLedger(
		"vc1 migrate web01 ok", "vc1 migrate web01 noop",
		"vc1 migrate web01 failed: InvalidArgument", "vc1 migrate web01 failed: InvalidArgument",
		"vc1 migrate web01 failed: HostNotConnected",
		"vc1 move web01 ok",
		"vc1 migrate web01 failed: InaccessibleDatastore", "vc1 register web01 failed: InaccessibleDatastore",
	)
}

func TestMigrateVM(t *testing.T) {
	e := start(t, quick())
	h := e.host("esx02")
	pool, err := h.ResourcePool(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	e.must(e.vm("web01").Migrate(e.ctx, pool, h, types.VirtualMachineMovePriorityDefaultPriority, types.VirtualMachinePowerStatePoweredOn))
	if got := e.serverOf("web01"); got != "esx02" {
		t.Errorf("web01 is on %s", got)
	}
	if _, err := e.vm("web01").Migrate(e.ctx, pool, h, types.VirtualMachineMovePriorityDefaultPriority, types.VirtualMachinePowerStatePoweredOff); err == nil {
		t.Error("the wanted power state was not checked")
	}
}

func TestMaintenance(t *testing.T) {
	e := start(t, quick())
	h := e.host("esx04")
	if got := e.fault(h.EnterMaintenanceMode(e.ctx, 1, false, nil)); got != "Timedout" {
		t.Errorf("maintenance of a busy server: %s", got)
	}
	entering, err := h.EnterMaintenanceMode(e.ctx, 0, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, vm := range e.hostVMs("esx04") {
		e.must(e.relocate(vm, "esx01"))
	}
	e.must(entering, nil) // ends by itself when the last VM is gone
	if !e.hostProps("esx04").Runtime.InMaintenanceMode {
		t.Error("esx04 is not in maintenance mode")
	}
	e.must(h.EnterMaintenanceMode(e.ctx, 1, false, nil))
	if got := e.fault(e.relocate("web01", "esx04")); got != "InvalidHostState" {
		t.Errorf("to a server in maintenance: %s", got)
	}
	e.must(h.ExitMaintenanceMode(e.ctx, 1))
	e.must(e.relocate("spare01", "esx04"))
	led := e.ledger()
	for _, want := range []string{
		"vc1 maintenance-on esx04 failed: Timedout", "vc1 maintenance-on esx04 ok", "vc1 maintenance-on esx04 noop", "vc1 maintenance-off esx04 ok",
	} {
		if !slices.Contains(led, want) {
			t.Errorf("ledger lacks %q: %v", want, led)
		}
	}
}

func TestMaintenanceCanBeCancelled(t *testing.T) {
	e := start(t, quick())
	task, err := e.host("esx01").EnterMaintenanceMode(e.ctx, 0, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := task.Cancel(e.ctx); err != nil {
		t.Fatal(err)
	}
	if got := e.fault(task, nil); got != "RequestCanceled" {
		t.Errorf("fault: %s", got)
	}
	e.eventually("the cancelled task is recorded", func() bool {
		return slices.Contains(e.ledger(), "vc1 maintenance-on esx01 failed: RequestCanceled")
	})
	if e.hostProps("esx01").Runtime.InMaintenanceMode {
		t.Error("esx01 is in maintenance mode all the same")
	}
}

func TestPowerOfServerThroughVCenter(t *testing.T) {
	e := start(t, quick())
	h := e.host("esx04")
	ref := h.Reference()
	shutdown := func(force bool) (*object.Task, error) {
		res, err := methods.ShutdownHost_Task(e.ctx, e.client, &types.ShutdownHost_Task{This: ref, Force: force})
		if err != nil {
			return nil, err
		}
		return object.NewTask(e.client, res.Returnval), nil
	}
	if got := e.fault(shutdown(false)); got != "InvalidHostState" {
		t.Errorf("shutdown without maintenance: %s", got)
	}
	for _, vm := range e.hostVMs("esx04") {
		e.must(e.relocate(vm, "esx01"))
	}
	down, err := methods.PowerDownHostToStandBy_Task(e.ctx, e.client, &types.PowerDownHostToStandBy_Task{This: ref, TimeoutSec: 5})
	if err != nil {
		t.Fatal(err)
	}
	e.must(object.NewTask(e.client, down.Returnval), nil)
	if p := e.hostProps("esx04"); p.Runtime.PowerState != types.HostSystemPowerStateStandBy || e.machineStatus("esx04").Power != "off" {
		t.Errorf("esx04 is %s, its power %s", p.Runtime.PowerState, e.machineStatus("esx04").Power)
	}
	wake, err := methods.PowerUpHostFromStandBy_Task(e.ctx, e.client, &types.PowerUpHostFromStandBy_Task{This: ref, TimeoutSec: 5})
	if err != nil {
		t.Fatal(err)
	}
	e.must(object.NewTask(e.client, wake.Returnval), nil)
	if p := e.hostProps("esx04"); p.Runtime.PowerState != types.HostSystemPowerStatePoweredOn || p.Runtime.ConnectionState != types.HostSystemConnectionStateConnected {
		t.Errorf("esx04 is %s %s", p.Runtime.PowerState, p.Runtime.ConnectionState)
	}
	boot, err := methods.RebootHost_Task(e.ctx, e.client, &types.RebootHost_Task{This: ref, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	e.must(object.NewTask(e.client, boot.Returnval), nil)
	e.eventually("esx04 is back", func() bool { return e.machineStatus("esx04").Phase == "up" })
	e.must(shutdown(true))
	e.eventually("esx04 is off", func() bool { return e.machineStatus("esx04").Phase == "off" })
	if p := e.hostProps("esx04").Runtime.PowerState; p != types.HostSystemPowerStatePoweredOff {
		t.Errorf("vCenter shows %s", p)
	}
}

func TestDisconnectLeavesVMsRunning(t *testing.T) {
	e := start(t, quick())
	h := e.host("esx01")
	e.must(h.Disconnect(e.ctx))
	if m := e.machineStatus("esx01"); m.VCenter != string(types.HostSystemConnectionStateDisconnected) || m.Running != 3 {
		t.Errorf("esx01: %+v", m)
	}
	if got := e.fault(e.relocate("web01", "esx02")); got != "HostNotConnected" {
		t.Errorf("relocate from a disconnected server that lives: %s", got)
	}
	e.must(h.Reconnect(e.ctx, nil, nil))
	if p := e.vmProps("web01").Runtime; p.PowerState != types.VirtualMachinePowerStatePoweredOn || p.ConnectionState != types.VirtualMachineConnectionStateConnected {
		t.Errorf("web01: %s %s", p.PowerState, p.ConnectionState)
	}
}

// A watcher with a filter on leaf properties must learn of the death of a server.
func TestWatchersSeeDeath(t *testing.T) {
	e := start(t, quick())
	h := e.host("esx02")
	pc, err := property.DefaultCollector(e.client).Create(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	filter := new(property.WaitFilter).Add(h.Reference(), "HostSystem", []string{"runtime.connectionState", "runtime.powerState", "overallStatus"})
	filter.Add(e.vm("web02").Reference(), "VirtualMachine", []string{"runtime.connectionState"})
	filter.Options = &types.WaitOptions{MaxWaitSeconds: types.NewInt32(20)}
	got := map[string]any{}
	crashed := false
	err = property.WaitForUpdates(e.ctx, pc, filter, func(updates []types.ObjectUpdate) bool {
		for _, u := range updates {
			for _, c := range u.ChangeSet {
				got[u.Obj.Type+" "+c.Name] = c.Val
			}
		}
		if !crashed {
			crashed = true
			e.down("esx02", false)
		}
		return got["HostSystem runtime.connectionState"] == types.HostSystemConnectionStateNotResponding &&
			got["HostSystem runtime.powerState"] == types.HostSystemPowerStateUnknown &&
			got["HostSystem overallStatus"] == types.ManagedEntityStatusRed &&
			got["VirtualMachine runtime.connectionState"] == types.VirtualMachineConnectionStateDisconnected
	})
	if err != nil {
		t.Errorf("%v; seen: %v", err, got)
	}
}

func TestLoad(t *testing.T) {
	e := start(t, quick())
	if _, err := e.sim.Load("esx01", 80); err != nil {
		t.Fatal(err)
	}
	h := e.hostProps("esx01")
	size := h.Summary.Hardware.CpuMhz * int32(h.Summary.Hardware.NumCpuCores)
	if got := h.Summary.QuickStats.OverallCpuUsage; got != size*80/100 {
		t.Errorf("CPU of esx01: %d of %d MHz", got, size)
	}
	if len(h.TriggeredAlarmState) != 1 || h.TriggeredAlarmState[0].OverallStatus != types.ManagedEntityStatusYellow {
		t.Errorf("alarms: %+v", h.TriggeredAlarmState)
	}
	before := e.hostProps("esx02").Summary.QuickStats.OverallCpuUsage
	if _, err := e.sim.Load("web02", 95); err != nil {
		t.Fatal(err)
	}
	if got := e.vmProps("web02").Summary.QuickStats.OverallCpuUsage; got != 2*2400*95/100 {
		t.Errorf("CPU of web02: %d MHz", got)
	}
	if after := e.hostProps("esx02").Summary.QuickStats.OverallCpuUsage; after <= before {
		t.Errorf("esx02 uses %d MHz, %d before", after, before)
	}
	if _, err := e.sim.Clear(e.ctx); err != nil {
		t.Fatal(err)
	}
	if got := e.hostProps("esx02").Summary.QuickStats.OverallCpuUsage; got != before {
		t.Errorf("after clear esx02 uses %d MHz, %d before", got, before)
	}
	if h := e.hostProps("esx01"); len(h.TriggeredAlarmState) != 0 {
		t.Errorf("alarms after clear: %+v", h.TriggeredAlarmState)
	}
}

func TestLoadGoesWithTheVMs(t *testing.T) {
	e := start(t, quick())
	used := func(name string) int32 { return e.hostProps(name).Summary.QuickStats.OverallCpuUsage }
	if _, err := e.sim.Load("esx01", 80); err != nil {
		t.Fatal(err)
	}
	full, idle, part := used("esx01"), used("esx02"), e.vmProps("web01").Summary.QuickStats.OverallCpuUsage
	e.must(e.relocate("web01", "esx02"))
	if got := used("esx01"); got != full-part {
		t.Errorf("esx01 uses %d MHz without web01, which uses %d, and used %d with it", got, part, full)
	}
	if got := used("esx02"); got != idle+part {
		t.Errorf("esx02 uses %d MHz with web01, which uses %d, and used %d without it", got, part, idle)
	}
}

func TestCloseEndsTasksAndWaits(t *testing.T) {
	e := start(t, quick())
	if _, err := e.sim.Delay("power-on", time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := e.vm("spare01").PowerOn(e.ctx); err != nil {
		t.Fatal(err)
	}
	pc, err := property.DefaultCollector(e.client).Create(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	waiting, ended := make(chan struct{}), make(chan error, 1)
	esx01 := e.host("esx01").Reference()
	go func() {
		first := true
		filter := new(property.WaitFilter).Add(esx01, "HostSystem", []string{"name"})
		ended <- property.WaitForUpdates(e.ctx, pc, filter, func([]types.ObjectUpdate) bool {
			if first {
				first = false
				close(waiting)
			}
			return false
		})
	}()
	<-waiting
	if err := e.sim.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("the watcher ended well")
	}
}
