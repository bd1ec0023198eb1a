// Package sim is a simulated datacenter, served by `pvmd sim` as a process of
// its own: a vCenter that speaks the vSphere web services API over TLS
// (govmomi's vcsim with what that lacks added), one Redfish management
// controller (BMC) for each physical machine, switches with SNMP agents, a
// ledger of every effect asked of it, and a control endpoint that puts faults in.
//
// Behind both faces lies one truth: a list of physical machines, each in one
// phase (off, booting, up, hung, ...). The BMC switches the machine; vCenter
// sees only whether its hypervisor answers. DESIGN.md says how they fit.
//
// Everything listens on loopback addresses only.
package sim
