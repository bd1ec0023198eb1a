package fsm

import "yagura/fsm/schema"

// Jobs are runs of action sequences, by number.
var Jobs = &Table[*schema.Job]{
	number: 11, name: "job",
	key: func(j *schema.Job) string { return numberKey(j.Id) },
	indexes: []Index[*schema.Job]{
		// Ended jobs are the many; leaving them out keeps the index small.
		{Name: ByState, Values: func(j *schema.Job) []string {
			if schema.JobEnded(j.State) {
				return nil
			}
			return []string{j.State}
		}},
		{Name: ByParent, Values: func(j *schema.Job) []string { return []string{j.Parent} }},
	},
}
