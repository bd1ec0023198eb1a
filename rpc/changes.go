package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

const (
	// maxPart is about how many bytes of rows one element of the stream has.
	maxPart = 256 << 10
	// catchUpWait is how long a manager that is behind the caller may take to catch up.
	catchUpWait = 10 * time.Second
)

// WatchChanges sends what the log's batches changed, those behind req.From
// first; without it, first of all an element with the index of the state that
// it begins behind. It holds one batch at a time: a caller who is slow reads
// later from the log, until the log has lost what it needs (KindGone), and one
// who takes nothing at all is cut off (KindTimeout).
func (e eventsService) WatchChanges(req *api.WatchChangesRequest, out grpc.ServerStreamingServer[api.ChangeSet]) error {
	ctx, store := out.Context(), e.s.cfg.Store
	c := callOf(ctx)
	from := c.index
	if req.From == nil {
		begin := &api.ChangeSet{Index: from, Time: timestamppb.New(store.View().Time())}
		if err := e.s.sendWithin(ctx, streamTime, func() error { return out.Send(begin) }); err != nil {
			return err
		}
	} else {
		from = *req.From
		if err := caughtUp(ctx, store, from); err != nil {
			return err
		}
	}
	for t := store.Tail(e.s.cfg.Entries, from); ; {
		if err := e.s.permit(c); err != nil {
			return err
		}
		b, err := t.Next()
		if err != nil {
			return err
		}
		if b == nil {
			if err := store.WaitIndex(ctx, t.Index()+1); err != nil {
				return err
			}
			continue
		}
		if err := e.s.sendChanges(out, t.Index(), b, c.role); err != nil {
			return err
		}
	}
}

// caughtUp waits until this manager has the state with this index.
func caughtUp(ctx context.Context, store *fsm.Store, index uint64) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpWait)
	defer cancel()
	return store.WaitIndex(ctx, index)
}

// sendChanges sends a batch in as many elements as it needs.
func (s *Server) sendChanges(out grpc.ServerStreamingServer[api.ChangeSet], index uint64, b *schema.Batch, role string) error {
	set := &api.ChangeSet{Index: index, Time: b.Time, Why: reasons(b.Why)}
	size := 0
	for _, c := range b.Changes {
		t := fsm.TableNumbered(c.Table)
		if !shown(t, role) {
			continue
		}
		if size > 0 && size+len(c.Row) > maxPart {
			set.More = true
			if err := s.sendWithin(out.Context(), streamTime, func() error { return out.Send(set) }); err != nil {
				return err
			}
			set, size = &api.ChangeSet{Index: index, Time: b.Time, Why: set.Why}, 0
		}
		row, err := changedRow(t, c)
		if err != nil {
			return err
		}
		set.Rows = append(set.Rows, row)
		size += len(c.Row) + len(c.Key) + 1
	}
	return s.sendWithin(out.Context(), streamTime, func() error { return out.Send(set) })
}

// reasons are those of a batch without the request ids: who knows one gets
// the answer that was given under it.
func reasons(whys []*schema.Why) []*schema.Why {
	out := make([]*schema.Why, len(whys))
	for i, w := range whys {
		out[i] = proto.CloneOf(w)
		out[i].Request = ""
	}
	return out
}

// shown tells whether callers with this role see a table's changes.
func shown(t fsm.TableRef, role string) bool {
	switch t.Number() {
	case fsm.Tokens.Number(), fsm.Requests.Number():
		return false
	case fsm.Users.Number():
		return role == schema.RoleAdministrator
	}
	return true
}

// changedRow is a changed row as JSON.
func changedRow(t fsm.TableRef, c *schema.Change) (*api.ChangedRow, error) {
	out := &api.ChangedRow{Table: t.Name(), Key: c.Key, Deleted: c.Delete}
	if c.Delete {
		return out, nil
	}
	row, _, err := t.RowKey(c.Row)
	if err != nil {
		return nil, schema.Errorf(schema.KindCorrupt, t.Name()+" "+c.Key, "the row doesn't decode: %v", err)
	}
	body, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(schema.WithoutSecrets(row))
	if err != nil {
		return nil, schema.Errorf(schema.KindInternal, t.Name()+" "+c.Key, "%v", err)
	}
	out.Row = new(structpb.Struct)
	if err := out.Row.UnmarshalJSON(body); err != nil {
		return nil, schema.Errorf(schema.KindInternal, t.Name()+" "+c.Key, "%v", err)
	}
	return out, nil
}
