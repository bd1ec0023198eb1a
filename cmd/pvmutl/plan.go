package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"yagura/placement"
	"yagura/rpc/api"
)

var (
	moveColumns = []column[*api.PlacementMove]{
		{"WAVE", func(m *api.PlacementMove) string { return number(m.Wave) }},
		{"VM", (*api.PlacementMove).GetVm},
		{"FROM", (*api.PlacementMove).GetFrom},
		{"TO", (*api.PlacementMove).GetTo},
		{"KIND", (*api.PlacementMove).GetKind},
		{"WHY", (*api.PlacementMove).GetReason},
	}
	actionColumns = []column[*api.PlacementAction]{
		{"VM SERVER", (*api.PlacementAction).GetVmServer},
		{"WHY", (*api.PlacementAction).GetReason},
	}
	choiceColumns = []column[*api.PlacementChoice]{
		{"VM SERVER", (*api.PlacementChoice).GetVmServer},
		{"COULD TAKE IT", func(c *api.PlacementChoice) string { return yesNo(c.Possible) }},
		{"WHY", choiceWhy},
	}
	roomColumns = []column[*api.PlacementRoom]{
		{"VM SERVER", (*api.PlacementRoom).GetVmServer},
		{"MORE VMS", func(r *api.PlacementRoom) string { return strconv.FormatInt(r.Vms, 10) }},
		{"REMARK", func(r *api.PlacementRoom) string {
			if r.Why == "" && r.Stopped {
				return "it would have to be started first"
			}
			return r.Why
		}},
	}
)

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func choiceWhy(c *api.PlacementChoice) string {
	switch {
	case !c.Possible:
		return c.Why
	case c.Stopped:
		return fmt.Sprintf("%d of its capacity is free, once it is started", c.Free)
	}
	return fmt.Sprintf("%d of its capacity is free", c.Free)
}

// writePlan writes a plan for people.
func writePlan(w io.Writer, p *api.PlacementPlan) error {
	by := "capacity, cost and reservations"
	switch byLoad := p.Objective == string(placement.Level) || p.Objective == string(placement.SavePower); {
	case len(p.Measured) > 0:
		by = "measured load (" + strings.Join(p.Measured, ", ") + ")"
	case byLoad:
		by += "; no load is measured"
	}
	if err := writePairs(w, [][2]string{{"objective", p.Objective}, {"of", p.Scope}, {"by", by}, {"plan", planSummary(p)}}); err != nil {
		return err
	}
	if err := section(w, "VM servers to start first:", actionColumns, p.Starts); err != nil {
		return err
	}
	if err := section(w, "Moves, those of one wave side by side:", moveColumns, p.Moves); err != nil {
		return err
	}
	if err := section(w, "VM servers to shut down then:", actionColumns, p.Stops); err != nil {
		return err
	}
	if err := section(w, "Room for more:", roomColumns, p.Rooms); err != nil {
		return err
	}
	writeFailures(w, p)
	writeUnplaced(w, p.Unplaced)
	if len(p.Rejections) > 0 {
		fmt.Fprintln(w, "\nNot chosen:")
		for _, r := range p.Rejections {
			fmt.Fprintf(w, "  %s\n", clean(r.Message))
		}
	}
	if len(p.Failures) > 0 || len(p.Rooms) > 0 {
		return nil // nothing moves
	}
	_, err := fmt.Fprintf(w, "\n%s", cleanLines(p.Picture))
	return err
}

// planSummary is a plan in a line.
func planSummary(p *api.PlacementPlan) string {
	switch {
	case len(p.Failures) > 0:
		bad := 0
		for _, f := range p.Failures {
			if len(f.Unplaced) > 0 {
				bad++
			}
		}
		if bad == 0 {
			return "the loss of any one VM server can be borne"
		}
		return fmt.Sprintf("the loss of %d of %d VM servers that run can't be borne", bad, len(p.Failures))
	case len(p.Rooms) > 0:
		n := int64(0)
		for _, r := range p.Rooms {
			n += r.Vms
		}
		return fmt.Sprintf("room for %d more", n)
	case len(p.Starts)+len(p.Moves)+len(p.Stops) == 0:
		return "nothing to do"
	}
	return fmt.Sprintf("%s to start, %s, %s to shut down", count(len(p.Starts), "VM server"), count(len(p.Moves), "move"), count(len(p.Stops), "VM server"))
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}

func section[T any](w io.Writer, title string, columns []column[T], rows []T) error {
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\n%s\n", title)
	return writeTable(w, columns, rows)
}

func writeFailures(w io.Writer, p *api.PlacementPlan) {
	if len(p.Failures) == 0 {
		return
	}
	fmt.Fprintln(w, "\nIf one of them fails:")
	for _, f := range p.Failures {
		fmt.Fprintf(w, "  %s: ", f.VmServer)
		if len(f.Unplaced) == 0 {
			fmt.Fprintf(w, "all %d VMs that run on it find a place\n", len(f.Moves))
			continue
		}
		var names []string
		for _, u := range f.Unplaced {
			names = append(names, u.Vm)
		}
		fmt.Fprintf(w, "%d VMs find a place, these don't: %s\n", len(f.Moves), clean(strings.Join(names, ", ")))
	}
	if p.Missing != "" {
		fmt.Fprintf(w, "Lacking for that: %s\n", clean(p.Missing))
	}
}

func writeUnplaced(w io.Writer, unplaced []*api.PlacementUnplaced) {
	if len(unplaced) == 0 {
		return
	}
	fmt.Fprintln(w, "\nWithout a place:")
	for _, u := range unplaced {
		fmt.Fprintf(w, "  %s\n", clean(u.Vm))
		for _, r := range u.Reasons {
			fmt.Fprintf(w, "    %s\n", clean(r.Message))
		}
	}
}

// cleanLines is clean for a text of several lines.
func cleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.Join(lines, "\n")
}

// writeExplanation writes for people why a VM or VM server is as it is.
func writeExplanation(w io.Writer, e *api.Explanation) error {
	fmt.Fprintf(w, "%s (%s)\n", clean(e.Name), e.Kind)
	if l := e.Load; l != nil {
		fmt.Fprintf(w, "  It is %s, loaded with %.0f %%; %d VMs run on it and take %d of its capacity of %d.\n", l.Before, l.LoadBefore, l.VmsBefore, l.CostBefore, l.Capacity)
	}
	for _, f := range e.Facts {
		fmt.Fprintf(w, "  %s\n", clean(f))
	}
	if err := section(w, "Other VM servers:", choiceColumns, e.Choices); err != nil {
		return err
	}
	if err := section(w, "If it were emptied:", moveColumns, e.Moves); err != nil {
		return err
	}
	writeUnplaced(w, e.Unplaced)
	return nil
}
