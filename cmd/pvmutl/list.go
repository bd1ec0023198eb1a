package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

func listCommand(a *app) *cobra.Command {
	return family("list", "List groups, the machines of a group, its software [3.2.11 - 3.2.13]",
		&cobra.Command{
			Use:     "group",
			Short:   "List categories, groups and models",
			Example: "pvmutl list group",
			Args:    positional(),
			RunE:    a.online(a.listGroup),
		},
		&cobra.Command{
			Use:   "server GroupName",
			Short: "List the machines of a group, then those of its pool",
			Long: `List the machines that run in a group, then those of its pool. A line begins with
the machine's name; behind it stand, in brackets, the host that it runs as, when
that is another name, and what is wrong with it. -o json has it all.`,
			Example: "pvmutl list server shop/web",
			Args:    positional("GroupName"),
			RunE:    a.online(a.listServer),
		},
		&cobra.Command{
			Use:     "soft GroupName",
			Short:   "List the software registered for a group",
			Example: "pvmutl list soft shop/web",
			Args:    positional("GroupName"),
			RunE:    a.online(a.listSoft),
		})
}

// groupLine is one line of "list group".
type groupLine struct {
	Path  string `json:"path"`  // shop/web/web-vm
	Name  string `json:"name"`  // web-vm
	Kind  string `json:"kind"`  // category | group | model
	Level int    `json:"level"` // 0 at the top
}

// structJSON is view.json for values that encoding/json knows by itself.
func structJSON[T any](b []byte, row T) []byte {
	text, err := json.Marshal(row)
	if err != nil {
		panic(err) // only types of this package come here
	}
	return append(b, text...)
}

func (a *app) listGroup(ctx context.Context, c *client.Client, _ []string) error {
	categories, err := listRows[*schema.Category](ctx, c, "Category")
	if err != nil {
		return err
	}
	groups, err := listRows[*schema.Group](ctx, c, "Group")
	if err != nil {
		return err
	}
	models, err := listRows[*schema.Model](ctx, c, "Model")
	if err != nil {
		return err
	}
	lines := groupTree(categories, groups, models)
	if a.options.output != formatTable {
		return printList(a, view[groupLine]{json: structJSON[groupLine]}, lines)
	}
	writeHeading(a.stdout, "ServerGroup List", len("ServerGroup List"))
	for _, l := range lines {
		fmt.Fprintf(a.stdout, "%s%s\n", strings.Repeat(" ", 5*l.Level), l.Name)
	}
	return nil
}

// listRows lists the rows of a kind.
func listRows[T proto.Message](ctx context.Context, c *client.Client, kindName string) ([]T, error) {
	k, err := kindByName(kindName)
	if err != nil {
		return nil, err
	}
	reply, err := c.Inventory.List(ctx, &api.ListRequest{Kind: k.name})
	if err != nil {
		return nil, err
	}
	rows := make([]T, 0, len(reply.Objects))
	for _, o := range reply.Objects {
		row, err := rowOf(k, o)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row.(T))
	}
	return rows, nil
}

// groupTree lays out the hierarchy: categories, in them groups, in these
// models. Siblings keep the order in which they came.
func groupTree(categories []*schema.Category, groups []*schema.Group, models []*schema.Model) []groupLine {
	t := tree{map[string][]*schema.Category{}, map[string][]*schema.Group{}, map[string][]*schema.Model{}, nil}
	for _, c := range categories {
		parent, _ := cutPath(c.Path)
		t.categories[parent] = append(t.categories[parent], c)
	}
	for _, g := range groups {
		t.groups[g.Category] = append(t.groups[g.Category], g)
	}
	for _, m := range models {
		t.models[m.Group] = append(t.models[m.Group], m)
	}
	t.add("", 0)
	return t.lines
}

// tree holds the objects by what they lie in, and the lines made so far.
type tree struct {
	categories map[string][]*schema.Category
	groups     map[string][]*schema.Group
	models     map[string][]*schema.Model
	lines      []groupLine
}

// add adds what lies in a category.
func (t *tree) add(category string, level int) {
	for _, g := range t.groups[category] {
		path := strings.TrimPrefix(category+"/"+g.Name, "/")
		t.lines = append(t.lines, groupLine{path, g.Name, "group", level})
		for _, m := range t.models[g.Name] {
			t.lines = append(t.lines, groupLine{path + "/" + m.Name, m.Name, "model", level + 1})
		}
	}
	for _, c := range t.categories[category] {
		_, name := cutPath(c.Path)
		t.lines = append(t.lines, groupLine{c.Path, name, "category", level})
		t.add(c.Path, level+1)
	}
}

// cutPath cuts the last part off a path.
func cutPath(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// writeHeading writes a title between two rules, as the manual prints it.
func writeHeading(w io.Writer, title string, width int) {
	rule := strings.Repeat("=", width)
	fmt.Fprintf(w, "%s\n%s\n%s\n", rule, title, rule)
}

func (a *app) listServer(ctx context.Context, c *client.Client, args []string) error {
	reply, err := c.Inventory.GroupMachines(ctx, &api.GroupRequest{Group: args[0]})
	if err != nil {
		return err
	}
	if a.options.output != formatTable {
		return printList(a, machineView, append(reply.Running, reply.Pool...))
	}
	title := fmt.Sprintf("Server List (Group = %s)", args[0])
	writeHeading(a.stdout, title, displayWidth(title))
	for _, m := range reply.Running {
		fmt.Fprintln(a.stdout, serverLine(m))
	}
	fmt.Fprintln(a.stdout)
	writeHeading(a.stdout, "Pool", 11)
	for _, m := range reply.Pool {
		fmt.Fprintln(a.stdout, serverLine(m))
	}
	return nil
}

// serverLine is a machine's name, as the manual prints it, and behind it what
// an operator has to know beside: the host that it runs as under another name,
// and what is wrong with it.
func serverLine(m *schema.Machine) string {
	var notes []string
	if m.Host != "" && m.Host != m.Name {
		notes = append(notes, "as "+m.Host)
	}
	if m.HardwareStatus == schema.HardwareDegraded || m.HardwareStatus == schema.HardwareFailed {
		notes = append(notes, "hardware "+m.HardwareStatus)
	}
	if m.Status == schema.StatusAbnormal {
		notes = append(notes, m.Status)
	}
	if m.Maintenance {
		notes = append(notes, "in maintenance")
	}
	if m.Gone {
		notes = append(notes, "gone")
	}
	if len(notes) == 0 {
		return m.Name
	}
	return clean(m.Name + "  (" + strings.Join(notes, "; ") + ")")
}

// softLine is one line of "list soft".
type softLine struct {
	Name string `json:"name"`
}

func (a *app) listSoft(ctx context.Context, c *client.Client, args []string) error {
	reply, err := c.Inventory.GroupMachines(ctx, &api.GroupRequest{Group: args[0]})
	if err != nil {
		return err
	}
	if a.options.output != formatTable {
		lines := make([]softLine, len(reply.Software))
		for i, name := range reply.Software {
			lines[i] = softLine{name}
		}
		return printList(a, view[softLine]{json: structJSON[softLine]}, lines)
	}
	writeHeading(a.stdout, fmt.Sprintf("Soft List (Group = %s)", args[0]), 36)
	for _, name := range reply.Software {
		fmt.Fprintln(a.stdout, name)
	}
	return nil
}
