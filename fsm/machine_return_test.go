package fsm_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// TestReturnToOrigin: whatever way a machine came in, it goes back there
// [1.2.2, 1.11.3].
func TestReturnToOrigin(t *testing.T) {
	c := shared(t)
	apply(t, c, doc("Host", "src/s4", `{}`))
	c.Do(func(tx *fsm.Tx) error { return fsm.ReturnToOrigin(tx, "a1") })
	if m := machine(t, c, "a1"); m.RunState() != schema.StatePool || !slices.Equal(m.PoolGroups, []string{"dst", "src"}) {
		t.Errorf("from two pools: %v", m)
	}
	c.Do(func(tx *fsm.Tx) error { return fsm.ReturnToOrigin(tx, "a2") })
	if m := machine(t, c, "a2"); m.RunState() != schema.StatePool || !slices.Equal(m.PoolGroups, []string{"dst"}) {
		t.Errorf("from the common pool, and in the pool of another group: %v", m)
	}
	c.Do(func(tx *fsm.Tx) error { // a pool machine that is registered as a master returns to the common pool
		if err := fsm.ReturnToOrigin(tx, "a3"); err != nil {
			return err
		}
		return fsm.Activate(tx, fsm.Activation{Machine: "a3", Group: "src", Host: "s4", Master: true})
	})
	edit(c, "a3", func(m *schema.Machine) { m.Monitored = timestamppb.Now() })
	c.Do(func(tx *fsm.Tx) error { return fsm.ReturnToOrigin(tx, "a3") })
	if m := machine(t, c, "a3"); m.RunState() != schema.StateManaged || m.Master || m.Monitored != nil {
		t.Errorf("a master machine: %v", m)
	}
	_, err := c.Try(func(tx *fsm.Tx) error { return fsm.ReturnToOrigin(tx, "a3") })
	has(t, err, schema.KindConflict, "a3", "common pool")
	// One that came from the common pool never enters the pool of its group.
	apply(t, c, blade("a5", `'group':'src','host':'s4'`))
	_, err = c.Try(func(tx *fsm.Tx) error { return fsm.AddToPool(tx, "a5", "src") })
	has(t, err, schema.KindConflict, "a5", "can only go back there")
}

func TestTakeOver(t *testing.T) {
	c := physical(t)
	edit(c, "ph01", func(m *schema.Machine) {
		m.HardwareStatus, m.Status, m.StatusReason = schema.HardwareFailed, schema.StatusAbnormal, "it fell over"
	})
	c.Do(func(tx *fsm.Tx) error { return fsm.TakeOver(tx, "ph01", "ph03", "") })
	old, now := machine(t, c, "ph01"), machine(t, c, "ph03")
	if old.RunState() != schema.StatePool || old.HardwareStatus != schema.HardwareFailed || old.Status != schema.StatusAbnormal || old.StatusReason == "" {
		t.Errorf("old: %v", old)
	}
	if now.Group != "db" || now.Host != "db01" || now.Model != "r120" || now.Origin != "db" || now.Replaced == nil || now.Master {
		t.Errorf("new: %v", now)
	}
	if h, _ := fsm.Hosts.Get(c.Store().View(), "db/db01"); h.Machine != "ph03" {
		t.Errorf("host: %v", h)
	}
	// Exchanged, it undoes itself.
	c.Do(func(tx *fsm.Tx) error { return fsm.TakeOver(tx, "ph03", "ph01", "r120") })
	if m := machine(t, c, "ph01"); m.Host != "db01" || m.Origin != "db" || machine(t, c, "ph03").RunState() != schema.StatePool {
		t.Errorf("back: %v", m)
	}
	// By a machine of the common pool, which returns there.
	c.Do(func(tx *fsm.Tx) error { return fsm.TakeOver(tx, "ph01", "ph04", "r120") })
	if m := machine(t, c, "ph04"); m.Origin != "" || m.Host != "db01" {
		t.Errorf("%v", m)
	}
	c.Do(func(tx *fsm.Tx) error { return fsm.TakeOver(tx, "ph04", "ph01", "") })
	if m := machine(t, c, "ph04"); m.RunState() != schema.StateManaged {
		t.Errorf("%v", m)
	}
	for name, tt := range map[string]struct {
		old, new, model string
		kind            schema.Kind
		words           string
	}{
		"old unknown":      {"x", "ph03", "", schema.KindMachineNotFound, "x"},
		"new unknown":      {"ph01", "x", "", schema.KindMachineNotFound, "x"},
		"old waits":        {"ph03", "ph04", "", schema.KindGroupUnusable, "ph03"},
		"new runs":         {"ph01", "ph02", "", schema.KindInGroup, "ph02"},
		"new is old":       {"ph01", "ph01", "r120", schema.KindInvalid, "own place"},
		"no such model":    {"ph01", "ph03", "x", schema.KindGroupNotFound, "db/x"},
		"not of the model": {"ph01", "ph04", "", schema.KindConflict, "R140"},
	} {
		t.Run(name, func(t *testing.T) {
			edit(c, "ph04", func(m *schema.Machine) { m.ModelName = "R140" })
			before := c.Store().View()
			_, err := c.Try(func(tx *fsm.Tx) error { return fsm.TakeOver(tx, tt.old, tt.new, tt.model) })
			has(t, err, tt.kind, tt.words)
			if c.Store().View() != before {
				t.Error("a refused transition changed the state")
			}
		})
	}
}

// TestTransitionsKeepThePromises runs random transitions: a machine from the
// common pool, and a master machine, never ends in the pool of the group that
// it ran in; a machine of the group's pool always does.
func TestTransitionsKeepThePromises(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := shared(t)
		apply(t, c, doc("Host", "src/s4", `{}`), blade("a5", `'tags':[]`))
		for range rapid.IntRange(1, 25).Draw(rt, "moves") {
			name := rapid.SampledFrom([]string{"a1", "a2", "a3", "a4", "a5"}).Draw(rt, "machine")
			other := rapid.SampledFrom([]string{"a1", "a2", "a3", "a4", "a5"}).Draw(rt, "other")
			group := rapid.SampledFrom([]string{"src", "dst"}).Draw(rt, "group")
			host := group[:1] + rapid.SampledFrom([]string{"1", "2", "3"}).Draw(rt, "host")
			master := rapid.Bool().Draw(rt, "master")
			before := machine(t, c, name)
			what := rapid.SampledFrom([]string{"activate", "return", "take over", "pool", "out of the pool"}).Draw(rt, "what")
			_, err := c.Try(func(tx *fsm.Tx) error {
				switch what {
				case "activate":
					return fsm.Activate(tx, fsm.Activation{Machine: name, Group: group, Host: host, Master: master})
				case "return":
					return fsm.ReturnToOrigin(tx, name)
				case "take over":
					return fsm.TakeOver(tx, name, other, "")
				case "pool":
					return fsm.AddToPool(tx, name, group)
				}
				return fsm.RemoveFromPool(tx, name, group)
			})
			if schema.KindOf(err) == schema.KindInternal {
				rt.Fatal(err)
			}
			after := machine(t, c, name)
			if err == nil && (what == "return" || what == "take over" && name != other) {
				returned := slices.Contains(after.PoolGroups, before.Group)
				if after.Group != "" || returned != (before.Origin == before.Group && !before.Master) {
					rt.Errorf("%s: %v became %v", what, before, after)
				}
			}
			if after.Master && after.Origin != "" {
				rt.Errorf("a master machine with an origin: %v", after)
			}
			checkReferences(rt, c.Store().View())
		}
	})
}
