package rpc_test

import (
	"testing"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

func TestReceiverTestAndNotices(t *testing.T) {
	c := start(t, 2)
	c.log.Do(func(tx *fsm.Tx) error {
		_, err := fsm.ApplyDocuments(tx, []fsm.Document{{Kind: "Receiver", Name: "journal", Spec: []byte(`{"kind":"journald"}`)}})
		return err
	})
	if _, err := c.as(observer).Events.TestReceiver(t.Context(), &api.NameRequest{Name: "journal"}); schema.KindOf(err) != schema.KindPermission {
		t.Errorf("an observer sends messages: %v", err)
	}
	cl := c.as(operator)
	n, err := cl.Events.TestReceiver(t.Context(), &api.NameRequest{Name: "journal"})
	if err != nil || n.State != schema.NoticeWaiting || n.Receiver != "journal" {
		t.Fatalf("%v, %v", n, err)
	}
	if _, err := cl.Events.TestReceiver(t.Context(), &api.NameRequest{Name: "nobody"}); schema.KindOf(err) != schema.KindNotFound {
		t.Errorf("an unknown receiver: %v", err)
	}
	c.log.Do(func(tx *fsm.Tx) error {
		if _, err := fsm.BeginSending(tx, "journal"); err != nil {
			return err
		}
		return fsm.EndSending(tx, "journal", "")
	})
	if n, err = cl.Events.GetNotice(t.Context(), &api.EventRequest{Id: n.Id}); err != nil || n.State != schema.NoticeSent {
		t.Errorf("%v, %v", n, err)
	}
	for id, want := range map[string]schema.Kind{"999": schema.KindNotFound, "x": schema.KindInvalid} {
		if _, err := cl.Events.GetNotice(t.Context(), &api.EventRequest{Id: id}); schema.KindOf(err) != want {
			t.Errorf("notice %s: %v", id, err)
		}
	}
	for _, test := range []struct {
		req  *api.ListNoticesRequest
		want int
		kind schema.Kind
	}{
		{&api.ListNoticesRequest{}, 1, ""}, {&api.ListNoticesRequest{Receiver: "journal", State: schema.NoticeSent}, 1, ""},
		{&api.ListNoticesRequest{State: schema.NoticeLost}, 0, ""}, {&api.ListNoticesRequest{Receiver: "nobody"}, 0, schema.KindNotFound},
		{&api.ListNoticesRequest{State: "gone"}, 0, schema.KindInvalid},
	} {
		r, err := cl.Events.ListNotices(t.Context(), test.req)
		if schema.KindOf(err) != test.kind || len(r.GetNotices()) != test.want {
			t.Errorf("%v: %v, %v", test.req, r, err)
		}
	}
}
