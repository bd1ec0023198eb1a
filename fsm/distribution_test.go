package fsm_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

var (
	oldDate = timestamppb.New(time.Date(2008, 1, 1, 0, 0, 0, 0, time.UTC))
	newDate = timestamppb.New(time.Date(2008, 6, 1, 0, 0, 0, 0, time.UTC))
)

// slotsOf reads "machine/before-group A, model/run C*"; a star is a new date.
func slotsOf(text string) []fsm.Slot {
	var out []fsm.Slot
	for _, one := range strings.Split(text, ", ") {
		key, name, ok := strings.Cut(one, " ")
		if !ok {
			continue
		}
		target, slot, _ := strings.Cut(key, "/")
		sw := &schema.Software{Name: strings.TrimSuffix(name, "*"), Kind: schema.SoftwareScenario, Content: oldDate}
		if strings.HasSuffix(name, "*") {
			sw.Content = newDate
		}
		out = append(out, fsm.Slot{Target: target, Slot: slot, Software: sw})
	}
	return out
}

func distribute(m *schema.Machine, slots []fsm.Slot) {
	for i, s := range slots {
		fsm.RecordDistributed(m, i, s, time.Now())
	}
}

func names(slots []fsm.Slot) string {
	out := ""
	for _, s := range slots {
		out += s.Name()
	}
	return out
}

// The worked examples of the manual [1.5.7], and what they leave open.
func TestDifference(t *testing.T) {
	const start = "machine/before-group A, host/before-group B, host/before-group C, model/run D, group/run E, group/run F"
	for _, c := range []struct {
		what, had, has, run string
		full                bool
	}{
		{"5.1 added at the end", start,
			start + ", host/distribute G, machine/after-group H, machine/after-group I", "GHI", false},
		{"5.2 all three changes at once", start,
			"machine/before-group A, machine/before-group G, host/before-group B, host/before-group C*, model/run D, group/run F, group/run E, host/distribute H", "AGBCDFEH", true},
		{"5.2 inserted", start,
			"machine/before-group A, machine/before-group G, host/before-group B, host/before-group C, model/run D, group/run E, group/run F, host/distribute H", "AGBCDEFH", true},
		{"5.2 date changed", start,
			"machine/before-group A, host/before-group B, host/before-group C*, model/run D, group/run E, group/run F, host/distribute H", "ABCDEFH", true},
		{"5.2 order changed", start,
			"machine/before-group A, host/before-group B, host/before-group C, model/run D, group/run F, group/run E, host/distribute H", "ABCDFEH", true},
		{"5.3 the last one taken off",
			"machine/before-group A, machine/before-group B, host/before-group C, host/before-group D, model/run E, group/run F",
			"machine/before-group A, machine/before-group B, host/before-group C, host/before-group D, model/run E", "", false},
		{"unchanged", start, start, "", false},
		{"only the date of the last one changed", start, strings.Replace(start, "F", "F*", 1), "ABCDEF", true},
		{"taken off in the middle", start, strings.Replace(start, "host/before-group C, ", "", 1), "ABDEF", true},
		{"taken off at the end and another added there", start, strings.Replace(start, "group/run F", "group/run G", 1), "ABCDEG", true},
		{"everything taken off", start, "", "", false},
		{"nothing registered, nothing distributed", "", "", "", false},
		{"nothing distributed yet", "", start, "ABCDEF", true},
		{"the same order by another slot", start, strings.Replace(start, "group/run F", "host/distribute F", 1), "", false},
	} {
		t.Run(c.what, func(t *testing.T) {
			m := &schema.Machine{}
			distribute(m, slotsOf(c.had))
			run, full, why := fsm.Difference(m.Distributed, slotsOf(c.has))
			if names(run) != c.run || full != c.full {
				t.Errorf("runs %q (full %v: %s), want %q (full %v)", names(run), full, why, c.run, c.full)
			}
			if why == "" {
				t.Error("no reason is given")
			}
			if len(run) == 0 {
				return
			}
			// Once carried out there is nothing left to do.
			at := 0
			if !full {
				at = len(m.Distributed)
			}
			for i, s := range run {
				fsm.RecordDistributed(m, at+i, s, time.Now())
			}
			if again, _, why := fsm.Difference(m.Distributed, slotsOf(c.has)); len(again) > 0 {
				t.Errorf("afterwards %q is missing still (%s)", names(again), why)
			}
		})
	}
}

// A full distribution that ends in the middle goes on from there.
func TestRecordOfAnUnfinishedDistribution(t *testing.T) {
	m := &schema.Machine{}
	distribute(m, slotsOf("group/run X, group/run Y, group/run Z"))
	is := slotsOf("group/run A, group/run B, group/run C")
	fsm.RecordDistributed(m, 0, is[0], time.Now())
	fsm.RecordDistributed(m, 2, is[2], time.Now()) // its predecessor isn't there
	if run, full, _ := fsm.Difference(m.Distributed, is); names(run) != "BC" || full {
		t.Errorf("runs %q (full %v), want B and C", names(run), full)
	}
}

