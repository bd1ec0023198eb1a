package rpc

import (
	"context"

	"yagura/fsm"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// peerService is what managers ask of each other.
type peerService struct {
	api.UnimplementedPeerServer
	s *Server
}

// RecordEvents records what a manager received, exactly once: the manager's own
// numbers tell what is recorded already.
func (p peerService) RecordEvents(ctx context.Context, req *api.RecordEventsRequest) (*api.RecordEventsReply, error) {
	c := callOf(ctx)
	if fsm.StreamOf(req.Node) != c.manager {
		return nil, schema.Errorf(schema.KindPermission, "manager "+c.manager, "it sends events of manager %q", req.Node).
			WithHint("a manager records its own events only")
	}
	if !p.s.member(c.manager) {
		return nil, errNotMember(c.manager)
	}
	why := p.s.why(c)
	why.Internal = true
	reply := &api.RecordEventsReply{}
	var out policy.Outcome
	res, err := p.s.cfg.Store.Update(ctx, why, func(tx *fsm.Tx) (err error) {
		reply.Sequence, out, err = policy.RecordEvents(tx, req.Node, req.Events)
		return err
	})
	c.index = res.Index
	if err == nil {
		p.s.cfg.Counts.Add(out)
	}
	return reply, err
}

func (p peerService) Join(ctx context.Context, req *api.JoinRequest) (*api.Empty, error) {
	if req.Manager.GetId() == "" {
		return nil, schema.Errorf(schema.KindInvalid, "manager", "no id was given")
	}
	return &api.Empty{}, p.s.cfg.Cluster.Join(ctx, req.Manager)
}

func (p peerService) Leave(ctx context.Context, req *api.NodeRequest) (*api.Empty, error) {
	return &api.Empty{}, p.s.cfg.Cluster.Leave(ctx, req.Id)
}

func (p peerService) NodeStatus(context.Context, *api.Empty) (*api.Node, error) {
	return p.s.cfg.Cluster.Self(), nil
}

// LookAtRun tells a manager of the cluster of a local script on this one.
func (p peerService) LookAtRun(ctx context.Context, req *api.RunQuestion) (*api.RunLook, error) {
	c := callOf(ctx)
	if !p.s.member(c.manager) {
		return nil, errNotMember(c.manager)
	}
	return p.s.cfg.Cluster.LookAtRun(ctx, req)
}

// LookAtSamples tells a manager of the cluster what this one has sampled of a machine.
func (p peerService) LookAtSamples(ctx context.Context, req *api.PerformanceRequest) (*api.PerformanceReply, error) {
	c := callOf(ctx)
	if !p.s.member(c.manager) {
		return nil, errNotMember(c.manager)
	}
	return p.s.cfg.Cluster.LookAtSamples(ctx, req)
}
