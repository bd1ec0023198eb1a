// Package drivers holds the small capability interfaces through which the
// scheduler touches the outside world. A driver package implements one or
// more of them for one kind of system; drivers/fake implements all of them on
// one simulated world, and drivers/drivertest holds one conformance suite a
// capability, run against the fake and against every real driver.
//
// All calls converge: they ask for a state ("be on"), not for an act ("press
// the button"). A call whose state is already there returns a finished task
// and does nothing. A caller may therefore ask again after any doubt.
package drivers

import (
	"context"
	"time"
)

// PowerState is the power of a machine as its manager reports it.
type PowerState string

// The power states (manual 1.1.7).
const (
	PowerOn        PowerState = "on"
	PowerOff       PowerState = "off"
	PowerSuspended PowerState = "suspended"
	PowerUnknown   PowerState = "unknown"
)

// PowerOp is a wanted change of power.
type PowerOp string

// Power operations. Shutdown and Reboot ask the guest or operating system and
// fail (KindRefused) when it can't be asked; Off and Reset use force.
const (
	OpPowerOn  PowerOp = "power-on"
	OpShutdown PowerOp = "shutdown"
	OpPowerOff PowerOp = "power-off"
	OpReboot   PowerOp = "reboot"
	OpReset    PowerOp = "reset"
	OpSuspend  PowerOp = "suspend"
)

// Power switches a physical machine through its management controller (BMC).
// A driver that knows the machine's system UUID compares it, by CheckSystem, with
// the one that the controller reports, in the very conversation that reads or
// changes the power, where the protocol tells it: KindWrongMachine when they differ.
type Power interface {
	// PowerState reads the power now. KindUnreachable when the BMC doesn't answer.
	PowerState(ctx context.Context, machine string) (PowerState, error)
	// SetPower asks for op. The task it returns may still run; PowerState
	// tells when the wanted state is reached.
	SetPower(ctx context.Context, call Call, machine string, op PowerOp) (Task, error)
}

// VM is a virtual machine as its hypervisor manager reports it.
type VM struct {
	UUID         string
	Name         string
	Server       string     // name of the VM server that runs or holds it
	Power        PowerState // the last known one while not Connected
	Template     bool
	ToolsRunning bool
	Connected    bool // false when its VM server doesn't answer
	Datacenter   string
	Datastores   []string
	Networks     []string
	NICs         []NIC
	CPUs         int
	MemoryMiB    int64
	CPUMHz       int64  // measured CPU use
	Hostname     string // as the guest reports it
	IPs          []string
	Token        string    // the token of the call that created it, if known
	ConfigPath   string    // where its configuration lies, "[datastore] folder/file"; see RelocateSpec.ConfigPath
	BootTime     time.Time // when it last started or restarted, by the manager's clock; zero: not known
}

// NIC is a network interface.
type NIC struct {
	MAC     string // lower case, colon separated
	Network string
}

// VMServer is a hypervisor host as its manager reports it.
type VMServer struct {
	UUID        string
	Name        string
	Connected   bool
	Maintenance bool
	Power       PowerState
	Datacenter  string
	Datastores  []Datastore
	Networks    []string
	NICs        []NIC
	CPUs        int
	CPUTotalMHz int64
	CPUUsedMHz  int64
	MemoryMiB   int64
	MemUsedMiB  int64
	Model       string
	BootTime    time.Time // when it last started, by the manager's clock; zero: not known
}

// Datastore is storage that VM servers mount.
type Datastore struct {
	Name     string
	Shared   bool // mounted by more than one VM server
	Free     int64
	Capacity int64 // bytes
}

// Inventory is everything a hypervisor manager knows, at one moment.
type Inventory struct {
	Time      time.Time
	Servers   []VMServer
	VMs       []VM // templates included
	Truncated bool // some objects couldn't be read; absence proves nothing
}

// Loads is what runs and what it uses, at one moment.
type Loads struct {
	Time    time.Time
	Servers []ServerLoad // VM servers that answer
	VMs     []VMLoad     // VMs that are on, on those VM servers
}

// ServerLoad is what a VM server and its VMs use, and what it has.
type ServerLoad struct {
	Name                string
	CPUMHz, CPUTotalMHz int64
	MemMiB, MemTotalMiB int64
}

// VMLoad is what a VM uses of its VM server.
type VMLoad struct {
	Name, Server   string
	CPUMHz, MemMiB int64
}

// RelocateMode says how a VM gets to another VM server (manual 1.11.10).
type RelocateMode string

// The ways to relocate.
const (
	RelocateMigrate  RelocateMode = "migrate"  // shared storage: hot when on, cold when off
	RelocateMove     RelocateMode = "move"     // a stopped VM together with its disks
	RelocateFailover RelocateMode = "failover" // its VM server is dead: take the record to another one, where it is off
)

// RelocateSpec asks for a VM to be on another VM server.
type RelocateSpec struct {
	VM        string // UUID
	Server    string // target VM server
	Datastore string // target datastore for RelocateMove; empty keeps or lets the driver choose
	Mode      RelocateMode
	// ConfigPath is VM.ConfigPath as read before a failover. A manager that can
	// only take a record away and make it anew may lose contact in between;
	// with the path the same call, repeated, completes it.
	ConfigPath string
}

