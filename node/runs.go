package node

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/drivers"
	"yagura/drivers/runs"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// Local scripts run on the manager that leads when their step begins, and go on
// without it. A later leader asks all managers for the run of its step, so that
// it is followed to its end and never begun a second time.

// runsAccess is what the driver of local scripts has to know of this manager.
type runsAccess struct {
	folder  string // where runs have their folders
	manager string // this one's id
	peers   runs.Peers
}

func (n *Node) runsAccess() runsAccess {
	return runsAccess{filepath.Join(n.cfg.DataDir, "runs"), n.id, runPeers{n}}
}

// LookAtRun implements rpc.ClusterControl.
func (n *Node) LookAtRun(ctx context.Context, q *api.RunQuestion) (*api.RunLook, error) {
	const system = "local scripts"
	folder := runs.Folder{Shell: runs.Local{System: system}, Base: n.runsAccess().folder, System: system}
	look, err := folder.Answer(ctx, runs.Question{Token: q.Token, Cancel: q.Cancel, Deadline: q.Deadline.AsTime()})
	if err != nil {
		return nil, schema.Errorf(schema.KindUnavailable, "run "+q.Token, "manager %s can't tell: %v", n.id, err)
	}
	return &api.RunLook{
		State: string(look.State), Code: int32(look.Code), Why: look.Why, LimitSeconds: int64(look.Limit / time.Second), Output: look.Output,
	}, nil
}

// runPeers asks the other managers of runs. It implements runs.Peers.
type runPeers struct{ n *Node }

// Others implements runs.Peers.
func (p runPeers) Others() []string {
	var out []string
	for m := range fsm.Managers.All(p.n.store.View()) {
		if m.Id != p.n.id {
			out = append(out, m.Id)
		}
	}
	return out
}

// Ask implements runs.Peers.
func (p runPeers) Ask(ctx context.Context, manager string, q runs.Question) (runs.Look, error) {
	fail := func(kind drivers.Kind, err error) (runs.Look, error) {
		return runs.Look{}, &drivers.Error{Kind: kind, System: "local", Op: "ask", Object: "manager " + manager, Err: err}
	}
	m, ok := fsm.Managers.Get(p.n.store.View(), manager)
	if !ok {
		return fail(drivers.KindNotFound, errors.New("there is no such manager"))
	}
	look, err := callPeer(ctx, p.n.peers, m.ApiAddress, &api.RunQuestion{Token: q.Token, Cancel: q.Cancel, Deadline: timestamppb.New(q.Deadline)}, api.PeerClient.LookAtRun)
	if err != nil {
		return fail(drivers.KindUnreachable, err)
	}
	return runs.Look{
		State: runs.State(look.State), Code: int(look.Code), Why: look.Why, Limit: time.Duration(look.LimitSeconds) * time.Second, Output: look.Output,
	}, nil
}
