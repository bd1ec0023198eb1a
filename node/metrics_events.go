package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"yagura/fsm"
	"yagura/fsm/policy"
)

// eventMetrics shows what becomes of events and who is told. Decisions are
// counted by the manager that makes them, while it leads; the rest are rows, the
// same on all managers.
type eventMetrics struct{ n *Node }

var (
	descRecorded     = prometheus.NewDesc("yagura_events_recorded_total", "Events of traps, polls and samples that this manager recorded as the leader: new ones, and those counted in an earlier row.", []string{"row"}, nil)
	descDecisions    = prometheus.NewDesc("yagura_event_decisions_total", "Decisions on events that this manager made as the leader.", []string{"decision"}, nil)
	descBraked       = prometheus.NewDesc("yagura_events_braked_total", "Events among them that a brake holds, by brake.", []string{"brake"}, nil)
	descStorm        = prometheus.NewDesc("yagura_storm_active", "1 while a storm of inaccessible machines lasts.", nil, nil)
	descStormHit     = prometheus.NewDesc("yagura_storm_machines", "Machines that the storm has hit so far; 0 when there is none.", nil, nil)
	descDisarmed     = prometheus.NewDesc("yagura_automation_disarmed", "1 while automation is switched off for the whole cluster.", nil, nil)
	descNotices      = prometheus.NewDesc("yagura_notices_waiting", "Notices that wait to be sent to a receiver.", []string{"receiver"}, nil)
	descNoticeAge    = prometheus.NewDesc("yagura_notices_oldest_waiting_seconds", "Age of the oldest notice that waits to be sent to a receiver; 0 when none waits.", []string{"receiver"}, nil)
	descNoticesSent  = prometheus.NewDesc("yagura_notices_delivered_total", "Notices that a receiver has taken.", []string{"receiver"}, nil)
	descNoticesLost  = prometheus.NewDesc("yagura_notices_lost_total", "Notices given up: the receiver took nothing for too long, or its outbox was full.", []string{"receiver"}, nil)
	descNoticeFailed = prometheus.NewDesc("yagura_notice_failures_total", "Attempts to send a message to a receiver that failed; it is sent again unless it is given up.", []string{"receiver"}, nil)
)

// Describe implements prometheus.Collector.
func (m eventMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descRecorded, descDecisions, descBraked, descStorm, descStormHit, descDisarmed,
		descNotices, descNoticeAge, descNoticesSent, descNoticesLost, descNoticeFailed} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m eventMetrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	total := m.n.counts.Total()
	count(descRecorded, float64(total.New), "new")
	count(descRecorded, float64(total.Repeated), "earlier")
	for _, decision := range policy.Decisions() {
		count(descDecisions, float64(total.Decisions[decision]), decision)
	}
	for _, brake := range policy.Brakes() {
		count(descBraked, float64(total.Brakes[brake]), string(brake))
	}
	v := m.n.store.View()
	s := fsm.Settings(v)
	lasts := s.Storm != nil && s.Storm.Over == nil
	hit := 0.0
	if lasts {
		hit = float64(s.Storm.Count)
	}
	gauge(descStorm, oneIf(lasts))
	gauge(descStormHit, hit)
	armed, _, _ := fsm.ArmedState(v, "")
	gauge(descDisarmed, oneIf(!armed))
	now := time.Now()
	for r := range fsm.Receivers.All(v) {
		if !r.GetsNotices() {
			continue
		}
		age := 0.0
		if oldest, ok := fsm.Notices.One(v, fsm.ByReceiver, r.Name); ok {
			age = max(0, now.Sub(oldest.Created.AsTime()).Seconds())
		}
		gauge(descNotices, float64(r.Waiting), r.Name)
		gauge(descNoticeAge, age, r.Name)
		count(descNoticesSent, float64(r.Sent), r.Name)
		count(descNoticesLost, float64(r.Lost), r.Name)
		count(descNoticeFailed, float64(r.Failures), r.Name)
	}
}
