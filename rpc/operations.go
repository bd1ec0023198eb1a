package rpc

import (
	"context"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// operationsService starts jobs: each method writes a job row, which the
// scheduler then runs.
type operationsService struct {
	api.UnimplementedOperationsServer
	s *Server
}

// jobs runs a verb that queues jobs, once the names given to it can be any.
func (o operationsService) jobs(ctx context.Context, n names, verb func(tx *fsm.Tx) ([]string, error)) (*api.JobsReply, error) {
	reply := &api.JobsReply{}
	err := o.s.write(ctx, reply, func(tx *fsm.Tx) error {
		err := n.check(tx)
		if err != nil {
			return err
		}
		reply.Jobs, err = verb(tx)
		return err
	})
	return reply, err
}

func (o operationsService) Power(ctx context.Context, req *api.PowerRequest) (*api.JobsReply, error) {
	return o.jobs(ctx, names{groups: []string{req.Group}, hosts: req.Hosts}, func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestPower(tx, req.Op, req.Group, req.Hosts)
	})
}

func (o operationsService) AddVM(ctx context.Context, req *api.AddVMRequest) (*api.JobsReply, error) {
	n := names{groups: []string{req.Group}, machines: []string{req.VmServer}, netinfo: req.Netinfo}
	if req.Existing {
		n.machines = append(n.machines, req.Vm)
	} else {
		n.vm = req.Vm
	}
	return o.jobs(ctx, n, func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestAddVM(tx, fsm.AddVM{
			Group: req.Group, VM: req.Vm, VMServer: req.VmServer, Datastore: req.Datastore, NetInfo: req.Netinfo, Existing: req.Existing,
		})
	})
}

func (o operationsService) DeleteVM(ctx context.Context, req *api.DeleteVMRequest) (*api.JobsReply, error) {
	return o.jobs(ctx, names{groups: []string{req.Group}, hosts: []string{req.Host}}, func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestDeleteVM(tx, req.Group, req.Host, req.Keep)
	})
}

func (o operationsService) MigrateVM(ctx context.Context, req *api.MigrateVMRequest) (*api.JobsReply, error) {
	n := names{groups: []string{req.Group}, hosts: []string{req.Host}, machines: []string{req.VmServer}}
	return o.jobs(ctx, n, func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestMigrateVM(tx, fsm.MigrateVM{
			Group: req.Group, Host: req.Host, VMServer: req.VmServer, Move: req.Move, Recreate: req.Recreate,
		})
	})
}

func (o operationsService) Evacuate(ctx context.Context, req *api.EvacuateRequest) (*api.JobsReply, error) {
	if req.VmServer == "" {
		return nil, schema.Errorf(schema.KindInvalid, "evacuate", "the VM server is missing")
	}
	return o.jobs(ctx, names{machines: []string{req.VmServer}}, func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestEvacuate(tx, req.VmServer, req.Failover)
	})
}

func (o operationsService) ChangeUse(ctx context.Context, req *api.ChangeUseRequest) (*api.JobsReply, error) {
	n := names{groups: []string{req.Group, req.Source}, hosts: []string{req.Host}}
	return o.jobs(ctx, n, func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestChangeUse(tx, fsm.ChangeUse{Dest: req.Group, Source: req.Source, Host: req.Host, Count: int(req.Count)})
	})
}

func (o operationsService) ReplaceMachine(ctx context.Context, req *api.ReplaceMachineRequest) (*api.JobsReply, error) {
	n := names{groups: []string{req.Group}, hosts: []string{req.Host}}
	return o.jobs(ctx, n, func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestReplace(tx, req.Group, req.Host)
	})
}

func (o operationsService) AddMachines(ctx context.Context, req *api.AddMachinesRequest) (*api.JobsReply, error) {
	n := names{groups: []string{req.Group}, machines: []string{req.Machine}, netinfo: req.Netinfo}
	return o.jobs(ctx, n, func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestAddMachine(tx, fsm.AddMachine{Group: req.Group, Machine: req.Machine, NetInfo: req.Netinfo, Count: int(req.Count), Master: req.Master})
	})
}

func (o operationsService) RemoveMachines(ctx context.Context, req *api.RemoveMachinesRequest) (*api.JobsReply, error) {
	n := names{groups: []string{req.Group}, hosts: []string{req.Host}}
	return o.jobs(ctx, n, func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestRemoveMachine(tx, fsm.RemoveMachine{Group: req.Group, Host: req.Host, Count: int(req.Count)})
	})
}

func (o operationsService) Deploy(ctx context.Context, req *api.DeployRequest) (*api.JobsReply, error) {
	n := names{groups: []string{req.Group}, hosts: []string{req.Host}, machines: []string{req.Machine}, software: req.Software}
	return o.jobs(ctx, n, func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestDeploy(tx, fsm.Deploy{
			Group: req.Group, Host: req.Host, Machine: req.Machine,
			Software: req.Software, Only: req.Only, Full: req.Full, Sequential: req.Sequential,
		})
	})
}

func (o operationsService) ChangePool(ctx context.Context, req *api.ChangePoolRequest) (*api.JobsReply, error) {
	n := names{groups: []string{req.Group}, machines: []string{req.Machine}}
	return o.jobs(ctx, n, func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestPool(tx, req.Group, req.Machine, !req.Remove)
	})
}

func (o operationsService) DestroyVM(ctx context.Context, req *api.DestroyVMRequest) (*api.JobsReply, error) {
	if req.Vm == "" {
		return nil, schema.Errorf(schema.KindInvalid, "vmdestroy", "the VM is missing")
	}
	return o.jobs(ctx, names{machines: []string{req.Vm}}, func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestDestroyVM(tx, req.Vm)
	})
}
