// Package vcenter drives a VMware vCenter Server (vSphere Web Services API,
// through govmomi). It implements drivers.Hypervisor, drivers.Personalizer and
// drivers.EventSource.
//
// A VM is known by its instance UUID (config.instanceUuid), the identity that
// vCenter itself keeps unique; the BIOS UUID may repeat when files were copied
// by hand. VM servers and templates are known by name, as in the manual.
//
// Every call looks before it asks: it reads the objects that it names,
// answers "done" when the wanted state is there and refuses with a reason what
// vCenter would refuse, or what would do harm. DESIGN.md says the rest.
package vcenter
