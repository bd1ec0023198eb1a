package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

// machineView shows machines, which come typed.
var machineView = view[*schema.Machine]{json: rowJSON[*schema.Machine]}

// kindNames are the words for shell completion.
func kindNames() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return names
}

// kindArgs is positional for commands whose first argument is a kind.
func kindArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := positional(names...)(cmd, args); err != nil {
			return err
		}
		if _, err := kindByName(args[0]); err != nil {
			return usagef(cmd, "%v", err)
		}
		return nil
	}
}

func getCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get KIND [NAME] [--group GroupName]",
		Short: "Show objects of the configuration database",
		Long: `Show the objects of a kind, or one of them. Kinds, in any spelling:

    ` + strings.Join(kindNames(), " ") + `

The name of a model or host is group/name.

-o yaml prints documents that "pvmutl apply" takes; -o json the full state.
Passwords are never shown.`,
		Example: `pvmutl get machine -o json
pvmutl get machines --group shop/web
pvmutl get group web -o yaml > web.yaml`,
		Args: kindArgs("KIND", "NAME?"),
	}
	group := cmd.Flags().String("group", "", "only what is below this category, group or model")
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 2 && *group != "" {
			return usagef(cmd, "NAME and --group exclude each other")
		}
		return nil
	}
	cmd.RunE = a.online(func(ctx context.Context, c *client.Client, args []string) error {
		k, err := kindByName(args[0])
		if err != nil {
			return err
		}
		if len(args) == 2 {
			return a.getOne(ctx, c, k, args[1])
		}
		return a.getAll(ctx, c, k, *group)
	})
	return cmd
}

func (a *app) getOne(ctx context.Context, c *client.Client, k kind, name string) error {
	o, err := c.Inventory.Get(ctx, &api.GetRequest{Kind: k.name, Name: name})
	if err != nil {
		return err
	}
	if a.options.output == formatYAML {
		return encodeYAML(a.stdout, documentNode(o.Kind, o.Name, o.Spec))
	}
	row, err := rowOf(k, o)
	if err != nil {
		return err
	}
	v, err := rowView(ctx, c, k)
	if err != nil {
		return err
	}
	if a.options.output == formatJSON {
		return writeIndented(a.stdout, v.json(nil, row))
	}
	return writeDetails(a.stdout, row.ProtoReflect(), v.details(row)...)
}

