package placement

import "fmt"

// VMExplanation says why a VM is where it is: what holds it there, where else
// it could go now, and which rule keeps it off every other server.
type VMExplanation struct {
	VM     string      `json:"vm"`
	Server string      `json:"server,omitempty"` // where it is
	Held   *Rejection  `json:"held,omitempty"`   // the rule that lets it go nowhere
	Fits   []Fit       `json:"fits,omitempty"`
	Others []Rejection `json:"others,omitempty"`
}

// Fit is a server that could take a VM.
type Fit struct {
	Server  string `json:"server"`
	Free    int64  `json:"free"`              // capacity that is free there now
	Stopped bool   `json:"stopped,omitempty"` // it would have to be started first
}

// ServerExplanation says what a server carries and what keeps it on.
type ServerExplanation struct {
	Server  string       `json:"server"`
	State   ServerState  `json:"state"`
	Uses    []Use        `json:"uses"`
	Load    float64      `json:"load_percent"`       // what the boundaries of its model speak of
	Model   *ServerModel `json:"model,omitempty"`    // these boundaries, if it has a model
	VMs     []string     `json:"vms,omitempty"`      // all on it
	MustRun *Rejection   `json:"must_run,omitempty"` // why saving power can't stop it
	Fixed   []Rejection  `json:"fixed,omitempty"`    // its VMs that can't be moved, and why
}

// Use is how much of a dimension the VMs that are on use.
type Use struct {
	Dimension string `json:"dimension"` // "capacity" for the capacity number
	Used      int64  `json:"used"`
	Limit     int64  `json:"limit"`
}

// ExplainVM explains where a VM is.
func (c *Cluster) ExplainVM(name string) (*VMExplanation, error) {
	v, ok := c.vmIdx[name]
	if !ok {
		return nil, &Error{Kind: KindNotFound, Object: fmt.Sprintf("vm %q", name), Msg: "is not in the problem"}
	}
	pl := &planner{c: c, plan: &Plan{}}
	m := &c.p.VMs[v]
	e := &VMExplanation{VM: name, Server: m.Server}
	if r, no := pl.immovable(v); no {
		e.Held = &r
	}
	unit := c.unit(&c.now, v)
	for s := range c.p.Servers {
		if m.Server == c.serverName(s) {
			continue
		}
		r, no := c.now.reject(unit, s)
		switch {
		case no:
			e.Others = append(e.Others, r)
		default:
			e.Fits = append(e.Fits, Fit{Server: c.serverName(s), Free: c.now.free[s*c.nd], Stopped: !c.now.target[s]})
		}
	}
	return e, nil
}

// ExplainServer explains what a server carries and what keeps it on.
func (c *Cluster) ExplainServer(name string) (*ServerExplanation, error) {
	s, ok := c.serverIdx[name]
	if !ok {
		return nil, &Error{Kind: KindNotFound, Object: fmt.Sprintf("server %q", name), Msg: "is not in the problem"}
	}
	pl := &planner{c: c, plan: &Plan{}}
	srv := &c.p.Servers[s]
	e := &ServerExplanation{Server: name, State: srv.State, Load: c.loadPercent(&c.now, s), Model: c.p.modelOf(srv)}
	for d := range c.nd {
		u := Use{Dimension: "capacity", Limit: c.limits[s*c.nd+d]}
		u.Used = u.Limit - c.now.free[s*c.nd+d]
		if d > 0 {
			u.Dimension, u.Limit = c.p.Dimensions[d-1].Name, srv.Limits[d-1].Limit
		}
		e.Uses = append(e.Uses, u)
	}
	if r, no := pl.mustStay(s); no {
		e.MustRun = &r
	}
	for v, h := range c.now.host {
		if int(h) != s {
			continue
		}
		e.VMs = append(e.VMs, c.vmName(v))
		if r, no := pl.unitStays([]int{v}); no {
			e.Fixed = append(e.Fixed, r)
		}
	}
	return e, nil
}
