package rpc

import (
	"context"

	"yagura/fsm/policy"
	"yagura/rpc/api"
)

// PreviewPolicy tells what would be decided now on an event about a machine, or
// about each below a path: the same function of the same rows decides on real ones.
func (i inventoryService) PreviewPolicy(ctx context.Context, req *api.PreviewPolicyRequest) (*api.PreviewPolicyReply, error) {
	v := i.s.view(ctx)
	if err := (names{groups: []string{req.Group}, hosts: []string{req.Host}}).check(v); err != nil {
		return nil, err
	}
	cases, err := policy.Preview(v, i.s.cfg.Now(), req.Group, req.Host, req.Event)
	if err != nil {
		return nil, err
	}
	reply := &api.PreviewPolicyReply{}
	for _, c := range cases {
		out := &api.PolicyCase{Machine: c.Machine.Name, Host: c.Machine.Host, Group: c.Machine.Group, Decision: policyDecision(c.Decision)}
		if c.Then != nil {
			out.Then = policyDecision(*c.Then)
		}
		reply.Cases = append(reply.Cases, out)
	}
	return reply, nil
}

func policyDecision(d policy.Decision) *api.PolicyDecision {
	out := &api.PolicyDecision{Decision: d.Decision, Reason: d.Reason, Policy: d.Policy, Rule: d.Rule, WaitSeconds: int64(d.Wait.Seconds())}
	for _, a := range d.Actions {
		out.Actions = append(out.Actions, policyAction(a))
	}
	return out
}

func policyAction(a policy.Action) *api.PolicyAction {
	out := &api.PolicyAction{Action: a.Slug, Effect: a.Detail, CarriedOut: a.Result != policy.ResultNotCarried && a.Result != policy.ResultFailed}
	switch {
	case a.Job != nil:
		out.Sequence, out.Params = a.Job.Sequence, a.Job.Params
		out.Effect = "starts " + a.Job.Sequence
		if a.Why != "" {
			out.Effect += ": " + a.Why
		}
	case a.Notify:
		out.Effect = "writes it to the event log"
	case a.Status != "":
		out.Effect = "sets the hardware status to " + a.Status
	}
	return out
}
