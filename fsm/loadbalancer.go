package fsm

import "yagura/fsm/schema"

// LoadBalancers are the load-balancing groups [1.8.6], by name.
var LoadBalancers = &Table[*schema.LoadBalancer]{
	number: 22, name: "load-balancer",
	key:   func(l *schema.LoadBalancer) string { return l.Name },
	check: (*schema.LoadBalancer).Validate,
}
