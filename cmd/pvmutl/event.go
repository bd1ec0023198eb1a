package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

var eventView = view[*schema.Event]{
	columns: []column[*schema.Event]{
		{"ID", (*schema.Event).GetId},
		{"TIME", func(e *schema.Event) string { return localTime(e.Time) }},
		{"NODE", (*schema.Event).GetNode},
		{"NOTIFIER", (*schema.Event).GetNotifier},
		{"EVENT", func(e *schema.Event) string { return eventName(e.Source, e.EventId) }},
		{"TARGET", func(e *schema.Event) string { return cmp.Or(e.Target, e.TargetHint) }},
		{"CATEGORY", func(e *schema.Event) string { return cmp.Or(e.Category, e.Operation) }},
		{"DECISION", func(e *schema.Event) string { return cmp.Or(e.Decision, e.State) }},
		{"JOBS", func(e *schema.Event) string { return strings.Join(e.Jobs, ",") }},
		{"REASON", func(e *schema.Event) string { return cmp.Or(e.Reason, e.Text) }},
	},
	json: rowJSON[*schema.Event],
}

// eventSelection are the options that select events.
type eventSelection struct{ req api.ListEventsRequest }

func (s *eventSelection) addTo(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.req.Target, "target", "", "only events of this `machine`")
	f.StringVar(&s.req.Group, "group", "", "only events of this `group`")
	f.StringVar(&s.req.Notifier, "notifier", "", "only events of this `notifier`, such as SNMP")
	f.StringVar(&s.req.After, "after", "", "only events after the one with this `id`")
}

func eventCommand(a *app) *cobra.Command {
	return family("event", "List and watch events, and what policy decided",
		eventListCommand(a), eventShowCommand(a), eventWatchCommand(a))
}

func eventListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list [--target MACHINE] [--group GroupName] [--notifier NOTIFIER] [--after ID] [--limit N]",
		Short:   "List events, the newest last",
		Long:    "List events with what policy decided on them, and why.",
		Example: "pvmutl event list --target esx02",
		Args:    positional(),
	}
	var s eventSelection
	s.addTo(cmd)
	limit := cmd.Flags().Int32("limit", defaultLimit, "only the newest `N`; 0 for all that are kept")
	cmd.RunE = a.online(func(ctx context.Context, c *client.Client, _ []string) error {
		s.req.Limit = *limit
		reply, err := c.Events.ListEvents(ctx, &s.req)
		if err != nil {
			return err
		}
		a.tellDisarmed(ctx, c)
		return printList(a, eventView, reply.Events)
	})
	return cmd
}

func eventShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "show EventID",
		Short:   "Show an event with all that is known of it",
		Example: "pvmutl event show 42",
		Args:    positional("EventID"),
		RunE: a.online(func(ctx context.Context, c *client.Client, args []string) error {
			e, err := c.Events.GetEvent(ctx, &api.EventRequest{Id: args[0]})
			if err != nil {
				return err
			}
			return printOne(a, eventView, e, func(w io.Writer) error { return writeEvent(w, e) })
		}),
	}
}

// writeEvent writes an event for people: its fields, then what became of each
// action, then what the notification carried.
func writeEvent(w io.Writer, e *schema.Event) error {
	head := proto.CloneOf(e)
	head.Actions, head.Varbinds, head.Requests = nil, nil, nil // fingerprints tell people nothing
	if err := writeDetails(w, head.ProtoReflect()); err != nil {
		return err
	}
	if len(e.Actions) > 0 {
		fmt.Fprintln(w)
		err := writeTable(w, []column[*schema.ActionRecord]{
			{"ACTION", (*schema.ActionRecord).GetAction},
			{"RESULT", (*schema.ActionRecord).GetResult},
			{"JOB", (*schema.ActionRecord).GetJob},
			{"DETAIL", (*schema.ActionRecord).GetDetail},
		}, e.Actions)
		if err != nil {
			return err
		}
	}
	if len(e.Varbinds) > 0 {
		fmt.Fprintln(w)
		return writeTable(w, []column[string]{
			{"OID", func(oid string) string { return oid }},
			{"VALUE", func(oid string) string { return e.Varbinds[oid] }},
		}, slices.Sorted(maps.Keys(e.Varbinds)))
	}
	return nil
}

func eventWatchCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch [--target MACHINE] [--group GroupName] [--notifier NOTIFIER] [--after ID]",
		Short: "Print events as they come, until Ctrl-C",
		Long: `Print events as they come, and those after --after first. -o json prints an
object a line. With --timeout it ends after that time.`,
		Example: "pvmutl event watch --group shop",
		Args:    positional(),
	}
	var s eventSelection
	s.addTo(cmd)
	cmd.RunE = a.online(func(ctx context.Context, c *client.Client, _ []string) error {
		return a.watchEvents(ctx, c, &s.req)
	})
	return cmd
}

func (a *app) watchEvents(ctx context.Context, c *client.Client, req *api.ListEventsRequest) error {
	ctx, cancel := a.withTimeout(ctx)
	defer cancel()
	if req.After == "" { // from now on
		reply, err := c.Events.ListEvents(ctx, &api.ListEventsRequest{Limit: 1})
		if err != nil {
			return err
		}
		req.After = "0"
		if n := len(reply.Events); n > 0 {
			req.After = reply.Events[n-1].Id
		}
	}
	return ended(ctx, c.WatchEvents(ctx, req, func(e *schema.Event) error { return printLine(a, eventView, e) }))
}
