// Package bigip drives the pools of an F5 BIG-IP through iControl REST (F5,
// "iControl REST User Guide"; paths under /mgmt/tm/ltm). A node of a
// load-balancing group is a member of a pool: a node object of the same name,
// and its port.
//
//	ready     session enabled, state not user-down
//	draining  session user-disabled: open connections and those bound by
//	          persistence go on ("disabled")
//	off       state user-down ("forced offline")
//
// The driver makes the node object if there is none, marks it as its own by the
// description, and removes a node object of its own when no pool uses it any
// more, since its name could not get another address otherwise.
//
// Connections to a member that is removed go on until they end, or as the
// pool's "action on service down" says. Changes are in the running
// configuration; BIG-IP keeps them over a restart when it has been saved.
package bigip
