package sim

// MachineUUID is the UUID of a physical machine or VM server, as its BMC tells it.
func MachineUUID(name string) string { return nameUUID("machine", name) }

// MachineMAC is the address of the first NIC of a physical machine, as its BMC
// tells it.
func MachineMAC(name string) string { return nameMAC("machine", name, 0) }