func TestRecordChosen(t *testing.T) {
	is := slotsOf("group/run A, group/run B, group/run C, group/run D")
	for _, c := range []struct{ had, chosen, missing string }{
		{"group/run A, group/run B", "C", "D"},
		{"group/run A, group/run B", "D", "CD"}, // out of its turn: it counts as missing
		{"group/run A, group/run B", "A", "CD"},
		{"group/run A, group/run B, group/run C, group/run D", "B", ""},
		{"group/run X", "A", "ABCD"},
		{"", "A", "BCD"},
	} {
		m := &schema.Machine{}
		distribute(m, slotsOf(c.had))
		chosen, err := fsm.Choose(is, []string{c.chosen})
		if err != nil || len(chosen) != 1 {
			t.Fatalf("%v, %v", chosen, err)
		}
		fsm.RecordChosen(m, is, chosen[0], time.Now())
		if run, _, why := fsm.Difference(m.Distributed, is); names(run) != c.missing {
			t.Errorf("with %q, %s chosen: %q is missing (%s), want %q", c.had, c.chosen, names(run), why, c.missing)
		}
	}
	if chosen, err := fsm.Choose(is, []string{"D", "B"}); err != nil || names(chosen) != "BD" {
		t.Errorf("chosen %q, %v; want the order of registration", names(chosen), err)
	}
	if _, err := fsm.Choose(is, []string{"B", "Q"}); schema.KindOf(err) != schema.KindSoftware {
		t.Errorf("Q isn't registered: %v", err)
	}
}

// The order of the slots is that of the manual's two tables [1.5.5].
func TestRegistered(t *testing.T) {
	c := fsmtest.New(t)
	put := func(setDHCP bool) {
		t.Helper()
		c.Do(func(tx *fsm.Tx) error {
			all := []string{"tmpl"}
			slots := func(target string, which ...string) *schema.SoftwareSlots {
				s := &schema.SoftwareSlots{}
				for _, slot := range which {
					list := map[string]*[]string{
						"run": &s.Run, "standby": &s.Standby, "run-before": &s.RunBefore, "run-after": &s.RunAfter,
						"standby-before": &s.StandbyBefore, "standby-after": &s.StandbyAfter,
					}[slot]
					for i := 1; i <= 2; i++ {
						name := fmt.Sprintf("%s-%s-%d", target, slot, i)
						all, *list = append(all, name), append(*list, name)
					}
				}
				return s
			}
			six := []string{"run-before", "run", "run-after", "standby-before", "standby", "standby-after"}
			group := slots("group", "run", "standby")
			group.Run = append(group.Run, "tmpl")
			rows := []func() error{
				func() error {
					return fsm.Groups.Put(tx, &schema.Group{Name: "db", Kind: schema.MachinePhysical, Software: group})
				},
				func() error {
					return fsm.Models.Put(tx, &schema.Model{Group: "db", Name: "ph", Kind: schema.MachinePhysical, Software: slots("model", "run", "standby")})
				},
				func() error {
					return fsm.Hosts.Put(tx, &schema.Host{Group: "db", Name: "db01", Software: slots("host", six...)})
				},
				func() error {
					return fsm.Machines.Put(tx, &schema.Machine{Name: "ph01", Kind: schema.MachinePhysical, Software: slots("machine", six[0], six[2], six[3], six[5])})
				},
			}
			for _, row := range rows {
				if err := row(); err != nil {
					return err
				}
			}
			if setDHCP {
				all = append(all, fsm.SetDHCP)
			}
			for _, name := range all {
				kind := schema.SoftwareScenario
				if name == "tmpl" {
					kind = schema.SoftwareTemplate
				}
				if err := fsm.SoftwareItems.Put(tx, &schema.Software{Name: name, Kind: kind}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	registered := func(phase string) []string {
		v := c.Store().View()
		m, _ := fsm.Machines.Get(v, "ph01")
		h, _ := fsm.Hosts.Get(v, fsm.GroupKey("db", "db01"))
		var out []string
		for _, s := range fsm.Registered(v, m, h, "ph", "db", phase) {
			out = append(out, s.Key()+" "+s.Name())
		}
		return out
	}
	twice := func(pairs ...string) []string {
		var out []string
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, pairs[i]+" "+pairs[i+1]+"-1", pairs[i]+" "+pairs[i+1]+"-2")
		}
		return out
	}
	run := twice("machine/before-group", "machine-run-before", "host/before-group", "host-run-before", "model/run", "model-run", "group/run", "group-run",
		"host/distribute", "host-run", "host/after-group", "host-run-after", "machine/after-group", "machine-run-after")
	standby := twice("machine/before-group", "machine-standby-before", "host/before-group", "host-standby-before", "model/standby", "model-standby", "group/standby", "group-standby",
		"host/distribute", "host-standby", "host/after-group", "host-standby-after", "machine/after-group", "machine-standby-after")
	put(false)
	check := func(phase string, want []string) {
		t.Helper()
		if got := registered(phase); !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", phase, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	check(fsm.PhaseRun, run)
	check(fsm.PhaseStandby, standby)
	put(true)
	check(fsm.PhaseRun, run)
	check(fsm.PhaseStandby, slices.Insert(slices.Clone(standby), 12, "registry/set-dhcp SetDHCP"))
}
