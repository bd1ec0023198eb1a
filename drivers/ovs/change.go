package ovs

import (
	"fmt"
	"slices"
	"time"

	"yagura/drivers"
	"yagura/drivers/internal/fault"
)

// goal is a port in a VLAN, or not in it.
type goal struct {
	vlan drivers.VLAN
	in   bool
}

// allowed tells why the goal can't be had.
func (g goal) allowed(st *state, p *port) error {
	if !slices.Contains([]string{"", modeAccess, modeTrunk, modeNativeTagged, modeNativeUntagged}, p.mode) {
		return fmt.Errorf("port %s has vlan_mode %s, which isn't ours to change", p.name, p.mode)
	}
	if !g.in {
		return nil
	}
	for _, err := range []error{g.vlan.Check(st.unused), g.vlan.Clash(st.vlans())} {
		if err != nil {
			return err
		}
	}
	switch {
	case p.open(): // as it came with ovs-vsctl add-port: it becomes what is asked for
		return nil
	case p.all():
		return fmt.Errorf("port %s carries all VLANs beside its own; list its trunks first (ovs-vsctl set port %s trunks=...)", p.name, p.name)
	}
	return st.view(p).Blocks(g.vlan)
}

// reached tells whether the database shows the goal.
func (g goal) reached(st *state, p *port) bool {
	v := st.view(p)
	switch {
	case !g.in && g.vlan.ID == st.unused:
		return true // whoever is in it is in none
	case !g.in:
		return !p.all() && !v.Has(g.vlan.ID)
	case st.names[g.vlan.ID] != g.vlan.Name || p.all():
		return false
	case g.vlan.Management:
		return v.In(g.vlan)
	}
	return v.In(g.vlan) && p.mode != modeNativeTagged
}

// columns are those of a port that a change writes.
type columns struct {
	tag       int // -1: none
	trunks    []int
	mode      string
	protected bool // reaches no other port that is protected too
}

func (p *port) columns() columns { return columns{p.tag, p.trunks, p.mode, p.protected} }

// row writes them as OVSDB has them. Sets of one are written as sets too.
func (c columns) row() map[string]any {
	tag, mode := []int{}, []string{}
	if c.tag >= 0 {
		tag = append(tag, c.tag)
	}
	if c.mode != "" {
		mode = append(mode, c.mode)
	}
	return map[string]any{"tag": setOf(tag), "trunks": setOf(c.trunks), "vlan_mode": setOf(mode), "protected": c.protected}
}

// want is the port as the goal has it. A trunk of all VLANs leaves one only by
// being a trunk no more. Ports in no VLAN are protected from each other.
func (g goal) want(st *state, p *port) columns {
	v := st.view(p)
	tagged := slices.Clone(v.Also)
	if p.all() {
		tagged = nil
	}
	untagged := v.VLAN
	switch {
	case g.in && g.vlan.Management:
		tagged = append(tagged, g.vlan.ID)
	case g.in:
		untagged = g.vlan.ID
	default:
		tagged = slices.DeleteFunc(tagged, func(id int) bool { return id == g.vlan.ID })
		if untagged == g.vlan.ID {
			untagged = 0
		}
	}
	slices.Sort(tagged)
	protected := p.protected && p.tag != st.unused
	switch {
	case untagged == 0 && len(tagged) == 0:
		return columns{st.unused, nil, modeAccess, true}
	case untagged == 0: // untagged frames go nowhere
		return columns{-1, tagged, modeTrunk, protected}
	case len(tagged) == 0: // in a native mode no trunks would mean all
		return columns{untagged, nil, modeAccess, protected}
	}
	return columns{untagged, tagged, modeNativeUntagged, protected}
}

// change is a transaction that has been sent.
type change struct {
	port     *port
	from, to columns
	key      string // of the VLAN's name, if that was added
	bridge   uuid
	cfg      int // number of the configuration that contains it
}

// apply sends the transaction. It takes place only if the port, and for a new
// name the bridge, are as they were read: else errOvertaken.
func (c *conn) apply(st *state, p *port, g goal, comment string) (*change, error) {
	ch := &change{port: p, from: p.columns(), to: g.want(st, p), bridge: st.bridge}
	var name []operation
	if g.in && st.names[g.vlan.ID] != g.vlan.Name {
		ch.key = fmt.Sprintf("%s%d", nameKey, g.vlan.ID)
		pair := []any{"map", [][]string{{ch.key, g.vlan.Name}}}
		name = []operation{
			same("Bridge", st.bridge, map[string]any{"external_ids": st.externalIDs}),
			{"op": "mutate", "table": "Bridge", "where": where(st.bridge), "mutations": []any{[]any{"external_ids", "insert", pair}}},
		}
	}
	return ch, c.move(ch, ch.from, ch.to, comment, name...)
}

// move writes a port's columns and asks ovs-vswitchd to take that over.
func (c *conn) move(ch *change, from, to columns, comment string, more ...operation) error {
	ops := append([]operation{
		same("Port", ch.port.id, from.row()),
		{"op": "update", "table": "Port", "where": where(ch.port.id), "row": to.row()},
		{"op": "comment", "comment": comment},
	}, more...)
	ops = append(ops,
		operation{"op": "mutate", "table": "Open_vSwitch", "where": []any{}, "mutations": []any{[]any{"next_cfg", "+=", 1}}},
		operation{"op": "select", "table": "Open_vSwitch", "where": []any{}, "columns": []string{"next_cfg"}})
	out, err := c.transact(true, ops...)
	if err != nil {
		return err
	}
	last := out[len(ops)-1]
	if len(last.Rows) != 1 || out[1].Count != 1 {
		return fault.Errorf(drivers.KindUnknown, "the change touched %d ports", out[1].Count)
	}
	ch.cfg, _ = one[int](last.Rows[0]["next_cfg"])
	return nil
}

// same is an operation that fails the transaction unless a row is so.
func same(table string, id uuid, row map[string]any) operation {
	var names []string
	for n := range row {
		names = append(names, n)
	}
	return operation{
		"op": "wait", "timeout": 0, "table": table, "where": where(id), "columns": names, "until": "==", "rows": []any{row},
	}
}

// takeBack undoes a change that nobody applied, so that it can't come later.
func (c *conn) takeBack(ch *change) error {
	var more []operation
	if ch.key != "" {
		gone := []any{"external_ids", "delete", []any{"set", []string{ch.key}}}
		more = append(more, operation{"op": "mutate", "table": "Bridge", "where": where(ch.bridge), "mutations": []any{gone}})
	}
	return c.move(ch, ch.to, ch.from, "yagura: taken back", more...)
}

// pause waits, or for the end of the conversation.
func (c *conn) pause(d time.Duration) {
	select {
	case <-c.ctx.Done():
	case <-time.After(d):
	}
}

// applied waits until ovs-vswitchd has applied configuration number cfg.
func (c *conn) applied(cfg int, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		out, err := c.transact(false, operation{"op": "select", "table": "Open_vSwitch", "where": []any{}, "columns": []string{"cur_cfg"}})
		if err != nil {
			return err
		}
		var has int
		if len(out[0].Rows) == 1 {
			has, _ = one[int](out[0].Rows[0]["cur_cfg"])
		}
		if has >= cfg {
			return nil
		}
		select {
		case <-c.ctx.Done():
			return fault.New(drivers.KindUnreachable, c.ctx.Err())
		case <-timer.C:
			return fault.Errorf(drivers.KindFailed, "ovs-vswitchd has applied configuration %d, not %d; is it running?", has, cfg)
		case <-time.After(pause):
		}
	}
}
