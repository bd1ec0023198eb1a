package fsm

import (
	"iter"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
)

// docKind is what documents know of one kind of object.
type docKind struct {
	name    string
	missing schema.Kind // error for an object of this kind that isn't there
	rows    rows
	// key turns the name in a document into the key of the row.
	key func(r Reader, name string) (string, error)
	// blank makes a new row.
	blank func(key string) proto.Message
	// depth is how many parts of a name belong to the key when a category may
	// stand before them; 0 when none may.
	depth int
	// fields can be set, and are shown in a spec.
	fields []string
	// inputs can be set, but aren't shown in a spec: applying it again later
	// must not bring an old state back.
	inputs []string
	// refused says of other fields, by their path, why they can't be set.
	refused map[string]string
	// hidden tells whether a field isn't shown in this row's spec.
	hidden func(row proto.Message, field string) bool
	// normal brings a row as decoded into its stored form, and checks what
	// can be told from the document alone. nil: nothing to do.
	normal func(tx *Tx, a *applying, spec map[string]any) error
	// settle fills in what follows from other rows. nil: nothing does.
	settle func(tx *Tx, row proto.Message) error
	// placed is true for rows that only placeMachines writes.
	placed bool
	// check holds a row against the rows that it refers to. nil: it refers to none.
	check func(tx *Tx, row proto.Message) error
	// within tells whether a row belongs to one of the groups, or to the path itself. nil: no group has such rows.
	within func(row proto.Message, ref GroupRef, groups map[string]bool) bool
	// users lists what uses the row, for Unset.
	users func(r Reader, row proto.Message) []string
	// keep says why a row can't be removed although nothing uses it. nil: it can.
	keep func(row proto.Message) string
}

// docKinds is THE list of kinds of documents.
var docKinds []*docKind

func init() {
	// Here and not in the declaration, since the kinds' functions refer to the list.
	docKinds = []*docKind{
		categoryKind, groupKind, modelKind, hostKind, machineKind, vlanKind, loadBalancerKind,
		subsystemKind, softwareKind, policyKind, trapRuleKind, snmpUserKind, receiverKind, settingsKind,
	}
}

// DocumentKinds are the kinds of documents, in the order in which people list them.
func DocumentKinds() []string {
	var out []string
	for _, k := range docKinds {
		out = append(out, k.name)
	}
	return out
}

// kindOf finds a kind; upper and lower case don't matter.
func kindOf(name string) (*docKind, error) {
	for _, k := range docKinds {
		if strings.EqualFold(k.name, name) {
			return k, nil
		}
	}
	return nil, schema.Errorf(schema.KindInvalid, "kind "+name, "there is no such kind of object").
		WithHint("the kinds are %s", strings.Join(DocumentKinds(), ", "))
}

// rows is a table without its type.
type rows struct {
	get    func(r Reader, key string) (proto.Message, bool)
	put    func(tx *Tx, row proto.Message) error
	delete func(tx *Tx, key string) error
	all    func(r Reader) iter.Seq[proto.Message]
	keyOf  func(row proto.Message) string
}

func rowsOf[T proto.Message](t *Table[T]) rows {
	return rows{
		get: func(r Reader, key string) (proto.Message, bool) {
			row, ok := t.Get(r, key)
			return row, ok
		},
		put:    func(tx *Tx, row proto.Message) error { return t.Put(tx, row.(T)) },
		delete: t.Delete,
		all: func(r Reader) iter.Seq[proto.Message] {
			return func(yield func(proto.Message) bool) {
				for row := range t.All(r) {
					if !yield(row) {
						return
					}
				}
			}
		},
		keyOf: func(row proto.Message) string { return t.key(row.(T)) },
	}
}

// plainName is the key of kinds whose name is their key.
func plainName(what string) func(Reader, string) (string, error) {
	return func(_ Reader, name string) (string, error) {
		name = strings.TrimSpace(name)
		if name == "" {
			return "", schema.Errorf(schema.KindInvalid, what, "the name is empty")
		}
		return name, nil
	}
}

// groupName is the key of kinds that belong to a group: group/name, with or
// without the group's category before it.
func groupName(what string) func(Reader, string) (string, error) {
	return func(_ Reader, name string) (string, error) {
		parts := schema.SplitPath(name)
		n := len(parts)
		if n < 2 || slices.Contains(parts, "") {
			return "", schema.Errorf(schema.KindInvalid, what+" "+name, "its name must have two parts").WithHint("write it as GROUP/NAME")
		}
		return GroupKey(parts[n-2], parts[n-1]), nil
	}
}

