package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// build fills vcsim's registry with the world. Nobody else uses it yet, so
// fields are set without locks.
func (v *vcenter) build(ctx context.Context) error {
	root := v.reg.Get(v.svcContent().RootFolder).(*simulator.Folder)
	res := root.CreateDatacenter(v.call(), &types.CreateDatacenter{This: root.Self, Name: v.sim.world.Datacenter})
	if err := faultError(res); err != nil {
		return fmt.Errorf("datacenter %s: %w", v.sim.world.Datacenter, err)
	}
	v.dc = res.(*methods.CreateDatacenterBody).Res.Returnval
	dc := v.reg.Get(v.dc).(*simulator.Datacenter)
	hostFolder := v.reg.Get(dc.HostFolder).(*simulator.Folder)
	for i, spec := range v.sim.layout.servers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := v.addHost(hostFolder, spec, i); err != nil {
			return fmt.Errorf("VM server %s: %w", spec.Name, err)
		}
	}
	v.finishDatastores(dc)
	for i, spec := range v.sim.layout.vms {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := v.addVM(dc, spec, i); err != nil {
			return fmt.Errorf("VM %s: %w", spec.Name, err)
		}
	}
	if err := v.addAlarms(); err != nil {
		return err
	}
	for _, host := range v.hosts {
		ctx := v.call()
		for _, vm := range v.vmsOn(ctx, host) {
			v.publishVMLoad(ctx, vm, host)
		}
		v.showHostLoad(ctx, host)
		if m := v.machineOf(host); m.phase != phaseUp {
			v.hostGone(m, types.HostSystemPowerStateUnknown)
		}
	}
	return nil
}

func (v *vcenter) svcContent() types.ServiceContent {
	return v.reg.Get(types.ManagedObjectReference{Type: "ServiceInstance", Value: "ServiceInstance"}).(*simulator.ServiceInstance).Content
}