// CloneSpec asks for a VM to be made from a template.
type CloneSpec struct {
	Template   string // template name
	Name       string // name of the new VM
	Server     string
	Datastore  string // empty: where the template is, if the server mounts it
	Datacenter string
	CPUs       int   // 0 keeps the template's
	MemoryMiB  int64 // 0 keeps the template's
	Identity   Identity
	PowerOn    bool
}

// Identity is what personalisation gives to a guest.
type Identity struct {
	Hostname string
	Domain   string
	NICs     []NICSetting
	DNS      []string
	Password string // administrator password of the guest; never logged
}

// NICSetting is the address of one virtual NIC, in order. An empty address means DHCP.
type NICSetting struct {
	MAC     string // of the NIC, lower case and colon separated; empty: not known
	Network string
	Address string // IPv4 or IPv6
	Prefix  int    // length of the network part, bits
	Gateway string
	More    []NICAddress // further addresses; for machines that take more than one
}

// NICAddress is one of several addresses of a NIC.
type NICAddress struct {
	Address string
	Prefix  int // length of the network part, bits
	Gateway string
}

// Hypervisor drives a manager of VM servers such as vCenter.
type Hypervisor interface {
	// Inventory reads all VM servers and VMs.
	Inventory(ctx context.Context) (*Inventory, error)
	// Loads reads the measured load of all VM servers and VMs. It reads little,
	// so that it can be called every few seconds.
	Loads(ctx context.Context) (*Loads, error)
	// Follow calls fn with what changed (the object's full new state) until
	// ctx ends or contact breaks. It starts with everything. fn must be quick.
	Follow(ctx context.Context, fn func(Change)) error
	// VM reads one VM afresh. KindNotFound when there is none.
	VM(ctx context.Context, uuid string) (VM, error)
	// VMByName reads one VM or template afresh by name.
	VMByName(ctx context.Context, name string) (VM, error)
	// Server reads one VM server afresh.
	Server(ctx context.Context, name string) (VMServer, error)
	// SetVMPower asks for a VM's power. Reboot and reset are acts: compare
	// VM.BootTime before asking again.
	SetVMPower(ctx context.Context, call Call, uuid string, op PowerOp) (Task, error)
	// Relocate asks for a VM on another VM server. KindRefused when the rules of
	// the mode aren't met, such as a failover away from a live VM server.
	Relocate(ctx context.Context, call Call, spec RelocateSpec) (Task, error)
	// Clone asks for a VM made from a template; Task.Result is its UUID. A VM of
	// that name with this call's token is its result; with another, KindRefused.
	Clone(ctx context.Context, call Call, spec CloneSpec) (Task, error)
	// Destroy asks for a stopped VM to be gone, disks included. One that doesn't
	// exist is gone; a template is refused.
	Destroy(ctx context.Context, call Call, uuid string) (Task, error)
	// SetMaintenance asks for a VM server in or out of maintenance mode.
	// KindRefused while VMs run on it.
	SetMaintenance(ctx context.Context, call Call, server string, on bool) (Task, error)
	// SetServerPower asks for a VM server's power through its manager:
	// OpPowerOn (leave standby), OpShutdown, OpReboot. KindRefused while VMs run
	// on it, or when the manager doesn't reach it.
	SetServerPower(ctx context.Context, call Call, server string, op PowerOp) (Task, error)
	// Task takes one look at a task. State TaskUnknown when the id isn't known.
	Task(ctx context.Context, id string) (Task, error)
	// Close ends the session.
	Close(ctx context.Context) error
}

// Personalizer is a Hypervisor that can give a VM that exists another name and
// other addresses (manual 1.11.7).
type Personalizer interface {
	// Personalize asks for the guest of a stopped VM to take on an identity: at
	// its next start where its manager works that way. KindRefused while the VM
	// isn't off. One identity that waits for the guest's start may keep another
	// from being taken (KindFailed): start the VM once.
	Personalize(ctx context.Context, call Call, uuid string, id Identity) (Task, error)
}

// Change is one object's new state, or its end. Measured load (CPUMHz,
// CPUUsedMHz, MemUsedMiB) isn't followed; Loads reads it.
type Change struct {
	Server *VMServer
	VM     *VM
	Gone   string // UUID of a VM or name of a VM server that exists no more
	Synced bool   // everything that existed at the start has been told
}

// AwaitTask looks at a task until it ends, ctx is done, or it isn't known any
// more. It returns the last look. every is the pause between two looks.
func AwaitTask(ctx context.Context, h interface {
	Task(context.Context, string) (Task, error)
}, id string, every time.Duration) (Task, error) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		task, err := h.Task(ctx, id)
		if err != nil {
			return task, err
		}
		if task.State != TaskRunning {
			return task, nil
		}
		select {
		case <-ctx.Done():
			return task, ctx.Err()
		case <-t.C:
		}
	}
}
