// Package performance samples the machines in operation (the role of
// SystemMonitor): CPU, memory and disk, percent. Every manager asks its share of
// the physical machines by SNMP; VM servers and VMs come with the loads that the
// leader reads of their hypervisor's manager. The newest samples stay in memory;
// what is beyond a machine's thresholds becomes an event, once. See DESIGN.md.
package performance
