package rpc

import (
	"context"
	"slices"
	"strings"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// maxSince bounds how far back samples can be asked for, seconds: more than any
// manager keeps.
const maxSince = 366 * 24 * 3600

// Performance gives the newest samples of a machine, from all managers that have
// any, with its thresholds as the database has them.
func (i inventoryService) Performance(ctx context.Context, req *api.PerformanceRequest) (*api.PerformanceReply, error) {
	v := i.s.view(ctx)
	m := fsm.FindMachine(v, req.Machine)
	if m == nil {
		return nil, schema.Errorf(schema.KindMachineNotFound, "machine "+req.Machine, "there is no such machine").
			WithHint("give the name of a machine, its host name or its address; get machine lists them")
	}
	if req.Metric != "" && !slices.Contains(schema.Metrics(), req.Metric) {
		return nil, schema.Errorf(schema.KindInvalid, "metric "+req.Metric, "there is no such metric").
			WithHint("it can be %s", strings.Join(schema.Metrics(), ", "))
	}
	if req.SinceSeconds < 0 || req.SinceSeconds > maxSince {
		return nil, schema.Errorf(schema.KindInvalid, "since", "%d seconds is out of range", req.SinceSeconds).WithHint("it can be 0 to %d", maxSince)
	}
	reply, err := i.s.cfg.Cluster.Samples(ctx, &api.PerformanceRequest{Machine: m.Name, Metric: req.Metric, SinceSeconds: req.SinceSeconds})
	if err != nil {
		return nil, err
	}
	if why := unsampled(v, m); why != "" {
		reply.Problems = append(reply.Problems, why)
	}
	for _, t := range fsm.Thresholds(v, m) {
		if req.Metric != "" && t.Metric != req.Metric {
			continue
		}
		reply.Thresholds = append(reply.Thresholds, t)
		if c := fsm.Crossed(m, t.Event, t.Metric); c != nil {
			reply.Crossed = append(reply.Crossed, c)
		}
	}
	return reply, nil
}

// unsampled tells why a machine isn't sampled now, "" when it is.
func unsampled(r fsm.Reader, m *schema.Machine) string {
	g, _ := fsm.Groups.Get(r, m.Group)
	switch {
	case m.Group == "":
		return m.Name + " isn't sampled: it runs in no group"
	case g.GetPerformance() == nil:
		return m.Name + " isn't sampled: its group " + m.Group + " has no performance setting"
	case !fsm.Sampled(m):
		return m.Name + " isn't sampled: its power is " + m.Power
	}
	return ""
}
