package fsm

// tables is THE list of tables, in the order of their numbers. A number is
// never changed or used again. Snapshot, digest, watch and dump follow from
// this list.
var tables = []TableRef{
	Categories,    // 1
	Groups,        // 2
	Models,        // 3
	Hosts,         // 4
	Machines,      // 5
	Subsystems,    // 6
	SoftwareItems, // 7
	Policies,      // 8
	TrapRules,     // 9
	Events,        // 10
	Jobs,          // 11
	Steps,         // 12
	Locks,         // 13
	Users,         // 14
	Tokens,        // 15
	Managers,      // 16
	Audits,        // 17
	Intakes,       // 18
	Requests,      // 19
	SettingsTable, // 20
	Vlans,         // 21
	LoadBalancers, // 22
	Receivers,     // 23
	Notices,       // 24
	SnmpUsers,     // 25
	Positions,     // 26
}

// tableByNumber finds a table by its number in log and snapshot.
var tableByNumber = func() map[uint32]TableRef {
	m := make(map[uint32]TableRef, len(tables))
	for _, t := range tables {
		if m[t.Number()] != nil {
			panic("fsm: two tables have one number: " + t.Name())
		}
		m[t.Number()] = t
	}
	return m
}()

// TableNumbered finds a table by its number; nil when there is none.
func TableNumbered(n uint32) TableRef {
	if t, ok := tableByNumber[n]; ok {
		return t
	}
	return nil
}

// Names of secondary indexes.
const (
	ByCategory = "category"
	ByGroup    = "group"
	ByModel    = "model"
	ByMachine  = "machine"
	ByName     = "name"
	ByUUID     = "uuid"
	ByMAC      = "mac"
	ByServer   = "vm-server"
	ByPool     = "pool"
	BySub      = "subsystem"
	ByAddress  = "address"
	ByState    = "state"
	ByJob      = "job"
	ByObject   = "object"
	ByUser     = "user"
	ByParent   = "parent"
	ByTarget   = "target"
	ByEvent    = "event"
	ByID       = "id-given"
	ByOrigin   = "origin"
	ByRequest  = "request"

	ByInaccessible = "inaccessible"
	ByVLANID       = "VLAN id"
	ByBalancerPool = "pool of the balancer"
	ByInitiator    = "initiator"
	BySwitchPort   = "switch port"
	ByBMC          = "bmc"
	ByVolume       = "volume"
	ByReceiver     = "receiver"
	ByOutbox       = "outbox"
)

// Tables lists all tables in the order of their numbers.
func Tables() []TableRef { return append([]TableRef(nil), tables...) }
