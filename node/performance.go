package node

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/node/performance"
	"yagura/rpc/api"
)

// newCollector makes the collector of samples.
func (n *Node) newCollector() *performance.Collector {
	return performance.New(performance.Options{
		Targets: n.sampleShare, Known: n.sampleKnown, Sampler: performance.Agent{}, Log: n.log,
		Deliver: func(ctx context.Context, events []*schema.Event) error {
			_, err := n.recordEvents(ctx, n.id+fsm.SampleStream, events)
			return err
		},
	})
}

// sampleShare is what this manager samples of the physical machines: its part
// among the members of the cluster that are alive and see their machines.
func (n *Node) sampleShare() []performance.Target {
	if !n.inTouch() {
		return nil
	}
	v := n.store.View()
	return performance.Share(v, n.store.Sealer().Open, n.lookers(v), n.id)
}

// sampleKnown is what the database says of a machine whose samples raise events.
func (n *Node) sampleKnown(name string) (*schema.Machine, []*schema.Threshold) {
	v := n.store.View()
	m, ok := fsm.Machines.Get(v, name)
	if !ok || !fsm.Told(m) || !n.inTouch() {
		return nil, nil
	}
	return m, fsm.Thresholds(v, m)
}

// takeLoads takes in what the scheduler has read of a hypervisor's manager.
func (n *Node) takeLoads(subsystem string, l *drivers.Loads) {
	n.collector.PutLoads(n.store.View(), subsystem, l, time.Now())
}

// LookAtSamples implements rpc.ClusterControl.
func (n *Node) LookAtSamples(_ context.Context, q *api.PerformanceRequest) (*api.PerformanceReply, error) {
	from := time.Time{}
	if q.SinceSeconds > 0 {
		from = time.Now().Add(-time.Duration(q.SinceSeconds) * time.Second)
	}
	samples, problem := n.collector.Samples(q.Machine, from)
	reply := &api.PerformanceReply{Machine: q.Machine}
	if problem != "" {
		reply.Problems = append(reply.Problems, "manager "+n.id+": "+problem)
	}
	for _, metric := range schema.Metrics() {
		if len(samples[metric]) == 0 || q.Metric != "" && q.Metric != metric {
			continue
		}
		s := &api.Series{Metric: metric}
		for _, p := range samples[metric] {
			s.Samples = append(s.Samples, &api.Sample{Time: timestamppb.New(p.Time), Value: p.Value, Manager: n.id})
		}
		reply.Series = append(reply.Series, s)
	}
	return reply, nil
}

// samplesWait is how long another manager has to tell of its samples.
const samplesWait = 3 * time.Second

// Samples implements rpc.ClusterControl. All managers are asked, not only the one
// that samples the machine now: what it was before another one began, that other
// one doesn't know.
func (n *Node) Samples(ctx context.Context, q *api.PerformanceRequest) (*api.PerformanceReply, error) {
	ctx, cancel := context.WithTimeout(ctx, samplesWait)
	defer cancel()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex // guards reply
		reply = &api.PerformanceReply{Machine: q.Machine}
	)
	for m := range fsm.Managers.All(n.store.View()) {
		wg.Go(func() {
			var got *api.PerformanceReply
			var err error
			if m.Id == n.id {
				got, err = n.LookAtSamples(ctx, q)
			} else {
				got, err = callPeer(ctx, n.peers, m.ApiAddress, q, api.PeerClient.LookAtSamples)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				reply.Problems = append(reply.Problems, "manager "+m.Id+" doesn't tell what it has sampled: "+err.Error())
				return
			}
			reply.Problems = append(reply.Problems, got.Problems...)
			for _, s := range got.Series {
				addSeries(reply, s)
			}
		})
	}
	wg.Wait()
	slices.Sort(reply.Problems)
	slices.SortFunc(reply.Series, func(a, b *api.Series) int {
		return cmp.Compare(slices.Index(schema.Metrics(), a.Metric), slices.Index(schema.Metrics(), b.Metric))
	})
	for _, s := range reply.Series {
		slices.SortStableFunc(s.Samples, func(a, b *api.Sample) int { return a.Time.AsTime().Compare(b.Time.AsTime()) })
	}
	return reply, nil
}

func addSeries(reply *api.PerformanceReply, s *api.Series) {
	for _, have := range reply.Series {
		if have.Metric == s.Metric {
			have.Samples = append(have.Samples, s.Samples...)
			return
		}
	}
	reply.Series = append(reply.Series, s)
}

// sampleMetrics shows what the collector does at the time of the scrape.
type sampleMetrics struct{ n *Node }

var (
	descSampleTargets  = prometheus.NewDesc("yagura_performance_targets", "Physical machines that this manager samples.", nil, nil)
	descSampleMachines = prometheus.NewDesc("yagura_performance_machines", "Machines of which this manager keeps samples.", nil, nil)
	descSamples        = prometheus.NewDesc("yagura_performance_samples_total", "Samples taken.", nil, nil)
	descSamplesBad     = prometheus.NewDesc("yagura_performance_bad_total", "Answers that were no samples.", []string{"reason"}, nil)
)

// Describe implements prometheus.Collector.
func (m sampleMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descSampleTargets, descSampleMachines, descSamples, descSamplesBad} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m sampleMetrics) Collect(ch chan<- prometheus.Metric) {
	s := m.n.collector.Stats()
	ch <- prometheus.MustNewConstMetric(descSampleTargets, prometheus.GaugeValue, float64(s.Targets))
	ch <- prometheus.MustNewConstMetric(descSampleMachines, prometheus.GaugeValue, float64(s.Machines))
	ch <- prometheus.MustNewConstMetric(descSamples, prometheus.CounterValue, float64(s.Samples))
	for reason, count := range s.Bad {
		ch <- prometheus.MustNewConstMetric(descSamplesBad, prometheus.CounterValue, float64(count), string(reason))
	}
}
