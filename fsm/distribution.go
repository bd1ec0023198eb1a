package fsm

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
)

// Phases of distribution [1.5.5].
const (
	PhaseRun     = "run"     // a machine is brought into operation
	PhaseStandby = "standby" // a machine is put on standby
)

// Targets of registration, and what a slot of one is called [1.5.5].
const (
	TargetMachine  = "machine"
	TargetHost     = "host"
	TargetModel    = "model"
	TargetGroup    = "group"
	TargetRegistry = "registry" // what nobody registers: the SetDHCP scenario

	slotBefore     = "before-group"
	slotDistribute = "distribute"
	slotAfter      = "after-group"
	slotSetDHCP    = "set-dhcp"
)

// SetDHCP is the scenario that, if there is one of this name, every
// distribution on standby ends the group's part with [1.5.5].
const SetDHCP = "SetDHCP"

// Slot is one entry of the software that is registered for a machine: what is
// distributed, and by which registration.
type Slot struct {
	Target   string // one of the targets above
	Slot     string // before-group, run, standby, distribute, after-group or set-dhcp
	Software *schema.Software
}

// Key names the registration slot, such as "host/before-group".
func (s Slot) Key() string { return s.Target + "/" + s.Slot }

// Name is the software's.
func (s Slot) Name() string { return s.Software.GetName() }

// Registered is the software registered for a machine that runs, or is to run,
// under a host setting as a model of a group, in the order of distribution
// [1.5.5]. host may be nil, model and group empty: their slots are then empty.
// Templates aren't distributed: machines are made from them.
func Registered(r Reader, m *schema.Machine, host *schema.Host, model, group, phase string) []Slot {
	g, _ := Groups.Get(r, group)
	mo, _ := Models.Get(r, GroupKey(group, model))
	var out []Slot
	add := func(target, slot string, names []string) {
		for _, name := range names {
			if sw, ok := SoftwareItems.Get(r, name); ok && sw.Kind != schema.SoftwareTemplate {
				out = append(out, Slot{target, slot, sw})
			}
		}
	}
	own, hs, ms, gs := m.GetSoftware(), host.GetSoftware(), mo.GetSoftware(), g.GetSoftware()
	if phase == PhaseStandby {
		add(TargetMachine, slotBefore, own.GetStandbyBefore())
		add(TargetHost, slotBefore, hs.GetStandbyBefore())
		add(TargetModel, PhaseStandby, ms.GetStandby())
		add(TargetGroup, PhaseStandby, gs.GetStandby())
		add(TargetHost, slotDistribute, hs.GetStandby())
		add(TargetHost, slotAfter, hs.GetStandbyAfter())
		if sw, ok := SoftwareItems.Get(r, SetDHCP); ok && sw.Kind == schema.SoftwareScenario {
			out = append(out, Slot{TargetRegistry, slotSetDHCP, sw})
		}
		add(TargetMachine, slotAfter, own.GetStandbyAfter())
		return out
	}
	add(TargetMachine, slotBefore, own.GetRunBefore())
	add(TargetHost, slotBefore, hs.GetRunBefore())
	add(TargetModel, PhaseRun, ms.GetRun())
	add(TargetGroup, PhaseRun, gs.GetRun())
	add(TargetHost, slotDistribute, hs.GetRun())
	add(TargetHost, slotAfter, hs.GetRunAfter())
	add(TargetMachine, slotAfter, own.GetRunAfter())
	return out
}

// Difference compares what a machine has with what is registered for it, both
// in the order of distribution, and tells what a differential distribution has
// to run [1.5.7]: nothing, what was added at the end, or everything (full).
// why says in a sentence what the decision rests on.
func Difference(distributed []*schema.DistributedSoftware, registered []Slot) (run []Slot, full bool, why string) {
	common := commonPart(distributed, registered)
	switch {
	case common == len(registered) && len(registered) == len(distributed):
		return nil, false, "everything that is registered is distributed already"
	case common == len(registered):
		return nil, false, fmt.Sprintf("what is registered is distributed already; %d at the end are registered no more", len(distributed)-common)
	case common == len(distributed) && common == 0:
		return registered, true, "nothing is distributed yet"
	case common == len(distributed):
		return registered[common:], false, fmt.Sprintf("%d of %d are distributed already, the others were added at the end", common, len(registered))
	}
	was, is := distributed[common], registered[common]
	if was.Name == is.Name() {
		return registered, true, fmt.Sprintf("the content of %s has changed (place %d)", was.Name, common+1)
	}
	return registered, true, fmt.Sprintf("place %d was %s and is %s now", common+1, was.Name, is.Name())
}

// commonPart is how many entries at the beginning of both are the same
// software with the same content. The slot that an entry stands in decides
// about the order alone.
func commonPart(distributed []*schema.DistributedSoftware, registered []Slot) int {
	n := 0
	for n < len(distributed) && n < len(registered) && sameSoftware(distributed[n], registered[n]) {
		n++
	}
	return n
}

func sameSoftware(d *schema.DistributedSoftware, s Slot) bool {
	return d.Name == s.Name() && contentOf(d.Content).Equal(contentOf(s.Software.Content))
}

// contentOf is the date of a content; one without a date has the zero time.
func contentOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// Choose takes the named software out of what is registered, in the order of
// distribution. KindSoftware when one isn't registered.
func Choose(registered []Slot, names []string) ([]Slot, error) {
	var out []Slot
	for _, s := range registered {
		if slices.Contains(names, s.Name()) {
			out = append(out, s)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(registered, func(s Slot) bool { return s.Name() == name }) {
			return nil, schema.Errorf(schema.KindSoftware, "software "+name, "it isn't registered for the machine, its host setting, model or group").
				WithHint("register it, or distribute it whatever is registered with /p")
		}
	}
	return out, nil
}

// RecordDistributed notes in a machine's history that the entry at place at
// (from 0) of what is registered for it was distributed, as a full or
// differential distribution does: one entry after the other, so that what
// stood at this place and behind it is no more. An entry whose predecessors
// aren't in the history is left out: a differential distribution counts it as
// missing then.
func RecordDistributed(m *schema.Machine, at int, s Slot, now time.Time) {
	if at < 0 || at > len(m.Distributed) {
		return
	}
	m.Distributed = append(slices.Clone(m.Distributed[:at]), entry(s, now))
}

// RecordChosen notes that one entry of what is registered was distributed by
// name. The history stays a leading part of what is registered: the entry is
// noted if it is in the history already, or comes next.
func RecordChosen(m *schema.Machine, registered []Slot, s Slot, now time.Time) {
	at := slices.IndexFunc(registered, func(o Slot) bool { return o.Name() == s.Name() && o.Key() == s.Key() })
	switch common := commonPart(m.Distributed, registered); {
	case at < 0:
	case at < len(m.Distributed) && m.Distributed[at].Name == s.Name():
		m.Distributed = slices.Clone(m.Distributed)
		m.Distributed[at] = entry(s, now)
	case at == common && common == len(m.Distributed):
		m.Distributed = append(slices.Clone(m.Distributed), entry(s, now))
	}
}

func entry(s Slot, now time.Time) *schema.DistributedSoftware {
	return &schema.DistributedSoftware{Name: s.Name(), Slot: s.Key(), Content: s.Software.GetContent(), Time: timestamppb.New(now)}
}
