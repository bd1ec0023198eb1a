package client

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// WatchJob calls see with the job now and at each change until it has ended.
// It attaches again, to another manager if need be, when the connection is
// lost. It returns see's error, ctx's end as KindTimeout or KindCancelled, or
// the last error when no manager has answered for Options.Timeout.
func (c *Client) WatchJob(ctx context.Context, id string, see func(*api.JobInfo) error) error {
	open := func(ctx context.Context, conn *grpc.ClientConn) (grpc.ServerStreamingClient[api.JobInfo], error) {
		return api.NewJobsClient(conn).WatchJob(ctx, &api.JobRequest{Id: id})
	}
	return follow(ctx, c, api.Jobs_WatchJob_FullMethodName, open, see)
}

// WatchEvents calls see with each event after req.After that req selects, with
// new ones as they come, and with one again when its state has changed, until
// ctx ends or see returns an error. After a loss it goes on behind the last
// event seen. Errors are those of WatchJob.
func (c *Client) WatchEvents(ctx context.Context, req *api.ListEventsRequest, see func(*schema.Event) error) error {
	req = proto.CloneOf(req)
	open := func(ctx context.Context, conn *grpc.ClientConn) (grpc.ServerStreamingClient[schema.Event], error) {
		return api.NewEventsClient(conn).WatchEvents(ctx, req)
	}
	return follow(ctx, c, api.Events_WatchEvents_FullMethodName, open, func(e *schema.Event) error {
		if later(e.Id, req.After) {
			req.After = e.Id
		}
		if e.State == schema.EventHandled {
			delete(req.Open, e.Id)
		} else if req.Open == nil {
			req.Open = map[string]string{e.Id: e.State}
		} else if len(req.Open) < maxOpen {
			req.Open[e.Id] = e.State
		}
		return see(e)
	})
}

// WatchAudit calls see with each change after req.After that req selects, and
// with new ones as they come, until ctx ends or see returns an error. After a
// loss it goes on behind the last change seen. Errors are those of WatchJob.
func (c *Client) WatchAudit(ctx context.Context, req *api.ListAuditRequest, see func(*schema.Audit) error) error {
	req = proto.CloneOf(req)
	open := func(ctx context.Context, conn *grpc.ClientConn) (grpc.ServerStreamingClient[schema.Audit], error) {
		return api.NewEventsClient(conn).WatchAudit(ctx, req)
	}
	return follow(ctx, c, api.Events_WatchAudit_FullMethodName, open, func(a *schema.Audit) error {
		req.After = a.Id
		return see(a)
	})
}

// maxOpen bounds the undecided events that a watch remembers over a loss.
const maxOpen = 1000

// stopped is an error of the caller's own function, which ends a watch.
type stopped struct{ error }

// follow keeps a stream of a read attached until it ends by itself.
func follow[T any](ctx context.Context, c *Client, method string,
	open func(context.Context, *grpc.ClientConn) (grpc.ServerStreamingClient[T], error), see func(*T) error) error {
	m, err := lookup(method)
	if err != nil {
		return err
	}
	ctx = c.outgoing(ctx, m)
	good := time.Now()
	for {
		t := c.newTry(ctx, m)
		progress := false
		for !progress && t.next() {
			err := stream(c, t, open, func(v *T) error {
				progress = true
				return see(v)
			})
			var own stopped
			if errors.As(err, &own) {
				return own.error
			}
			t.ended(err)
			if !progress && time.Since(good) > c.opt.Timeout {
				return t.err
			}
		}
		if t.stop {
			return t.err
		}
		good = time.Now()
	}
}

// stream attaches once and receives until the end: nil, or what broke it.
func stream[T any](c *Client, t *try, open func(context.Context, *grpc.ClientConn) (grpc.ServerStreamingClient[T], error), see func(*T) error) error {
	conn, ctx, err := c.begin(t)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer t.srv.guard(conn)()
	t.sent = true
	s, err := open(ctx, conn)
	if err != nil {
		return err
	}
	for {
		v, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := see(v); err != nil {
			return stopped{err}
		}
	}
}

// later tells whether the number a is above b.
func later(a, b string) bool {
	x, _ := strconv.ParseUint(a, 10, 64)
	y, _ := strconv.ParseUint(b, 10, 64)
	return x > y
}
