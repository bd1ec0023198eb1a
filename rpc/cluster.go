package rpc

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc"

	"yagura/fsm"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// clusterService serves the managers and backups.
type clusterService struct {
	api.UnimplementedClusterServer
	s *Server
}

func (c clusterService) ListNodes(ctx context.Context, _ *api.Empty) (*api.ListNodesReply, error) {
	nodes, err := c.s.cfg.Cluster.Nodes(ctx)
	return &api.ListNodesReply{Nodes: nodes}, err
}

func (c clusterService) RemoveNode(ctx context.Context, req *api.NodeRequest) (*api.Empty, error) {
	if req.Id == "" {
		return nil, schema.Errorf(schema.KindInvalid, "manager", "no id was given").WithHint("node list shows them")
	}
	if err := c.s.cfg.Cluster.CanRemove(req.Id); err != nil {
		return nil, err
	}
	if err := c.note(ctx, "manager/"+req.Id); err != nil {
		return nil, err
	}
	return &api.Empty{}, c.s.cfg.Cluster.Remove(ctx, req.Id)
}

// note leaves an audit row about an act on the cluster itself. It comes before
// the act, after which this manager may be the leader no more, and behind the
// checks: what can't be done leaves no trace.
func (c clusterService) note(ctx context.Context, object string) error {
	_, err := c.s.cfg.Store.Update(ctx, c.s.why(callOf(ctx)), func(tx *fsm.Tx) error {
		tx.Note(object)
		return nil
	})
	return err
}

func (c clusterService) Transfer(ctx context.Context, req *api.NodeRequest) (*api.NodeRequest, error) {
	if req.Id == c.s.node { // it leads already, else the call wouldn't be here
		return &api.NodeRequest{Id: req.Id}, nil
	}
	to := "cluster"
	if req.Id != "" {
		to = "manager/" + req.Id
	}
	if err := c.s.cfg.Cluster.CanTransfer(req.Id); err != nil {
		return nil, err
	}
	if err := c.note(ctx, to); err != nil {
		return nil, err
	}
	id, err := c.s.cfg.Cluster.Transfer(ctx, req.Id)
	return &api.NodeRequest{Id: id}, err
}

func (c clusterService) Status(ctx context.Context, _ *api.Empty) (*api.StatusReply, error) {
	st, err := c.s.cfg.Cluster.Status(ctx)
	if err != nil {
		return nil, err
	}
	settings := fsm.Settings(c.s.view(ctx))
	st.Automation = "armed"
	switch over, until := policy.StormOver(settings, c.s.cfg.Now()); {
	case settings.Disarm != nil:
		st.Automation = disarmed(settings.Disarm)
	case !over && !until.IsZero():
		st.Automation = "held by a " + policy.DescribeStorm(settings)
	}
	return st, nil
}

// disarmed says since when, by whom and why automation is off.
func disarmed(d *schema.Disarm) string {
	text := "disarmed since " + d.Since.AsTime().Format(time.RFC3339) + " by " + d.By
	if d.Reason != "" {
		text += ": " + d.Reason
	}
	return text
}

func (c clusterService) SaveSnapshot(_ *api.Empty, out grpc.ServerStreamingServer[api.Chunk]) error {
	w := bufio.NewWriterSize(chunkWriter{out}, api.SnapshotChunk)
	if err := c.s.cfg.Cluster.SaveSnapshot(out.Context(), w); err != nil {
		return err
	}
	return w.Flush()
}

// chunkWriter sends what is written to it.
type chunkWriter struct {
	out grpc.ServerStreamingServer[api.Chunk]
}

func (w chunkWriter) Write(p []byte) (int, error) {
	for part := range slices.Chunk(p, api.SnapshotChunk) {
		if err := w.out.Send(&api.Chunk{Data: part}); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (c clusterService) RestoreSnapshot(in grpc.ClientStreamingServer[api.Chunk, api.Empty]) error {
	ctx := in.Context()
	c.s.log.Warn("the state is being replaced by a backup", "user", callOf(ctx).user, "from", callOf(ctx).from)
	if err := c.s.cfg.Cluster.RestoreSnapshot(ctx, c.s.why(callOf(ctx)), &chunkReader{in: in}); err != nil {
		return err
	}
	return in.SendAndClose(&api.Empty{})
}

// chunkReader reads what comes in.
type chunkReader struct {
	in   grpc.ClientStreamingServer[api.Chunk, api.Empty]
	rest []byte
}

func (r *chunkReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		chunk, err := r.in.Recv()
		if errors.Is(err, io.EOF) {
			return 0, io.EOF
		}
		if err != nil {
			return 0, err
		}
		r.rest = chunk.Data
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
