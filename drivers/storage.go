package drivers

import "context"

// VolumeState is a disk volume of an array and who can reach it.
type VolumeState struct {
	Name       string
	Initiators []string // that it is connected (unmasked) to, ascending
	Sessions   []string // initiators with an open session, whether still connected or not
}

// Storage connects disk volumes of an array to the initiators (iSCSI names,
// WWPNs) of machines (manual 1.9).
type Storage interface {
	// Volumes reads all volumes.
	Volumes(ctx context.Context) ([]VolumeState, error)
	// Volume reads one volume afresh. KindNotFound when there is none.
	Volume(ctx context.Context, name string) (VolumeState, error)
	// Connect asks for the volume to be connected to these initiators of one
	// machine. Unless shared it is refused (KindRefused) while the volume is
	// connected to, or has an open session of, any other initiator: a
	// non-shared volume connects to one machine only (manual 1.9.4).
	// Initiators of a kind that the array doesn't speak (Fibre Channel, iSCSI)
	// are left out; KindRefused when no other is left.
	Connect(ctx context.Context, call Call, volume string, initiators []string, shared bool) (Task, error)
	// Disconnect asks for the volume not to be connected to these initiators,
	// and cuts their open sessions. It is done when neither is left; KindFailed
	// when they aren't connected any more but a session stays open.
	Disconnect(ctx context.Context, call Call, volume string, initiators []string) (Task, error)
	// Close ends the session.
	Close(ctx context.Context) error
}
