package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

var noticeView = view[*schema.Notice]{
	columns: []column[*schema.Notice]{
		{"ID", (*schema.Notice).GetId},
		{"CREATED", func(r *schema.Notice) string { return localTime(r.Created) }},
		{"RECEIVER", (*schema.Notice).GetReceiver},
		{"EVENT", (*schema.Notice).GetEvent},
		{"SEVERITY", (*schema.Notice).GetSeverity},
		{"STATE", (*schema.Notice).GetState},
		{"ENDED", func(r *schema.Notice) string { return localTime(r.Ended) }},
		{"ATTEMPTS", func(r *schema.Notice) string { return number(r.Attempts) }},
		{"ERROR", (*schema.Notice).GetError},
	},
	json: rowJSON[*schema.Notice],
}

func receiverCommand(a *app) *cobra.Command {
	return family("receiver", "Test receivers of notices, list what they were sent", receiverTestCommand(a), receiverLogCommand(a))
}

const (
	// testPatience is how long receiver test waits unless told otherwise.
	testPatience = time.Minute
	testPoll     = 200 * time.Millisecond
)

func receiverTestCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "test ReceiverName",
		Short: "Send a receiver a test message and tell what became of it",
		Long: `Send a receiver a test message, whatever severities and groups it is set to
choose, and wait until it is sent. When the first attempt fails the command says
why and ends; the message is sent again until it arrives or a day has passed.`,
		Example: "pvmutl receiver test oncall",
		Args:    positional("ReceiverName"),
		RunE: a.online(func(ctx context.Context, c *client.Client, args []string) error {
			n, err := c.Events.TestReceiver(ctx, &api.NameRequest{Name: args[0]})
			if err != nil {
				return err
			}
			patience := testPatience
			if a.options.timeoutSet {
				patience = a.options.timeout
			}
			if n, err = awaitNotice(ctx, c, n, patience); err != nil {
				return err
			}
			return printOne(a, noticeView, n, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s has taken message %s\n", n.Receiver, n.Message)
				return err
			})
		}),
	}
}

// awaitNotice waits until a notice is sent, or an attempt at it has failed.
func awaitNotice(ctx context.Context, c *client.Client, n *schema.Notice, patience time.Duration) (*schema.Notice, error) {
	k, err := kindByName("Receiver")
	if err != nil {
		return nil, err
	}
	o := "Receiver " + n.Receiver
	for end := time.Now().Add(patience); ; {
		if n, err = c.Events.GetNotice(ctx, &api.EventRequest{Id: n.Id}); err != nil {
			return nil, err
		}
		switch n.State {
		case schema.NoticeSent:
			return n, nil
		case schema.NoticeLost:
			return nil, schema.Errorf(schema.KindUnavailable, o, "the message was given up: %s", n.Error)
		}
		obj, err := c.Inventory.Get(ctx, &api.GetRequest{Kind: k.name, Name: n.Receiver})
		if err != nil {
			return nil, err
		}
		row, err := rowOf(k, obj)
		if err != nil {
			return nil, err
		}
		if r := row.(*schema.Receiver); r.Error != "" && !r.LastFailure.AsTime().Before(n.Created.AsTime()) {
			return nil, schema.Errorf(schema.KindUnavailable, o, "%s", r.Error).WithHint("it is tried again by itself; apply what was wrong and it is tried at once")
		}
		if time.Now().After(end) {
			return nil, schema.Errorf(schema.KindTimeout, o, "the message still waits").WithHint("receiver log %s shows what becomes of it", n.Receiver)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(testPoll):
		}
	}
}

func receiverLogCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "log [ReceiverName] [--state STATE] [--after ID] [--limit N]",
		Short:   "List notices to receivers, the newest last",
		Long:    "List what waits for receivers, what was sent to them, and what was given up, with the reason.",
		Example: "pvmutl receiver log oncall --state lost",
		Args:    positional("ReceiverName?"),
	}
	state := cmd.Flags().String("state", "", "only those in this `state`: waiting, sent or lost")
	after := cmd.Flags().String("after", "", "only notices after the one with this `id`")
	limit := cmd.Flags().Int32("limit", defaultLimit, "only the newest `N`; 0 for all that are kept")
	cmd.RunE = a.online(func(ctx context.Context, c *client.Client, args []string) error {
		reply, err := c.Events.ListNotices(ctx, &api.ListNoticesRequest{Receiver: optional(args, 0), State: *state, After: *after, Limit: *limit})
		if err != nil {
			return err
		}
		return printList(a, noticeView, reply.Notices)
	})
	return cmd
}
