package schema

// Values of the rows' string fields. They are what scripts see.
const (
	// Kinds of machines, groups and models.
	MachinePhysical = "physical"
	MachineVM       = "vm"
	MachineVMServer = "vm-server"

	// Power status.
	PowerOn        = "on"
	PowerOff       = "off"
	PowerSuspended = "suspended"
	PowerUnknown   = "unknown"

	// Hardware status.
	HardwareNormal   = "normal"
	HardwareDegraded = "degraded"
	HardwareFailed   = "failed"
	HardwareUnknown  = "unknown"

	// Management status of a machine.
	StatusReady    = "ready"
	StatusInUse    = "in-use"
	StatusAbnormal = "abnormal"

	// States of a job.
	JobQueued     = "queued"
	JobRunning    = "running"
	JobCancelling = "cancelling"
	JobSucceeded  = "succeeded"
	JobFailed     = "failed"
	JobCancelled  = "cancelled"
	JobParked     = "parked"

	// States of a step.
	StepPending = "pending"
	StepStarted = "started"
	StepHandled = "handled"
	StepDone    = "done"
	StepFailed  = "failed"
	StepSkipped = "skipped"

	// Roles of a user, each with all rights of the next.
	RoleAdministrator = "administrator"
	RoleOperator      = "operator"
	RoleObserver      = "observer"

	// States of an event.
	EventNew     = "new"
	EventWaiting = "waiting"
	EventHandled = "handled"

	// Decisions on an event.
	DecisionActed       = "acted"
	DecisionSuppressed  = "suppressed"
	DecisionRecovered   = "recovered"
	DecisionIgnored     = "ignored"
	DecisionBraked      = "braked"
	DecisionDisarmed    = "disarmed"
	DecisionMaintenance = "maintenance"
	DecisionRecorded    = "recorded" // an entry of our own event log, or news older than what is known

	// Notifiers [4.1.1].
	NotifierESMPRO = "SystemMonitorEvent"
	NotifierPerf   = "SystemMonitorPerf"
	NotifierVMware = "VMwareProvider"
	NotifierSNMP   = "SNMP"
	NotifierPVM    = "PVM" // our own event log

	// Whose word proves a VM server off.
	FencingBMC     = "bmc"
	FencingVCenter = "vcenter"

	// Kinds of software.
	SoftwareTemplate = "template"
	SoftwareScenario = "scenario"
	SoftwareScript   = "script"

	// SettingsKey is the key of the one Settings row.
	SettingsKey = "cluster"
	// DefaultCapacity of a VM server [5.2.19].
	DefaultCapacity = 200
	// DefaultCost of a VM.
	DefaultCost = 10

	// Brakes of automation where the settings and the group say nothing.
	// Machines fail one by one: five at once within a minute have one cause, in
	// the network or in ourselves, which a replacement doesn't mend.
	DefaultBrakeReplacements  = 5 // at once, whole cluster
	DefaultMaxReplacements    = 1 // at once, one group
	DefaultReplaceHoldSeconds = 300
	DefaultStormMachines      = 5
	DefaultStormSeconds       = 60
	DefaultFlapSeconds        = 3600
)

// JobStates are all states of a job, in the order of its life.
var JobStates = []string{JobQueued, JobRunning, JobCancelling, JobSucceeded, JobFailed, JobCancelled, JobParked}

// JobEnded tells whether a job in this state is over for good. A parked job isn't.
func JobEnded(state string) bool {
	return state == JobSucceeded || state == JobFailed || state == JobCancelled
}

// StepEnded tells whether a step in this state is over.
func StepEnded(state string) bool {
	return state == StepDone || state == StepFailed || state == StepSkipped
}
