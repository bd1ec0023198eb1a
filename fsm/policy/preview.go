package policy

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/schema"
)

// Case is what would be decided on an event about one machine.
type Case struct {
	Event    *schema.Event
	Machine  *schema.Machine
	Decision Decision
	// Then is the decision after the time for which the event would wait for a
	// recovery, if none comes; nil when it wouldn't wait.
	Then *Decision
}

// Preview tells what would be decided now on an event about the machine that
// runs under a host of a group, or about each machine that runs below the path
// when host is empty. event is written as in a rule's selector: SOURCE[ID], the id of
// a performance event, an alarm's text, or category:NAME for the first known
// event of it. Nothing is written. KindInvalid for what names no event,
// KindGroupNotFound, KindMachineNotFound, KindTooFewHosts (none runs).
func Preview(r fsm.Reader, now time.Time, group, host, event string) ([]Case, error) {
	template, err := eventOf(event)
	if err != nil {
		return nil, err
	}
	running, _, err := fsm.GroupMachines(r, group)
	if err != nil {
		return nil, err
	}
	if host != "" {
		m, err := fsm.RunningHost(r, group, host)
		if err != nil {
			return nil, err
		}
		running = []*schema.Machine{m}
	}
	if len(running) == 0 {
		return nil, schema.Errorf(schema.KindTooFewHosts, "group "+schema.NormalPath(group), "no machine runs in it").WithHint("pvmutl list group shows the groups")
	}
	var out []Case
	for _, m := range running {
		e := &schema.Event{
			Notifier: template.Notifier, Source: template.Source, EventId: template.ID, Category: template.Category, Text: template.Text,
			Target: m.Name, TargetHint: m.Host, Group: m.Group, State: schema.EventNew, Count: 1,
			Severity: catalog.Severity(template.Notifier, template.Source, template.ID),
			Time:     timestamppb.New(now), Received: timestamppb.New(now), LastTime: timestamppb.New(now),
		}
		c := Case{Event: e, Machine: m}
		c.Decision, c.Then = Foresee(r, now, e)
		out = append(out, c)
	}
	return out, nil
}

// Foresee tells what would be decided now on an event, and when it would wait
// for a recovery, what after that time without one. Nothing is written.
func Foresee(r fsm.Reader, now time.Time, e *schema.Event) (d Decision, then *Decision) {
	d = Decide(Gather(r, e, now, false))
	if d.Wait > 0 {
		f := Gather(r, e, now, true)
		f.WorkedOnBy = "" // by then
		later := Decide(f)
		then = &later
	}
	return d, then
}

// eventOf makes an event of a selector's text.
func eventOf(text string) (catalog.Event, error) {
	text = strings.TrimSpace(text)
	none := schema.Errorf(schema.KindInvalid, "event "+text, "it names no event").
		WithHint("write it as in a policy's rule: ESMDSVNT[0xC0000002], 11000006, an alarm's text, or category:machine-inaccessible")
	if category, ok := strings.CutPrefix(text, "category:"); ok {
		for _, e := range catalog.Events() {
			if e.Category == category {
				return e, nil
			}
		}
		return catalog.Event{}, none
	}
	for _, notifier := range []string{schema.NotifierESMPRO, schema.NotifierPerf, schema.NotifierVMware} {
		s, err := catalog.ParseSelector(notifier, text)
		if err != nil {
			continue
		}
		if e, ok := catalog.Find(notifier, s.Source, s.ID); ok {
			return e, nil
		}
	}
	s, err := catalog.ParseSelector(schema.NotifierSNMP, text)
	if err != nil {
		return catalog.Event{}, none
	}
	return catalog.Event{Notifier: schema.NotifierSNMP, Source: s.Source, ID: s.ID}, nil
}
