package fsm

import (
	"cmp"

	"yagura/fsm/schema"
)

// LoadBalancers are the load-balancing groups [1.8.6], by name.
var LoadBalancers = &Table[*schema.LoadBalancer]{
	number: 22, name: "load-balancer", since: 2,
	key:   func(l *schema.LoadBalancer) string { return l.Name },
	check: (*schema.LoadBalancer).Validate,
	indexes: []Index[*schema.LoadBalancer]{
		// Two that stood for one pool would each drain and remove the nodes of the other.
		{Name: ByBalancerPool, Unique: true, Values: func(l *schema.LoadBalancer) []string { return []string{l.Subsystem + "/" + cmp.Or(l.Pool, l.Name)} }},
	},
}

func checkLoadBalancer(r Reader, l *schema.LoadBalancer) error {
	return checkDoes(r, "subsystem", l.Subsystem, schema.DoesBalancing)
}

// checkDoes refuses a subsystem that isn't there, or isn't what it is to be.
func checkDoes(r Reader, field, subsystem, does string) error {
	if subsystem == "" {
		return specError("%s is missing", field).WithHint("name a subsystem that is %s", does)
	}
	s, ok := Subsystems.Get(r, subsystem)
	if !ok {
		return noSuch(field, "subsystem", subsystem)
	}
	if schema.SubsystemDoes(s.Kind) != does {
		return specError("%s: %s is of the kind %s, which is not %s", field, subsystem, s.Kind, does)
	}
	return nil
}
