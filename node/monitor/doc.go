// Package monitor polls the machines in operation (the role of
// ESMPRO/ServerManager): every manager its share of them, by ICMP, TCP or SNMP,
// as their group says. What a machine's silence means is decided by the leader
// when it records the event; a Monitor keeps nothing that another manager, or
// this one after a restart, would need.
package monitor
