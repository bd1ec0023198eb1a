package node

import (
	"context"

	"yagura/drivers"
)

// DriverSource gives the drivers of one term of leadership; package scheduler
// asks it for each call. Close ends their connections.
type DriverSource interface {
	Hypervisor(ctx context.Context, subsystem string) (drivers.Hypervisor, error)
	Power(ctx context.Context, machine string) (drivers.Power, error)
}
