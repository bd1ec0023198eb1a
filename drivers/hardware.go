package drivers

import "context"

// HardwareInfo is what a machine says about itself.
type HardwareInfo struct {
	UUID         string
	Manufacturer string
	Model        string
	Serial       string
	Firmware     string
	CPUs         int
	MemoryMiB    int64
	NICs         []NIC  // in the machine's order; empty: not told
	Health       string // normal | degraded | failed; empty: not told
}

// Hardware reads what a physical machine is.
type Hardware interface {
	// Hardware reads it now. KindUnreachable when the machine doesn't answer.
	Hardware(ctx context.Context, machine string) (HardwareInfo, error)
}
