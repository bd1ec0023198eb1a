package client

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"yagura/rpc/api"
	"yagura/rpc/apierr"
)

// SaveSnapshot writes an online backup of the cluster's state to w. When the
// connection is lost before the first byte it asks another manager; later the
// error is returned and what was written is of no use.
func (c *Client) SaveSnapshot(ctx context.Context, w io.Writer) error {
	m, err := lookup(api.Cluster_SaveSnapshot_FullMethodName)
	if err != nil {
		return err
	}
	open := func(ctx context.Context, conn *grpc.ClientConn) (grpc.ServerStreamingClient[api.Chunk], error) {
		return api.NewClusterClient(conn).SaveSnapshot(ctx, &api.Empty{})
	}
	t := c.newTry(c.outgoing(ctx, m), m)
	written := false
	for t.next() {
		err := stream(c, t, open, func(chunk *api.Chunk) error {
			written = true
			_, err := w.Write(chunk.Data)
			return err
		})
		var own stopped
		if errors.As(err, &own) {
			return own.error
		}
		t.ended(err)
		if written {
			break
		}
	}
	return t.err
}

// RestoreSnapshot replaces the state of the whole cluster by the backup that r
// holds. It is sent once: when the connection is lost on the way the error is
// KindOutcomeUnknown.
func (c *Client) RestoreSnapshot(ctx context.Context, r io.Reader) error {
	m, err := lookup(api.Cluster_RestoreSnapshot_FullMethodName)
	if err != nil {
		return err
	}
	t := c.newTry(c.outgoing(ctx, m), m)
	for t.next() {
		err := c.upload(t, r)
		var own stopped
		if errors.As(err, &own) {
			return own.error
		}
		t.ended(err)
		if t.sent { // r is used up
			break
		}
	}
	return t.err
}

// upload sends r to one manager. An error of r comes as stopped.
func (c *Client) upload(t *try, r io.Reader) error {
	conn, ctx, err := c.begin(t)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer t.srv.guard(conn)()
	t.sent = true
	s, err := api.NewClusterClient(conn).RestoreSnapshot(ctx)
	if err != nil {
		return err
	}
	buf := make([]byte, api.SnapshotChunk)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if err := s.Send(&api.Chunk{Data: buf[:n]}); err != nil {
				break // CloseAndRecv tells why
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return stopped{apierr.FromError(err)}
		}
	}
	_, err = s.CloseAndRecv()
	return err
}
