package node

import (
	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// nodeMetrics shows a manager's state at the time of the scrape.
type nodeMetrics struct{ n *Node }

var (
	descLeader = prometheus.NewDesc("yagura_raft_leader", "1 on the manager that leads.", nil, nil)
	descTerm   = prometheus.NewDesc("yagura_raft_term", "Raft term.", nil, nil)
	descCommit = prometheus.NewDesc("yagura_raft_commit_index", "Highest log index known to be committed.", nil, nil)
	descApply  = prometheus.NewDesc("yagura_raft_applied_index", "Highest log index applied to the database.", nil, nil)
	descReady  = prometheus.NewDesc("yagura_ready", "1 when the manager is caught up and knows a leader.", nil, nil)
	descAlive  = prometheus.NewDesc("yagura_gossip_alive", "Managers that gossip holds for alive.", nil, nil)
	descTraps  = prometheus.NewDesc("yagura_traps_received_total", "SNMP datagrams received, those included that the kernel dropped.", nil, nil)
	descDup    = prometheus.NewDesc("yagura_traps_duplicate_total", "Retransmitted informs.", nil, nil)
	descTaken  = prometheus.NewDesc("yagura_traps_recorded_total", "SNMP notifications that the leader has recorded.", nil, nil)
	descWait   = prometheus.NewDesc("yagura_traps_waiting", "Events that the leader hasn't recorded yet.", nil, nil)
	descPolled = prometheus.NewDesc("yagura_monitor_targets", "Machines that this manager polls.", nil, nil)
	descSilent = prometheus.NewDesc("yagura_monitor_silent", "Machines among them that missed their polls.", nil, nil)
	descBlind  = prometheus.NewDesc("yagura_monitor_blind", "1 when none of several machines answers: it is this manager's network.", nil, nil)
	descPolls  = prometheus.NewDesc("yagura_monitor_polls_total", "Polls of machines.", nil, nil)
	descUnable = prometheus.NewDesc("yagura_monitor_unable_total", "Polls that this manager couldn't make.", nil, nil)
	descPassed = prometheus.NewDesc("yagura_traps_forwarded_total", "SNMP notifications passed on to a receiver.", []string{"receiver"}, nil)
	descQueue  = prometheus.NewDesc("yagura_traps_forward_waiting", "SNMP notifications that wait to be passed on to a receiver.", []string{"receiver"}, nil)
	descMissed = prometheus.NewDesc("yagura_traps_forward_dropped_total", "SNMP notifications not passed on to a receiver.", []string{"receiver", "reason"}, nil)
	descDrop   = prometheus.NewDesc("yagura_traps_dropped_total", "SNMP notifications dropped.", []string{"reason"}, nil)
)

// Describe implements prometheus.Collector.
func (m nodeMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descLeader, descTerm, descCommit, descApply, descReady, descAlive, descTraps, descDup, descTaken, descWait, descDrop,
		descPolled, descSilent, descBlind, descPolls, descUnable, descPassed, descQueue, descMissed} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m nodeMetrics) Collect(ch chan<- prometheus.Metric) {
	n := m.n
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	flag := func(d *prometheus.Desc, b bool) { gauge(d, oneIf(b)) }
	ready, _ := n.Ready()
	flag(descLeader, n.raft.State() == raft.Leader)
	flag(descReady, ready)
	gauge(descTerm, float64(n.raft.CurrentTerm()))
	gauge(descCommit, float64(n.raft.CommitIndex()))
	gauge(descApply, float64(n.raft.AppliedIndex()))
	gauge(descAlive, float64(len(n.gossip.alive())))
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	s := n.monitor.Stats()
	gauge(descPolled, float64(s.Targets))
	gauge(descSilent, float64(s.Silent))
	flag(descBlind, s.Blind)
	count(descPolls, s.Polls)
	count(descUnable, s.Unable)
	if n.traps == nil {
		return
	}
	count(descTraps, n.traps.Received())
	count(descDup, n.traps.Duplicates())
	count(descTaken, n.traps.Recorded())
	gauge(descWait, float64(n.traps.Waiting()))
	for reason, v := range n.traps.Dropped() {
		count(descDrop, v, reason)
	}
	for _, f := range n.traps.Forwarded() {
		count(descPassed, f.Sent, f.Name)
		ch <- prometheus.MustNewConstMetric(descQueue, prometheus.GaugeValue, float64(f.Waiting), f.Name)
		for reason, v := range f.Dropped {
			count(descMissed, v, f.Name, string(reason))
		}
	}
}

// registerMetrics adds this manager's metrics to those of the API.
func (n *Node) registerMetrics() error {
	for _, c := range []prometheus.Collector{nodeMetrics{n}, eventMetrics{n}, sampleMetrics{n}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := n.metrics.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// oneIf is how a metric shows what is so or not.
func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