func (v *vcenter) addHost(folder *simulator.Folder, spec MachineSpec, n int) error {
	host, fault := simulator.CreateStandaloneHost(v.call(), folder, types.HostConnectSpec{HostName: spec.Name})
	if fault != nil {
		return fmt.Errorf("%T", fault)
	}
	v.hosts[spec.Name] = host
	v.describeHost(host, spec, n)
	stores := v.sim.world.SharedDatastores
	if v.sim.world.LocalDatastores {
		stores = append(stores[:len(stores):len(stores)], localDatastore(spec.Name))
	}
	sys := v.reg.Get(*host.ConfigManager.DatastoreSystem).(*simulator.HostDatastoreSystem)
	for _, name := range stores {
		dir := filepath.Join(v.dir, name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		res := sys.CreateLocalDatastore(v.call(), &types.CreateLocalDatastore{This: sys.Self, Name: name, Path: dir})
		if err := faultError(res); err != nil {
			return fmt.Errorf("datastore %s: %w", name, err)
		}
	}
	return nil
}

// describeHost gives a host, made from vcsim's one template, its own identity and size.
func (v *vcenter) describeHost(host *simulator.HostSystem, spec MachineSpec, n int) {
	now := time.Now()
	uuid := nameUUID("machine", spec.Name)
	cores := int16(spec.CPUs)
	hw := host.Summary.Hardware
	hw.Uuid, hw.Vendor, hw.Model = uuid, "Yagura", "Simulated server"
	hw.CpuModel = fmt.Sprintf("Simulated CPU @ %d MHz", spec.CPUMHz)
	hw.MemorySize = spec.MemoryGiB << 30
	hw.CpuMhz = int32(spec.CPUMHz)
	hw.NumCpuPkgs, hw.NumCpuCores, hw.NumCpuThreads = 2, cores, cores
	host.Hardware.SystemInfo.Uuid = uuid
	host.Hardware.SystemInfo.Vendor, host.Hardware.SystemInfo.Model = hw.Vendor, hw.Model
	host.Hardware.SystemInfo.SerialNumber = "SIM-" + spec.Name
	host.Hardware.MemorySize = hw.MemorySize
	host.Hardware.CpuInfo.NumCpuPackages, host.Hardware.CpuInfo.NumCpuCores, host.Hardware.CpuInfo.NumCpuThreads = 2, cores, cores
	host.Hardware.CpuInfo.Hz = int64(spec.CPUMHz) * 1_000_000
	for i := range host.Config.Network.Pnic {
		host.Config.Network.Pnic[i].Mac = nameMAC("machine", spec.Name, i)
	}
	for i := range host.Config.Network.Vnic {
		host.Config.Network.Vnic[i].Spec.Mac = nameMAC("vmk", spec.Name, i)
		if ip := host.Config.Network.Vnic[i].Spec.Ip; ip != nil {
			ip.IpAddress, ip.SubnetMask = hostIP(n), "255.254.0.0"
		}
	}
	host.Summary.Config.VmotionEnabled = true
	host.Runtime.ConnectionState = types.HostSystemConnectionStateConnected
	host.Runtime.PowerState = types.HostSystemPowerStatePoweredOn
	host.Runtime.BootTime = &now
	host.Runtime.InMaintenanceMode = false
	host.OverallStatus = types.ManagedEntityStatusGreen
	host.Summary.OverallStatus = types.ManagedEntityStatusGreen
	cr := v.reg.Get(*host.Parent).(*mo.ComputeResource)
	sum := cr.Summary.GetComputeResourceSummary()
	sum.NumCpuCores, sum.NumCpuThreads = cores, cores
	sum.TotalCpu = int32(spec.CPUs * spec.CPUMHz)
	sum.EffectiveCpu = sum.TotalCpu
	sum.TotalMemory, sum.EffectiveMemory = hw.MemorySize, spec.MemoryGiB<<10
}

// hostIP and guestIP are addresses of the range for benchmarks (RFC 2544);
// they are shown and never used.
func hostIP(n int) string  { return fmt.Sprintf("198.18.%d.%d", n/250, n%250+1) }
func guestIP(n int) string { return fmt.Sprintf("198.19.%d.%d", n/250, n%250+1) }

// finishDatastores gives the datastores the type and size of the world.
func (v *vcenter) finishDatastores(dc *simulator.Datacenter) {
	for _, ref := range dc.Datastore {
		ds := v.reg.Get(ref).(*simulator.Datastore)
		shared := len(ds.Host) > 1
		size := v.sim.world.CapacityGiB << 30
		ds.Summary.Type = string(types.HostFileSystemVolumeFileSystemTypeVMFS)
		ds.Summary.MultipleHostAccess = types.NewBool(shared)
		ds.Summary.Capacity, ds.Summary.FreeSpace = size, size
		ds.Info.GetDatastoreInfo().FreeSpace = size
	}
}

func (v *vcenter) addVM(dc *simulator.Datacenter, spec VMSpec, n int) error {
	host := v.hosts[spec.Server]
	cr := v.reg.Get(*host.Parent).(*mo.ComputeResource)
	uuid := nameUUID("vm", spec.Name)
	config := types.VirtualMachineConfigSpec{
		Name: spec.Name, Uuid: uuid, InstanceUuid: nameUUID("vm-instance", spec.Name),
		GuestId: string(types.VirtualMachineGuestOsIdentifierOtherLinux64Guest),
		NumCPUs: int32(spec.CPUs), MemoryMB: spec.MemoryMiB,
		Files: &types.VirtualMachineFileInfo{VmPathName: "[" + spec.Datastore + "]"},
	}
	var devices object.VirtualDeviceList
	scsi, err := devices.CreateSCSIController("pvscsi")
	if err != nil {
		return err
	}
	disk := devices.CreateDisk(scsi.(types.BaseVirtualController), types.ManagedObjectReference{}, "")
	disk.CapacityInKB = spec.DiskGiB << 20
	nic, err := devices.CreateEthernetCard("vmxnet3", &types.VirtualEthernetCardNetworkBackingInfo{
		VirtualDeviceDeviceBackingInfo: types.VirtualDeviceDeviceBackingInfo{DeviceName: vmNetwork},
	})
	if err != nil {
		return err
	}
	card := nic.(types.BaseVirtualEthernetCard).GetVirtualEthernetCard()
	card.MacAddress, card.AddressType = nameMAC("vm", spec.Name, 0), string(types.VirtualEthernetCardMacTypeManual)
	config.DeviceChange, err = append(devices, scsi, disk, nic).ConfigSpec(types.VirtualDeviceConfigSpecOperationAdd)
	if err != nil {
		return err
	}
	ctx := v.call()
	folder := v.reg.Get(dc.VmFolder).(*simulator.Folder)
	res := folder.CreateVMTask(ctx, &types.CreateVM_Task{This: folder.Self, Config: config, Pool: *cr.ResourcePool, Host: &host.Self})
	info := v.finish(res.(*methods.CreateVM_TaskBody).Res.Returnval)
	if info.Error != nil {
		return fmt.Errorf("%T: %s", info.Error.Fault, info.Error.LocalizedMessage)
	}
	vm := v.reg.Get(info.Result.(types.ManagedObjectReference)).(*simulator.VirtualMachine)
	vm.Guest.HostName, vm.Guest.IpAddress = spec.Name, guestIP(n)
	vm.Summary.Guest.HostName, vm.Summary.Guest.IpAddress = spec.Name, guestIP(n)
	switch {
	case spec.Template:
		return faultError(vm.MarkAsTemplate(&types.MarkAsTemplate{This: vm.Self}))
	case !spec.Off && v.machineOf(host).runsVMs():
		info = v.finish(vm.PowerOnVMTask(ctx, &types.PowerOnVM_Task{This: vm.Self}).(*methods.PowerOnVM_TaskBody).Res.Returnval)
		if info.Error != nil {
			return fmt.Errorf("%T: %s", info.Error.Fault, info.Error.LocalizedMessage)
		}
		v.showGuest(ctx, vm, true)
	}
	return nil
}

// vmNetwork is the one network of vcsim's datacenter; every server has it.
const vmNetwork = "VM Network"

// faultError turns a SOAP fault into an error.
func faultError(res soap.HasFault) error {
	f := res.Fault()
	if f == nil {
		return nil
	}
	if vf := f.VimFault(); vf != nil {
		return errors.New(faultName(vf))
	}
	return errors.New(f.String)
}
