package rpc

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"yagura/fsm/schema"
)

// metrics are what the API counts of itself.
type metrics struct {
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	logins   *prometheus.CounterVec
}

func newMetrics(reg *prometheus.Registry, s *Server) (*metrics, error) {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "yagura_api_calls_total", Help: "Calls by method and kind of error; the kind ok means success.",
		}, []string{"method", "kind"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "yagura_api_call_duration_seconds", Help: "Time of calls by method, forwarding included; of streams until their end.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9),
		}, []string{"method"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "yagura_api_logins_total", Help: "Logins by result: ok, wrong or limited.",
		}, []string{"result"}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	for _, c := range []prometheus.Collector{
		m.calls, m.duration, m.logins,
		gauge("yagura_api_streams", "Streams open now.", func() float64 { return float64(len(s.watchers)) }),
		gauge("yagura_state_index", "Log index of this manager's state.", func() float64 { return float64(s.cfg.Store.View().Index()) }),
		gauge("yagura_state_age_seconds", "Time since this manager last heard of the leader.", func() float64 { return s.age().Seconds() }),
		gauge("yagura_leader", "1 on the manager that leads.", func() float64 {
			if s.leads() {
				return 1
			}
			return 0
		}),
	} {
		if err := reg.Register(c); err != nil {
			return nil, &schema.Error{Kind: schema.KindInvalid, Object: "metrics registry", Msg: "it has one of the API's metrics already", Err: err}
		}
	}
	return m, nil
}

// observe counts a call that has ended; kind is empty for success.
func (m *metrics) observe(method string, kind schema.Kind, took time.Duration) {
	method = strings.TrimPrefix(method, "/yagura.api.v1.")
	if kind == "" {
		kind = "ok"
	}
	m.calls.WithLabelValues(method, string(kind)).Inc()
	m.duration.WithLabelValues(method).Observe(took.Seconds())
}