// namedRight tells whether the category before a group in a name, if there is
// one, is that of the group.
func namedRight(r Reader, k *docKind, name string) bool {
	parts := schema.SplitPath(name)
	n := len(parts) - k.depth
	if k.depth == 0 || n <= 0 {
		return true
	}
	g, ok := Groups.Get(r, parts[n])
	return ok && under(g, parts[:n])
}

// Reasons that several kinds give for refusing a field.
const (
	isKey       = "is part of the name, not of the spec"
	isOutput    = "is output, not set"
	isCollected = "is collected, not set"
	isShipped   = "says that the object came with the product; it isn't set"
)

func isRuntime(by string) string { return "is changed by " + by + ", not set" }

var categoryKind = &docKind{
	name: "Category", missing: schema.KindNotFound, rows: rowsOf(Categories),
	key: func(_ Reader, name string) (string, error) {
		path := schema.NormalPath(name)
		return path, schema.CheckPath("Category "+name, path)
	},
	blank:   func(key string) proto.Message { return &schema.Category{Path: key} },
	fields:  []string{"description", "priority"},
	refused: map[string]string{"path": isKey, "disarm": isRuntime("arm and disarm")},
	check:   func(tx *Tx, row proto.Message) error { return checkCategory(tx, row.(*schema.Category)) },
	within: func(row proto.Message, ref GroupRef, _ map[string]bool) bool {
		return ref.Group == "" && below(row.(*schema.Category).Path, ref.Category)
	},
	users: func(r Reader, row proto.Message) []string { return categoryUsers(r, row.(*schema.Category)) },
}

var groupKind = &docKind{
	name: "Group", missing: schema.KindGroupNotFound, rows: rowsOf(Groups), depth: 1,
	key: func(_ Reader, name string) (string, error) {
		parts := schema.SplitPath(name)
		if len(parts) == 0 {
			return "", schema.Errorf(schema.KindInvalid, "Group", "the name is empty")
		}
		return parts[len(parts)-1], nil
	},
	blank: func(key string) proto.Message { return &schema.Group{Name: key} },
	fields: []string{
		"category", "description", "kind", "priority", "policy", "use_common_pool", "register_dpm", "software", "vlans", "load_balancers", "fencing", "templates",
		"monitoring", "min_healthy", "max_replacements", "performance", "thresholds",
	},
	refused: map[string]string{"name": isKey, "monitoring.community_set": isOutput, "performance.community_set": isOutput},
	normal:  func(_ *Tx, a *applying, spec map[string]any) error { return normalGroup(a, spec) },
	settle:  func(tx *Tx, row proto.Message) error { return followMonitoring(tx, row.(*schema.Group)) },
	check:   func(tx *Tx, row proto.Message) error { return checkGroup(tx, row.(*schema.Group)) },
	within: func(row proto.Message, _ GroupRef, groups map[string]bool) bool {
		return groups[row.(*schema.Group).Name]
	},
	users: func(r Reader, row proto.Message) []string { return groupUsers(r, row.(*schema.Group)) },
}

var modelKind = &docKind{
	name: "Model", missing: schema.KindNotFound, rows: rowsOf(Models), depth: 2, key: groupName("Model"),
	blank: func(key string) proto.Message {
		group, name, _ := strings.Cut(key, "/")
		return &schema.Model{Group: group, Name: name}
	},
	fields: []string{
		"description", "kind", "priority", "policy", "capacity", "cost", "template", "optimal_start", "vm_server_model", "placement", "register_dpm",
		"software", "model_name", "cpus", "memory_mib", "networks", "thresholds",
	},
	refused: map[string]string{"group": isKey, "name": isKey},
	normal:  func(_ *Tx, a *applying, _ map[string]any) error { return normalModel(a.row.(*schema.Model)) },
	settle:  func(tx *Tx, row proto.Message) error { return settleModel(tx, row.(*schema.Model)) },
	check:   func(tx *Tx, row proto.Message) error { return checkModel(tx, row.(*schema.Model)) },
	within: func(row proto.Message, ref GroupRef, groups map[string]bool) bool {
		m := row.(*schema.Model)
		return groups[m.Group] && (ref.Model == "" || ref.Model == m.Name)
	},
	users: func(r Reader, row proto.Message) []string { return modelUsers(r, row.(*schema.Model)) },
}

