package rpc

import (
	"context"

	"google.golang.org/protobuf/proto"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// ListNotices lists what waits for receivers, was sent or given up, as
// ListEvents does events.
func (e eventsService) ListNotices(ctx context.Context, req *api.ListNoticesRequest) (*api.ListNoticesReply, error) {
	v := e.s.view(ctx)
	if err := checkReceiver(v, req.Receiver); err != nil {
		return nil, err
	}
	switch req.State {
	case "", schema.NoticeWaiting, schema.NoticeSent, schema.NoticeLost:
	default:
		return nil, schema.Errorf(schema.KindInvalid, "notices", "there is no state %q", req.State).WithHint("it can be waiting, sent, lost")
	}
	notices, err := page(v, fsm.Notices, req.After, req.Limit, func(n *schema.Notice) bool {
		return (req.Receiver == "" || n.Receiver == req.Receiver) && (req.State == "" || n.State == req.State)
	})
	return &api.ListNoticesReply{Notices: notices}, err
}

func checkReceiver(r fsm.Reader, name string) error {
	if _, ok := fsm.Receivers.Get(r, name); name != "" && !ok {
		return schema.Errorf(schema.KindNotFound, "Receiver "+name, "there is no such object").WithHint("get receiver lists them")
	}
	return nil
}

// TestReceiver queues a test message.
func (e eventsService) TestReceiver(ctx context.Context, req *api.NameRequest) (*schema.Notice, error) {
	reply := &schema.Notice{}
	err := e.s.write(ctx, reply, func(tx *fsm.Tx) error {
		id, err := fsm.TestReceiver(tx, req.Name)
		if err != nil {
			return err
		}
		n, _ := fsm.Notices.Get(tx, fsm.NumberKey(id))
		proto.Merge(reply, n)
		return nil
	})
	return reply, err
}

func (e eventsService) GetNotice(ctx context.Context, req *api.EventRequest) (*schema.Notice, error) {
	key := fsm.NumberKey(req.Id)
	if key == "" {
		return nil, schema.Errorf(schema.KindInvalid, "notice "+req.Id, "a notice's id is a number")
	}
	n, ok := fsm.Notices.Get(e.s.view(ctx), key)
	if !ok {
		return nil, schema.Errorf(schema.KindNotFound, "notice "+req.Id, "there is no such notice").WithHint("receiver log shows the ids; old notices are deleted")
	}
	return n, nil
}
