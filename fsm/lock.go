package fsm

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
)

// Locks are held by jobs on objects, by object and job.
var Locks = &Table[*schema.Lock]{
	number: 13, name: "lock",
	key: func(l *schema.Lock) string { return LockKey(l.Object, l.Job) },
	indexes: []Index[*schema.Lock]{
		{Name: ByObject, Values: func(l *schema.Lock) []string { return []string{l.Object} }},
		{Name: ByJob, Values: func(l *schema.Lock) []string { return []string{l.Job} }},
	},
}

// LockKey is the key of a job's lock on an object.
func LockKey(object, job string) string {
	if object == "" || job == "" {
		return ""
	}
	return object + "#" + job
}

// sharedPrefix marks a wanted lock that other jobs may hold, too.
const sharedPrefix = "shared "

// Exclusive names a wanted lock that no other job may hold.
func Exclusive(kind, name string) string { return kind + "/" + name }

// Shared names a wanted lock that other jobs may hold shared.
func Shared(kind, name string) string { return sharedPrefix + kind + "/" + name }

// LockWant takes a wanted lock apart.
func LockWant(want string) (object string, shared bool) {
	return strings.CutPrefix(want, sharedPrefix)
}

// NormalLocks sorts wanted locks and drops those that others of the list cover.
func NormalLocks(wants []string) []string {
	exclusive := map[string]bool{}
	for _, w := range wants {
		if object, shared := LockWant(w); !shared {
			exclusive[object] = true
		}
	}
	out := make([]string, 0, len(wants))
	for _, w := range wants {
		if object, shared := LockWant(w); !shared || !exclusive[object] {
			out = append(out, w)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// LockConflict is the first wanted lock that another job keeps from job, and
// that job. ok is false when there is none.
func LockConflict(r Reader, job string, wants []string) (object, holder string, conflict bool) {
	for _, w := range wants {
		object, shared := LockWant(w)
		for l := range Locks.By(r, ByObject, object) {
			if l.Job != job && !(shared && l.Shared) {
				return object, l.Job, true
			}
		}
	}
	return "", "", false
}

// TakeLocks takes all wanted locks for job, or none: KindConflict names the
// first one that another job holds.
func TakeLocks(tx *Tx, job string, wants []string) error {
	if object, holder, conflict := LockConflict(tx, job, wants); conflict {
		return schema.Errorf(schema.KindConflict, object, "job %s holds it", holder)
	}
	for _, w := range wants {
		object, shared := LockWant(w)
		if err := Locks.Put(tx, &schema.Lock{Object: object, Job: job, Shared: shared, Since: timestamppb.New(tx.Now())}); err != nil {
			return err
		}
	}
	return nil
}

// ReleaseLocks gives all locks of job back.
func ReleaseLocks(tx *Tx, job string) error {
	var keys []string
	for l := range Locks.By(tx, ByJob, job) {
		keys = append(keys, LockKey(l.Object, l.Job))
	}
	for _, k := range keys {
		if err := Locks.Delete(tx, k); err != nil {
			return err
		}
	}
	return nil
}