var hostKind = &docKind{
	name: "Host", missing: schema.KindHostSetting, rows: rowsOf(Hosts), depth: 2, key: groupName("Host"),
	blank: func(key string) proto.Message {
		group, name, _ := strings.Cut(key, "/")
		return &schema.Host{Group: group, Name: name}
	},
	fields:  []string{"description", "nics", "tags", "volumes", "software", "domain", "dns"},
	refused: map[string]string{"group": isKey, "name": isKey, "machine": "is set by the Machine document that names this host"},
	normal:  func(_ *Tx, a *applying, _ map[string]any) error { normalHost(a.row.(*schema.Host)); return nil },
	check:   func(tx *Tx, row proto.Message) error { return checkHost(tx, row.(*schema.Host)) },
	within: func(row proto.Message, _ GroupRef, groups map[string]bool) bool {
		return groups[row.(*schema.Host).Group]
	},
	users: func(r Reader, row proto.Message) []string { return hostUsers(r, row.(*schema.Host)) },
}

var machineKind = &docKind{
	name: "Machine", missing: schema.KindMachineNotFound, rows: rowsOf(Machines), key: plainName("Machine"),
	blank: func(key string) proto.Message { return &schema.Machine{Name: key} },
	fields: []string{
		"kind", "uuid", "nics", "managed", "group", "host", "model", "pool_groups", "maintenance", "bmc", "capacity", "cost", "tags", "model_name",
		"software", "description", "initiators", "address", "thresholds",
	},
	inputs: []string{"hardware_status", "status"},
	refused: map[string]string{
		"name": isKey, "subsystem": isCollected, "power": isCollected, "vm_server": isCollected, "datacenter": isCollected, "datastores": isCollected,
		"networks": isCollected, "cpus": isCollected, "memory_mib": isCollected, "cpu_mhz": isCollected, "template": isCollected, "connected": isCollected,
		"vm_maintenance": isCollected, "shared_datastores": isCollected, "collected": isCollected, "gone": isCollected,
		"hardware": isCollected, "monitored": isRuntime("jobs"), "unreachable": isRuntime("monitoring"), "crossed": isRuntime("sampling"), "replaced": isRuntime("jobs"), "status_reason": isRuntime("jobs"), "origin": isRuntime("jobs"), "master": isRuntime("jobs"),
		"distributed": isRuntime("software distribution"), "bmc.password_set": isOutput, "bmc.key_set": isOutput,
	},
	hidden: func(row proto.Message, field string) bool { return machineFieldHidden(row.(*schema.Machine), field) },
	normal: normalMachine,
	placed: true,
	check:  func(tx *Tx, row proto.Message) error { return checkMachine(tx, row.(*schema.Machine)) },
	within: func(row proto.Message, ref GroupRef, groups map[string]bool) bool {
		m := row.(*schema.Machine)
		if m.Group != "" {
			return groups[m.Group] && (ref.Model == "" || ref.Model == m.Model)
		}
		return slices.ContainsFunc(m.PoolGroups, func(g string) bool { return groups[g] })
	},
	users: func(r Reader, row proto.Message) []string { return machineUsers(r, row.(*schema.Machine)) },
}

var subsystemKind = &docKind{
	name: "Subsystem", missing: schema.KindNotFound, rows: rowsOf(Subsystems), key: plainName("Subsystem"),
	blank: func(key string) proto.Message { return &schema.Subsystem{Name: key} },
	fields: []string{
		"kind", "address", "user", "password", "thumbprint", "ca", "insecure", "max_operations", "max_operations_per_server", "description", "auto_manage",
		"options", "key",
	},
	refused: map[string]string{"name": isKey, "password_set": isOutput, "key_set": isOutput, "collected": isRuntime("collect"), "error": isRuntime("collect"), "events": isOutput},
	normal: func(_ *Tx, a *applying, spec map[string]any) error {
		normalSubsystem(a.row.(*schema.Subsystem))
		return checkPrivateKey("key", spec)
	},
	check: func(tx *Tx, row proto.Message) error { return checkSubsystem(tx, row.(*schema.Subsystem)) },
	users: func(r Reader, row proto.Message) []string { return subsystemUsers(r, row.(*schema.Subsystem)) },
}

