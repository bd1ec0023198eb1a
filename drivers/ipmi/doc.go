// Package ipmi switches physical machines through their management controllers
// (BMCs) by IPMI 2.0 over LAN (RMCP+; IPMI specification v2.0 rev. 1.1,
// sections 13 and 28), and reads what they are. It implements drivers.Power
// and drivers.Hardware.
//
// Each call is one short session: it reads the power, sends at most one
// Chassis Control, and closes. There is no session that would outlive it or use
// up one of the few that a BMC has. Sessions are always authenticated and
// encrypted; IPMI 1.5 and the cipher suites without either are not spoken.
package ipmi
