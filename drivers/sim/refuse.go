package sim

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// The VM servers are those of the world, each with its machine and BMC, so
// vCenter's ways to add and remove servers are refused rather than left to
// vcsim, which knows nothing of machines.

// DestroyTask would remove the server from vCenter.
func (f *hostFace) DestroyTask(*simulator.Context, *types.Destroy_Task) soap.HasFault {
	return &methods.Destroy_TaskBody{Fault_: simulator.Fault("the servers of the simulated world can't be removed", new(types.NotSupported))}
}

// AddStandaloneHostTask would add a server to vCenter.
func (f *folderFace) AddStandaloneHostTask(*simulator.Context, *types.AddStandaloneHost_Task) soap.HasFault {
	return &methods.AddStandaloneHost_TaskBody{Fault_: simulator.Fault("the simulated world has no more servers", new(types.NotSupported))}
}

// CreateClusterEx would make a cluster; the manual allows none (5.2.11).
func (f *folderFace) CreateClusterEx(*simulator.Context, *types.CreateClusterEx) soap.HasFault {
	return &methods.CreateClusterExBody{Fault_: simulator.Fault("the simulated world has no clusters", new(types.NotSupported))}
}

// dcFace serves the one method of a datacenter that changes VMs.
type dcFace struct {
	unlocked
	dc *simulator.Datacenter
	v  *vcenter
}

// Reference names the datacenter.
func (f *dcFace) Reference() types.ManagedObjectReference { return f.dc.Self }

// PowerOnMultiVMTask switches several VMs on, each by a task of its own.
func (f *dcFace) PowerOnMultiVMTask(ctx *simulator.Context, req *types.PowerOnMultiVM_Task) soap.HasFault {
	body := new(methods.PowerOnMultiVM_TaskBody)
	result := types.ClusterPowerOnVmResult{}
	for _, ref := range req.Vm {
		vm, ok := f.v.reg.Get(ref).(*simulator.VirtualMachine)
		if !ok {
			fault := &types.ManagedObjectNotFound{Obj: ref}
			body.Fault_ = simulator.Fault(faultText(fault), fault)
			return body
		}
		task, fault := f.v.powerOn(ctx, vm)
		if fault != nil {
			result.NotAttempted = append(result.NotAttempted, types.ClusterNotAttemptedVmInfo{
				Vm: ref, Fault: types.LocalizedMethodFault{Fault: fault, LocalizedMessage: faultText(fault)},
			})
			continue
		}
		result.Attempted = append(result.Attempted, types.ClusterAttemptedVmInfo{Vm: ref, Task: &task})
	}
	t := simulator.CreateTask(f.dc.Self, "powerOnMultiVM", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return result, nil
	})
	body.Res = &types.PowerOnMultiVM_TaskResponse{Returnval: t.Run(ownContext(ctx))}
	return body
}
