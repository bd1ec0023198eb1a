package fsm

import "yagura/fsm/schema"

// Managers are the manager nodes of the cluster, by id.
var Managers = &Table[*schema.Manager]{
	number: 16, name: "manager",
	key:   func(m *schema.Manager) string { return m.Id },
	check: (*schema.Manager).Validate,
}

// PutManager stores a manager that joins or has changed; the time of its first
// joining stays. KindConflict for one that doesn't speak the feature level in
// force: it couldn't apply the log.
func PutManager(tx *Tx, m *schema.Manager) error {
	if level := Settings(tx).Feature; m.Feature < level {
		return schema.Errorf(schema.KindConflict, "manager "+m.Id, "it speaks feature level %d, level %d is in force", m.Feature, level).
			WithHint("install the cluster's version on it")
	}
	row := &schema.Manager{
		Id: m.Id, ApiAddress: m.ApiAddress, HttpAddress: m.HttpAddress, RaftAddress: m.RaftAddress,
		Version: m.Version, Feature: m.Feature, Voter: m.Voter, Joined: timestamp(tx.Now()),
	}
	if old, ok := Managers.Get(tx, m.Id); ok && old.Joined != nil {
		row.Joined = old.Joined
	}
	return Managers.Put(tx, row)
}

// RemoveManager forgets a manager that has left. KindNotFound. The position of
// its event stream stays: should it come back, none of its events is recorded twice.
func RemoveManager(tx *Tx, id string) error {
	if _, ok := Managers.Get(tx, id); !ok {
		return schema.Errorf(schema.KindNotFound, "manager "+id, "there is no such manager").WithHint("node list shows them")
	}
	return Managers.Delete(tx, id)
}
