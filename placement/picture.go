package placement

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// barWidth is how many characters stand for full load.
const barWidth = 24

// Picture draws the load of each server before and after a plan as bars in
// text. The load is what the boundaries of the server's model speak of: the
// greatest share over the measured dimensions, or of the capacity, or over the
// reserved dimensions where VMs have no cost. Bars of servers with a model show
// the end of the target range as |.
func Picture(w io.Writer, p *Problem, plan *Plan) error {
	c, err := Compile(p)
	if err != nil {
		return err
	}
	after := c.now.clone()
	for _, mv := range plan.Moves {
		v, ok := c.vmIdx[mv.VM]
		to, known := c.serverIdx[mv.To]
		if !ok || !known {
			return &Error{Kind: KindNotFound, Object: "plan", Msg: fmt.Sprintf("moves %q to %q, which the problem lacks", mv.VM, mv.To)}
		}
		if after.host[v] >= 0 {
			after.take(v)
		}
		after.active[v] = after.active[v] || mv.Kind == PowerOnVM || mv.Kind == CreateVM
		after.put(v, to)
	}
	changed := map[string]bool{}
	for _, list := range [][]ServerAction{plan.StartBefore, plan.StopAfter} {
		for _, a := range list {
			changed[a.Server] = true
		}
	}
	width := len("server")
	for i := range p.Servers {
		width = max(width, utf8.RuneCountInString(p.Servers[i].Name))
	}
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "%-*s  %-*s  %s\n", width, "server", barWidth+6, "before", "after")
	for s := range p.Servers {
		srv := &p.Servers[s]
		on := srv.State == ServerOn
		pad := strings.Repeat(" ", width-utf8.RuneCountInString(srv.Name))
		fmt.Fprintf(b, "%s%s  %s  %s\n", srv.Name, pad, c.bar(&c.now, s, on, srv.State), strings.TrimRight(c.bar(after, s, on != changed[srv.Name], ServerOff), " "))
	}
	fmt.Fprintf(b, "servers on %d -> %d, VMs on %d -> %d, unevenness %.3f -> %.3f", plan.Before.ServersOn, plan.After.ServersOn, plan.Before.VMsOn, plan.After.VMsOn, plan.Before.Score, plan.After.Score)
	if plan.Bound > 0 {
		fmt.Fprintf(b, ", proven least %d servers (gap %.1f %%)", plan.Bound, 100*plan.Gap())
	}
	fmt.Fprintln(b)
	return b.Flush()
}

// bar draws one server's load in barWidth+6 characters.
func (c *Cluster) bar(st *state, s int, on bool, state ServerState) string {
	if !on {
		if state == ServerOn {
			state = ServerOff
		}
		return fmt.Sprintf("%-*s", barWidth+6, state)
	}
	load := c.loadPercent(st, s)
	cells := []byte(strings.Repeat(".", barWidth))
	for i := range min(int(load*barWidth/100+0.5), barWidth) {
		cells[i] = '#'
	}
	if m := c.p.modelOf(&c.p.Servers[s]); m != nil && m.TargetHigh > 0 && m.TargetHigh < 100 {
		cells[m.TargetHigh*barWidth/100] = '|'
	}
	return fmt.Sprintf("%s %3.0f %%", cells, load)
}
