package fsm

import (
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
)

// MonitorStream follows a manager's name in the name of the stream of events
// that its polls of machines make, which has numbers of its own.
const MonitorStream = "/monitor"

// The events of a machine that is polled.
const (
	MonitorSource    = "ESMDSVNT"
	EventUnreachable = "0xC0000002"
	EventReachable   = "0x40000001"
)

// Polled tells whether a machine is to be polled now: one in operation that is
// registered for monitoring, on which no job works, and that nobody has taken
// out of service on purpose.
func Polled(m *schema.Machine) bool {
	return m.Monitored != nil && m.Group != "" && !m.Maintenance && m.Status != schema.StatusInUse && (m.Power == schema.PowerOn || m.Power == schema.PowerUnknown)
}

// Unreachable tells whether a machine's monitoring has said that it doesn't answer.
func Unreachable(m *schema.Machine) bool {
	return m.Unreachable != nil && m.Monitored != nil && !m.Unreachable.AsTime().Before(m.Monitored.AsTime())
}

// followMonitoring registers the machines that run in a group for monitoring as
// the group says. Jobs do it for the machines that they bring into operation;
// this is for those that a document declares as running, and for a group whose
// setting changes. A machine on which a job works is left to the job.
func followMonitoring(tx *Tx, g *schema.Group) error {
	if g.Kind != schema.MachinePhysical {
		return nil
	}
	for m := range Machines.By(tx, ByGroup, g.Name) {
		if m.Host == "" || m.Status == schema.StatusInUse || (m.Monitored != nil) == (g.Monitoring != nil) {
			continue
		}
		m, _ = Machines.Edit(tx, m.Name)
		m.Monitored = nil
		if g.Monitoring != nil {
			m.Monitored = timestamppb.New(tx.Now())
		}
		if err := Machines.Put(tx, m); err != nil {
			return err
		}
	}
	return nil
}

// newsOfPoll notes on the machine what a poll says of it, and tells whether
// that is news: a machine that is known not to answer isn't reported again,
// whoever polls it now, and the recovery of one is reported once. What a manager
// says of a machine that isn't to be polled any more comes too late.
func newsOfPoll(tx *Tx, e *schema.Event) (bool, error) {
	down := e.EventId == EventUnreachable
	if e.Notifier != schema.NotifierESMPRO || e.Source != MonitorSource || !down && e.EventId != EventReachable {
		return false, schema.Errorf(schema.KindInvalid, "events of polls", "%s %s isn't an event of polls", e.Source, e.EventId)
	}
	m, ok := Machines.Edit(tx, e.Target)
	if !ok || !Polled(m) {
		return false, nil
	}
	if down == Unreachable(m) {
		return false, nil
	}
	m.Unreachable = nil
	if down {
		m.Unreachable = timestamppb.New(tx.Now())
	}
	return true, Machines.Put(tx, m)
}

// newsOf notes what an event of a manager's own observation says, and tells
// whether it is one to record.
type newsOf func(tx *Tx, e *schema.Event) (bool, error)

// ownStreams are the streams of what managers themselves see of machines, by
// what follows the manager's name.
var ownStreams = map[string]newsOf{MonitorStream: newsOfPoll, SampleStream: newsOfSamples}

// StreamOf tells whose a stream of events is.
func StreamOf(stream string) (manager string) {
	manager, _ = streamOf(stream)
	return manager
}

func streamOf(stream string) (manager string, news newsOf) {
	for suffix, news := range ownStreams {
		if manager, ok := strings.CutSuffix(stream, suffix); ok {
			return manager, news
		}
	}
	return stream, nil
}
