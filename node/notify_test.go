package node_test

import (
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"yagura/drivers/drivertest"
	"yagura/drivers/mail/mailtest"
	"yagura/fsm/schema"
	"yagura/node/nodetest"
	"yagura/rpc/api"
)

// TestMailThroughACluster: a receiver is applied and tested as an operator does
// it, and the leader's mail arrives, in Japanese.
func TestMailThroughACluster(t *testing.T) {
	t.Parallel()
	conf, _ := drivertest.ServerTLS(t)
	s := mailtest.Start(t, mailtest.Config{NoTLS: true}, conf)
	c := nodetest.New(t, 1, nil)
	c.WaitReady()
	cl := c.Client(0)
	spec, err := structpb.NewStruct(map[string]any{
		"kind": "mail", "address": s.Address, "tls": "none", "from": "pvm@example.com", "to": []any{"ops@example.com"}, "language": "ja",
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Inventory.Apply(t.Context(), &api.ApplyRequest{Documents: []*api.Document{{Kind: "Receiver", Name: "oncall", Spec: spec}}}); err != nil {
		t.Fatal(err)
	}
	n, err := cl.Events.TestReceiver(t.Context(), &api.NameRequest{Name: "oncall"})
	if err != nil {
		t.Fatal(err)
	}
	c.Wait("the notice to be sent", func() bool {
		got, err := cl.Events.GetNotice(t.Context(), &api.EventRequest{Id: n.Id})
		return err == nil && got.State == schema.NoticeSent
	})
	mails := s.Mails()
	if len(mails) != 1 || mails[0].Subject != "[Yagura] 情報: 試験送信です" || mails[0].To[0] != "ops@example.com" {
		t.Fatalf("%d mails: %+v", len(mails), mails)
	}
}
