// Package fsm is the replicated configuration database of Yagura.
//
// A verb is a function over a Tx. It runs once, on the leader, over the
// current state; the rows that it changed become a Batch, the batch becomes a
// Raft log entry, and Apply on every manager puts and deletes those rows and
// does nothing else. See DESIGN.md of this package for the invariants.
//
// Reading:
//
//	v := store.View()
//	m, ok := fsm.Machines.Get(v, "web01")
//
// Writing:
//
//	res, err := store.Update(ctx, fsm.Why{User: "admin", Op: "SetPolicy"}, func(tx *fsm.Tx) error {
//		g, ok := fsm.Groups.Edit(tx, "web")
//		...
//		return fsm.Groups.Put(tx, g)
//	})
package fsm