func (a *app) getAll(ctx context.Context, c *client.Client, k kind, group string) error {
	specs := a.options.output == formatYAML
	reply, err := c.Inventory.List(ctx, &api.ListRequest{Kind: k.name, Group: group, Specs: specs})
	if err != nil {
		return err
	}
	if specs {
		return a.yamlDocuments(reply.Objects)
	}
	if k.name == kindMachine && a.options.output == formatJSON {
		return printList(a, machineView, reply.Machines)
	}
	rows := make([]proto.Message, 0, len(reply.Machines)+len(reply.Objects))
	for _, m := range reply.Machines {
		rows = append(rows, m)
	}
	for _, o := range reply.Objects {
		row, err := rowOf(k, o)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	v, err := rowView(ctx, c, k)
	if err != nil {
		return err
	}
	return printList(a, v.view, rows)
}

// rowsView shows rows of one kind: in a table, in JSON, and one in detail.
type rowsView struct {
	view[proto.Message]
	details func(proto.Message) [][2]string // beside the fields that are set
}

// rowView is how a kind is shown. Of categories the cluster is asked for what
// a row alone doesn't tell.
func rowView(ctx context.Context, c *client.Client, k kind) (rowsView, error) {
	v := rowsView{view[proto.Message]{k.columns, rowJSON[proto.Message]}, func(proto.Message) [][2]string { return nil }}
	switch k.name {
	case kindMachine:
		v.details = func(row proto.Message) [][2]string { return machineDetails(row.(*schema.Machine)) }
	case kindCategory:
		auto, err := automation(ctx, c)
		if err != nil {
			return v, err
		}
		v.columns = slices.Insert(slices.Clone(k.columns), 2, col("AUTOMATION", auto))
		v.details = func(row proto.Message) [][2]string {
			return [][2]string{{"automation", auto(row.(*schema.Category))}}
		}
		v.json = func(b []byte, row proto.Message) []byte {
			b = appendFields(append(b, '{'), row.ProtoReflect())
			b = appendString(append(b, `,"automation":`...), auto(row.(*schema.Category)))
			return append(b, '}')
		}
	}
	return v, nil
}

// automation tells whether automation acts below a category: it is off below
// one that is disarmed itself, that lies in one, while all is, or in a storm.
func automation(ctx context.Context, c *client.Client) (func(*schema.Category) string, error) {
	settings, err := listRows[*schema.Settings](ctx, c, "Settings")
	if err != nil {
		return nil, err
	}
	categories, err := listRows[*schema.Category](ctx, c, kindCategory)
	if err != nil {
		return nil, err
	}
	off := map[string]*schema.Disarm{}
	for _, category := range categories {
		off[category.Path] = category.Disarm
	}
	return func(category *schema.Category) string {
		for _, s := range settings {
			if s.Disarm != nil {
				return armedText(s.Disarm) + " (everywhere)"
			}
			if s.Storm != nil && s.Storm.Over == nil {
				return fmt.Sprintf("held by a storm of %d machines since %s (everywhere)", s.Storm.Count, localTime(s.Storm.Since))
			}
		}
		for path := category.Path; path != ""; path, _ = cutPath(path) {
			switch d := off[path]; {
			case d != nil && path != category.Path:
				return armedText(d) + " (" + path + ")"
			case d != nil:
				return armedText(d)
			}
		}
		return armedText(nil)
	}, nil
}

// rowOf is an object's row in its type, which gives its fields order, defaults
// and number types. Fields that this version doesn't know are passed over.
func rowOf(k kind, o *api.Object) (proto.Message, error) {
	text, err := o.GetRow().MarshalJSON()
	row := k.row()
	if err == nil {
		err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(text, row)
	}
	if err != nil {
		return nil, schema.Errorf(schema.KindInternal, fmt.Sprintf("%s %s", o.GetKind(), o.GetName()), "the answer can't be read: %v", err).
			WithHint("use a pvmutl of the managers' version")
	}
	return row, nil
}

// yamlDocuments prints objects as apply takes them.
func (a *app) yamlDocuments(objects []*api.Object) error {
	nodes := make([]*yaml.Node, len(objects))
	for i, o := range objects {
		nodes[i] = documentNode(o.Kind, o.Name, o.Spec)
	}
	return encodeYAML(a.stdout, nodes...)
}

func unsetCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "unset KIND NAME",
		Short:   "Remove an object that nothing uses",
		Long:    "Remove an object. One that others refer to stays, and the error names what uses it.",
		Example: "pvmutl unset model web/web-vm",
		Args:    kindArgs("KIND", "NAME"),
	}
	cmd.RunE = a.online(func(ctx context.Context, c *client.Client, args []string) error {
		k, err := kindByName(args[0])
		if err != nil {
			return err
		}
		_, err = c.Inventory.Unset(ctx, &api.UnsetRequest{Kind: k.name, Name: args[1]})
		if err == nil {
			fmt.Fprintf(a.stdout, "%s %s: removed\n", k.name, args[1])
		}
		return err
	})
	return cmd
}

func collectCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "collect [SUBSYSTEM] [--force]",
		Short: "Read the inventory of subsystems",
		Long: `Read what a subsystem, or each of them, knows: machines, VMs, their places and
states. When suddenly a large part of a subsystem's machines is missing from its
report, none is marked gone, since more likely the report is at fault; --force
says that they are gone indeed.`,
		Example: "pvmutl collect vc1",
		Args:    positional("SUBSYSTEM?"),
	}
	force := cmd.Flags().Bool("force", false, "what SUBSYSTEM doesn't report is gone, however much that is")
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if *force && len(args) == 0 {
			return usagef(cmd, "--force needs SUBSYSTEM")
		}
		return nil
	}
	a.jobStarter(cmd, func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error) {
		return c.Inventory.Collect(ctx, &api.CollectRequest{Subsystem: optional(args, 0), Force: *force})
	})
	return cmd
}
