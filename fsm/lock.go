package fsm

import "yagura/fsm/schema"

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
