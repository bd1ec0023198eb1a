package client

import (
	"context"
	"crypto/rand"
	"strconv"
	"time"

	"google.golang.org/grpc/metadata"

	"yagura/rpc/api"
)

// WithRequestID gives the writes of ctx a request id of the caller's own, so
// that a write can be asked for again by a later process. The id is the
// user's: at most api.MaxRequestID bytes, one for each write.
func WithRequestID(ctx context.Context, id string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, api.KeyRequestID, id)
}

// WithReason gives the writes of ctx a reason for the audit trail.
func WithReason(ctx context.Context, text string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, api.KeyReason, text)
}

// WithConsistency sets the read level of ctx: api.Stale, api.LeaderRead or api.Linear.
func WithConsistency(ctx context.Context, level string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, api.KeyConsistency, level)
}

// WithMinIndex makes the reads of ctx wait until the manager that answers has
// applied this log index. Reply.Index of a write reads one's own write anywhere.
func WithMinIndex(ctx context.Context, index uint64) context.Context {
	return metadata.AppendToOutgoingContext(ctx, api.KeyMinIndex, strconv.FormatUint(index, 10))
}

// Reply is what comes with an answer.
type Reply struct {
	Index uint64        // log index of the state that was answered from, or that a write made
	Age   time.Duration // how long ago the manager that answered had heard of the leader
	Node  string        // manager that answered
}

type replyKey struct{}

// WithReply makes the next successful call of ctx fill r.
func WithReply(ctx context.Context, r *Reply) context.Context {
	return context.WithValue(ctx, replyKey{}, r)
}

func replyOf(ctx context.Context) *Reply {
	r, _ := ctx.Value(replyKey{}).(*Reply)
	return r
}

func (r *Reply) fill(md metadata.MD) {
	if r == nil {
		return
	}
	r.Index, _ = strconv.ParseUint(first(md, api.KeyIndex), 10, 64)
	ms, _ := strconv.ParseInt(first(md, api.KeyAge), 10, 64)
	r.Age = time.Duration(ms) * time.Millisecond
	r.Node = first(md, api.KeyNode)
}

// outgoing adds what the options say to the metadata, where the caller's
// context doesn't say it already.
func (c *Client) outgoing(ctx context.Context, m api.Method) context.Context {
	md, _ := metadata.FromOutgoingContext(ctx)
	kv := make([]string, 0, 6)
	add := func(key, value string) {
		if value != "" && len(md.Get(key)) == 0 {
			kv = append(kv, key, value)
		}
	}
	switch m.Class {
	case api.Read:
		add(api.KeyConsistency, c.opt.Consistency)
	case api.Write:
		add(api.KeyRequestID, rand.Text())
		add(api.KeyReason, c.opt.Reason)
	case api.Once, api.Repeatable:
		add(api.KeyReason, c.opt.Reason)
	}
	if len(kv) == 0 {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, kv...)
}

func first(md metadata.MD, key string) string {
	if v := md.Get(key); len(v) > 0 {
		return v[0]
	}
	return ""
}
