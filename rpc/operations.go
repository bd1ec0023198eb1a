package rpc

import (
	"context"

	"yagura/fsm"
	"yagura/rpc/api"
)

// operationsService starts jobs: each method writes a job row, which the
// scheduler then runs.
type operationsService struct {
	api.UnimplementedOperationsServer
	s *Server
}

// jobs runs a verb that queues jobs.
func (o operationsService) jobs(ctx context.Context, verb func(tx *fsm.Tx) ([]string, error)) (*api.JobsReply, error) {
	reply := &api.JobsReply{}
	err := o.s.write(ctx, reply, func(tx *fsm.Tx) (err error) {
		reply.Jobs, err = verb(tx)
		return err
	})
	return reply, err
}

func (o operationsService) Power(ctx context.Context, req *api.PowerRequest) (*api.JobsReply, error) {
	return o.jobs(ctx, func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestPower(tx, req.Op, req.Group, req.Hosts)
	})
}

func (o operationsService) AddVM(ctx context.Context, req *api.AddVMRequest) (*api.JobsReply, error) {
	return o.jobs(ctx, func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestAddVM(tx, fsm.AddVM{
			Group: req.Group, VM: req.Vm, VMServer: req.VmServer, Datastore: req.Datastore, NetInfo: req.Netinfo, Existing: req.Existing,
		})
	})
}

func (o operationsService) DeleteVM(ctx context.Context, req *api.DeleteVMRequest) (*api.JobsReply, error) {
	return o.jobs(ctx, func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestDeleteVM(tx, req.Group, req.Host, req.Keep)
	})
}

func (o operationsService) MigrateVM(ctx context.Context, req *api.MigrateVMRequest) (*api.JobsReply, error) {
	return o.jobs(ctx, func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestMigrateVM(tx, fsm.MigrateVM{
			Group: req.Group, Host: req.Host, VMServer: req.VmServer, Move: req.Move, Recreate: req.Recreate,
		})
	})
}

func (o operationsService) Evacuate(ctx context.Context, req *api.EvacuateRequest) (*api.JobsReply, error) {
	return o.jobs(ctx, func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestEvacuate(tx, req.VmServer, req.Failover)
	})
}
