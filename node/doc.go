// Package node is one manager: the only package that knows all others. It runs
// Raft over mutual TLS with the configuration database as its state machine,
// finds the other managers by gossip, serves the API, receives SNMP traps, and
// carries out the leader's duties while it leads.
//
// Start makes a running manager of a Config; Shutdown ends it, Leave takes it
// out of the cluster as well. DESIGN.md says how the parts work together and why.
package node
