// Package redfish switches physical machines through their management
// controllers (BMCs) by Redfish (DMTF DSP0266; ComputerSystem schema and its
// Reset action in DSP0268), and reads what they are. It implements drivers.Power
// and drivers.Hardware.
//
// Each call is one short conversation with basic authentication: it reads the
// system, sends at most one Reset, and reads the power back. There is no
// session that would outlive it or use up one of the few that a BMC has.
package redfish