var softwareKind = &docKind{
	name: "Software", missing: schema.KindSoftware, rows: rowsOf(SoftwareItems), key: plainName("Software"),
	blank: func(key string) proto.Message { return &schema.Software{Name: key} },
	fields: []string{
		"kind", "subsystem", "description", "cost", "licence", "object", "content", "os", "body", "repeatable", "timeout_seconds",
	},
	refused: map[string]string{"name": isKey},
	normal:  func(tx *Tx, a *applying, _ map[string]any) error { normalSoftware(tx, a); return nil },
	check:   func(tx *Tx, row proto.Message) error { return checkSoftware(tx, row.(*schema.Software)) },
	users:   func(r Reader, row proto.Message) []string { return softwareUsers(r, row.(*schema.Software)) },
}

var policyKind = &docKind{
	name: "Policy", missing: schema.KindPolicyNotFound, rows: rowsOf(Policies), key: plainName("Policy"),
	blank:   func(key string) proto.Message { return &schema.Policy{Name: key} },
	fields:  []string{"description", "rules"},
	refused: map[string]string{"name": isKey, "builtin": isShipped},
	users:   func(r Reader, row proto.Message) []string { return policyUsers(r, row.(*schema.Policy)) },
	keep: func(row proto.Message) string {
		if row.(*schema.Policy).Builtin {
			return "it is a standard policy"
		}
		return ""
	},
}

var trapRuleKind = &docKind{
	name: "TrapRule", missing: schema.KindNotFound, rows: rowsOf(TrapRules), key: plainName("TrapRule"),
	blank:   func(key string) proto.Message { return &schema.TrapRule{Name: key} },
	fields:  []string{"description", "priority", "oid", "match", "notifier", "source", "event_id", "target", "severity", "text", "ignore"},
	refused: map[string]string{"name": isKey, "builtin": isShipped},
	normal:  func(_ *Tx, a *applying, _ map[string]any) error { normalTrapRule(a.row.(*schema.TrapRule)); return nil },
	keep: func(row proto.Message) string {
		if row.(*schema.TrapRule).Builtin {
			return "it came with the product; a rule of a higher priority overrides it, and ignore switches it off"
		}
		return ""
	},
}

var settingsKind = &docKind{
	name: "Settings", missing: schema.KindNotFound, rows: rowsOf(SettingsTable), key: plainName("Settings"),
	blank: func(key string) proto.Message { return &schema.Settings{Key: key} },
	fields: []string{
		"max_events", "max_jobs", "max_audit", "max_age_days", "brake_jobs", "brake_jobs_per_group", "brake_replacements",
		"storm_machines", "storm_seconds", "replace_hold_seconds", "trap_rate", "trap_source_rate",
	},
	refused: map[string]string{
		"storm": isRuntime("what happens"),
		"key":   isKey, "feature": isRuntime("the managers as they are upgraded"), "cluster": isRuntime("the first start"), "disarm": isRuntime("arm and disarm"),
	},
	keep: func(proto.Message) string { return "there is always one" },
}

var vlanKind = &docKind{
	name: "Vlan", missing: schema.KindNotFound, rows: rowsOf(Vlans), key: plainName("Vlan"),
	blank:   func(key string) proto.Message { return &schema.Vlan{Name: key} },
	fields:  []string{"id", "kind", "description"},
	refused: map[string]string{"name": isKey},
	normal:  func(_ *Tx, a *applying, _ map[string]any) error { normalVlan(a.row.(*schema.Vlan)); return nil },
	check:   func(tx *Tx, row proto.Message) error { return checkVlan(tx, row.(*schema.Vlan)) },
	users:   func(r Reader, row proto.Message) []string { return vlanUsers(r, row.(*schema.Vlan)) },
}

var loadBalancerKind = &docKind{
	name: "LoadBalancer", missing: schema.KindNotFound, rows: rowsOf(LoadBalancers), key: plainName("LoadBalancer"),
	blank:   func(key string) proto.Message { return &schema.LoadBalancer{Name: key} },
	fields:  []string{"subsystem", "pool", "port", "drain_seconds", "description"},
	refused: map[string]string{"name": isKey},
	check:   func(tx *Tx, row proto.Message) error { return checkLoadBalancer(tx, row.(*schema.LoadBalancer)) },
	users:   func(r Reader, row proto.Message) []string { return loadBalancerUsers(r, row.(*schema.LoadBalancer)) },
}
