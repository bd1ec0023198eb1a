package rpc

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// eventsService serves events and the audit trail.
type eventsService struct {
	api.UnimplementedEventsServer
	s *Server
}

// ListEvents lists events, oldest first. With after: those that follow it, the
// first ones when there is a limit. Without: the newest ones.
func (e eventsService) ListEvents(ctx context.Context, req *api.ListEventsRequest) (*api.ListEventsReply, error) {
	v := e.s.view(ctx)
	match, err := eventFilter(v, req)
	if err != nil {
		return nil, err
	}
	events, err := page(v, fsm.Events, req.After, req.Limit, match)
	return &api.ListEventsReply{Events: events}, err
}

// eventFilter is what the request selects by. A group that doesn't exist is refused.
func eventFilter(r fsm.Reader, req *api.ListEventsRequest) (func(*schema.Event) bool, error) {
	var groups map[string]bool
	if req.Group != "" {
		ref, err := fsm.ResolveGroup(r, req.Group)
		if err != nil {
			return nil, err
		}
		groups = map[string]bool{}
		for _, g := range fsm.GroupsBelow(r, ref) {
			groups[g.Name] = true
		}
	}
	return func(ev *schema.Event) bool {
		return (req.Target == "" || ev.Target == req.Target) && (req.Notifier == "" || ev.Notifier == req.Notifier) &&
			(groups == nil || groups[ev.Group])
	}, nil
}

func (e eventsService) GetEvent(ctx context.Context, req *api.EventRequest) (*schema.Event, error) {
	key := fsm.NumberKey(req.Id)
	if key == "" {
		return nil, schema.Errorf(schema.KindInvalid, "event "+req.Id, "an event id is a number")
	}
	ev, ok := fsm.Events.Get(e.s.view(ctx), key)
	if !ok {
		return nil, schema.Errorf(schema.KindNotFound, "event "+req.Id, "there is no such event").WithHint("event list shows the ids; old events are deleted")
	}
	return ev, nil
}

// WatchEvents sends the events after req.After that req selects, then each new
// one, and an event again when its state has changed: it comes first as it was
// recorded, and then with what was decided. Without after it begins with the
// next one; limit is not used.
func (e eventsService) WatchEvents(req *api.ListEventsRequest, out grpc.ServerStreamingServer[schema.Event]) error {
	if len(req.Open) > maxOpen {
		return schema.Errorf(schema.KindTooLarge, "open events", "%d are named, the limit is %d", len(req.Open), maxOpen)
	}
	w := eventWatch{req: req, after: req.After, open: maps.Clone(req.Open)}
	if w.open == nil {
		w.open = map[string]string{}
	}
	if w.after == "" {
		w.after = "0"
		if last, ok := fsm.Events.Last(e.s.cfg.Store.View()); ok {
			w.after = last.Id
		}
	}
	return e.s.watch(out.Context(), []fsm.TableRef{fsm.Events}, func(v *fsm.View) (bool, error) {
		return false, w.send(v, out.Send)
	})
}

// eventWatch is how far one watch has come.
type eventWatch struct {
	req   *api.ListEventsRequest
	after string            // id of the last event seen
	open  map[string]string // events that aren't decided on yet: id and the state in which they were seen
}

// send sends what has changed.
func (w *eventWatch) send(v *fsm.View, send func(*schema.Event) error) error {
	match, err := eventFilter(v, w.req)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(w.open)) {
		ev, ok := fsm.Events.Get(v, fsm.NumberKey(id))
		if !ok {
			delete(w.open, id)
			continue
		}
		if ev.State != w.open[id] {
			if err := send(ev); err != nil {
				return err
			}
			w.seen(ev)
		}
	}
	key, err := afterKey(w.after)
	if err != nil {
		return err
	}
	for ev := range fsm.Events.From(v, key) {
		if match(ev) {
			if err := send(ev); err != nil {
				return err
			}
			w.seen(ev)
		}
		w.after = ev.Id
	}
	return nil
}

// maxOpen bounds the undecided events that one watch keeps an eye on.
const maxOpen = 10000

func (w *eventWatch) seen(ev *schema.Event) {
	delete(w.open, ev.Id)
	if ev.State != schema.EventHandled && len(w.open) < maxOpen {
		w.open[ev.Id] = ev.State
	}
}

// ListAudit lists changes, oldest first, as ListEvents does events.
func (e eventsService) ListAudit(ctx context.Context, req *api.ListAuditRequest) (*api.ListAuditReply, error) {
	audits, err := page(e.s.view(ctx), fsm.Audits, req.After, req.Limit, func(a *schema.Audit) bool {
		return req.User == "" || a.User == req.User
	})
	return &api.ListAuditReply{Audit: audits}, err
}

// WatchAudit sends the changes after req.After that req selects, then each new
// one. Without after it begins with the next one; limit is not used.
func (e eventsService) WatchAudit(req *api.ListAuditRequest, out grpc.ServerStreamingServer[schema.Audit]) error {
	after := req.After
	if after == "" {
		after = "0"
		if last, ok := fsm.Audits.Last(e.s.cfg.Store.View()); ok {
			after = last.Id
		}
	}
	return e.s.watch(out.Context(), []fsm.TableRef{fsm.Audits}, func(v *fsm.View) (bool, error) {
		key, err := afterKey(after)
		if err != nil {
			return false, err
		}
		for a := range fsm.Audits.From(v, key) {
			if req.User == "" || a.User == req.User {
				if err := out.Send(a); err != nil {
					return false, err
				}
			}
			after = a.Id
		}
		return false, nil
	})
}

// numbered is a row whose key orders by the number in its id.
type numbered interface {
	proto.Message
	GetId() string
}

// page takes rows of a numbered table, oldest first: the first limit after an
// id, or the newest limit when no id is given. limit 0 means all.
func page[T numbered](r fsm.Reader, t *fsm.Table[T], after string, limit int32, match func(T) bool) ([]T, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	rows, backward := t.Backward(r), true
	if after != "" {
		key, err := afterKey(after)
		if err != nil {
			return nil, err
		}
		rows, backward = t.From(r, key), false
	}
	var out []T
	for row := range rows {
		if limit > 0 && len(out) == int(limit) {
			break
		}
		if match(row) {
			out = append(out, row)
		}
	}
	if backward {
		slices.Reverse(out)
	}
	return out, nil
}

// afterKey is the key of the first row that may follow the one with this id.
func afterKey(id string) (string, error) {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return "", schema.Errorf(schema.KindInvalid, "id "+id, "not the number of an entry")
	}
	return fsm.NumberKey(strconv.FormatUint(n+1, 10)), nil
}
