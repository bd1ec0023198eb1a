package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"yagura/fsm/schema"
	"yagura/placement"
	"yagura/placement/formats"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

// objectives are the words for what a plan is to achieve: short ones beside
// those of the API.
var objectives = map[string]placement.Objective{
	"balance": placement.Level, "powersave": placement.SavePower, "nplus1": placement.CheckFailures,
	"start": placement.Start, "create": placement.Create, "evacuate": placement.Evacuate, "room": placement.Room,
	"level": placement.Level, "save-power": placement.SavePower, "check-failures": placement.CheckFailures,
}

const objectiveWords = "balance, powersave, nplus1, start, create, evacuate or room"

func objective(cmd *cobra.Command, word string) (placement.Objective, error) {
	o, ok := objectives[strings.ToLower(word)]
	if !ok {
		return "", usagef(cmd, "there is no objective %q; it can be %s", word, objectiveWords)
	}
	return o, nil
}

func placementCommand(a *app) *cobra.Command {
	return family("placement", "Preview where VMs would run, and why; nothing is changed",
		placementPlanCommand(a), placementExplainCommand(a), placementSolveCommand(a))
}

func placementPlanCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan [--objective WORD] [--group GROUP] [NAME...]",
		Short: "Show what the optimizer would do now",
		Long: `Show the plan that the optimizer makes of the present state: VM servers to start,
moves in waves, VM servers to shut down, the load before and after. Nothing is
changed, whatever the answer.

Objectives: balance (level the load, the default), powersave (gather on fewer VM
servers), nplus1 (can the loss of any one VM server be borne), start VM...,
create VM... (with --group, of a VM group), evacuate VMSERVER..., room (how many
more VMs of a group, or like a VM).`,
		Example: `pvmutl placement plan --objective powersave --group infra/vmservers
pvmutl placement plan --objective evacuate esx02
pvmutl placement plan --objective create --group shop/web web13 web14`,
		Args: positional("NAME..."),
	}
	f := cmd.Flags()
	word := f.String("objective", "balance", "`what` to plan for: "+objectiveWords)
	group := f.String("group", "", "VM servers of this `group` or model only; create and room: the VM group")
	off := f.Bool("no-server-start", false, "leave stopped VM servers off")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := objective(cmd, *word)
		if err != nil {
			return err
		}
		req := &api.PlacementRequest{Objective: string(o), Group: *group, NoServerStart: *off}
		if o == placement.Evacuate {
			req.VmServers = args
		} else {
			req.Vms = args
		}
		return a.preview(req)(cmd, args)
	}
	return cmd
}

// preview asks for a plan and prints it.
func (a *app) preview(req *api.PlacementRequest) func(*cobra.Command, []string) error {
	return a.online(func(ctx context.Context, c *client.Client, _ []string) error {
		plan, err := c.Placement.Plan(ctx, req)
		if err != nil {
			return err
		}
		return a.printPlan(plan)
	})
}

func (a *app) printPlan(plan *api.PlacementPlan) error {
	return printOne(a, view[*api.PlacementPlan]{json: rowJSON[*api.PlacementPlan]}, plan, func(w io.Writer) error { return writePlan(w, plan) })
}

func placementExplainCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "explain VM|VMServer",
		Short: "Tell why a VM is where it is, or how a VM server stands",
		Long: `Tell why a VM is where it is, and which of the other VM servers could take it; or
what a VM server carries, whether power saving would shut it down, and where its
VMs would go if it were emptied.`,
		Example: "pvmutl placement explain web01\npvmutl placement explain esx01",
		Args:    positional("NAME"),
		RunE: a.online(func(ctx context.Context, c *client.Client, args []string) error {
			e, err := c.Placement.Explain(ctx, &api.NameRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return printOne(a, view[*api.Explanation]{json: rowJSON[*api.Explanation]}, e, func(w io.Writer) error { return writeExplanation(w, e) })
		}),
	}
}

func placementSolveCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "solve FILE [--objective WORD] [NAME...]",
		Short: "Solve a problem file, without a cluster",
		Long: `Solve a placement problem in a file. The name tells the format:

  *.data                    a cluster in the text format of Ganeti's htools (hbal -t), with *.util
                            beside it or the file of --util (hbal -U)
  *.vbp                     vector packing (VPSolver)
  *.bpp, binpack*.txt       bin packing (ESICUP, OR-Library); FILE#NAME picks an instance
  *.hosts.csv, *.vms.csv    a cluster as two tables, the other file beside it
  model_*.txt               machine reassignment (ROADEF 2012), assignment_*.txt beside it
  anything else             the optimizer's own text format

"-" reads the standard input: the optimizer's or Ganeti's format. Without --objective, VMs
that are on no server are placed if there are any, and the load is balanced otherwise. The
answer is that of "placement plan".`,
		Example: "pvmutl placement solve cluster.txt --objective powersave\npvmutl placement solve c40.data --util c40.util",
		Args:    positional("FILE", "NAME..."),
		// A path may begin with a slash.
		Annotations: map[string]string{takesFiles: "yes"},
	}
	f := cmd.Flags()
	word := f.String("objective", "balance", "`what` to plan for: "+objectiveWords)
	util := f.String("util", "", "`file` of dynamic use beside a Ganeti cluster")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := objective(cmd, *word)
		if err != nil {
			return err
		}
		p, homeless, err := readProblem(a.stdin, args[0], *util)
		if err != nil {
			return err
		}
		req := placement.Request{Objective: o}
		switch {
		case !cmd.Flags().Changed("objective") && len(args) == 1 && len(homeless) > 0:
			req = placement.Request{Objective: placement.Create, VMs: homeless}
		case o == placement.Evacuate:
			req.Servers = args[1:]
		default:
			req.VMs = args[1:]
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), a.options.timeout)
		defer cancel()
		plan, err := placement.Solve(ctx, p, req)
		if err != nil {
			return badProblem(args[0], err)
		}
		msg, err := api.PlanMessage(p, plan, args[0])
		if err != nil {
			return badProblem(args[0], err)
		}
		return a.printPlan(msg)
	}
	return cmd
}

// badProblem is the error of a file, or of a question about it, that makes no sense.
func badProblem(path string, err error) error {
	return &schema.Error{Kind: schema.KindInvalid, Object: path, Msg: err.Error()}
}

// readProblem reads a problem file, and names the VMs that are on no server.
func readProblem(stdin io.Reader, path, util string) (p *placement.Problem, homeless []string, err error) {
	switch {
	case path == "-":
		text, rerr := io.ReadAll(stdin)
		if rerr != nil {
			return nil, nil, rerr
		}
		// The lines of Ganeti's format are fields between bars.
		if first, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n")); bytes.Count(first, []byte("|")) >= 2 {
			p, err = withUse(bytes.NewReader(text), util)
		} else {
			p, err = placement.Parse(bytes.NewReader(text))
		}
	case util != "":
		f, oerr := os.Open(path)
		if oerr != nil {
			return nil, nil, oerr
		}
		defer f.Close()
		p, err = withUse(f, util)
	default:
		var req placement.Request
		if p, req, err = formats.ReadFile(path); err != nil {
			// Its errors name the file themselves.
			return nil, nil, &schema.Error{Kind: schema.KindInvalid, Msg: err.Error()}
		}
		return p, req.VMs, nil
	}
	if err != nil {
		return nil, nil, badProblem(path, err)
	}
	for i := range p.VMs {
		if p.VMs[i].Server == "" {
			homeless = append(homeless, p.VMs[i].Name)
		}
	}
	return p, homeless, nil
}

// withUse reads a Ganeti cluster with its file of dynamic use, if there is one.
func withUse(cluster io.Reader, util string) (*placement.Problem, error) {
	if util == "" {
		return placement.ParseGaneti(cluster, nil)
	}
	f, err := os.Open(util)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return placement.ParseGaneti(cluster, f)
}
