package fsm

import (
	"fmt"
	"strconv"

	"yagura/fsm/schema"
)

// Events are faults, recoveries and reports, by number.
var Events = &Table[*schema.Event]{
	number: 10, name: "event",
	key: func(e *schema.Event) string { return numberKey(e.Id) },
	indexes: []Index[*schema.Event]{
		// Handled events are the many; leaving them out keeps the index small.
		{Name: ByState, Values: func(e *schema.Event) []string {
			if e.State == schema.EventHandled {
				return nil
			}
			return []string{e.State}
		}},
		{Name: ByTarget, Values: func(e *schema.Event) []string { return []string{e.Target} }},
	},
}

// Intakes are how far each manager's event stream is recorded, by manager.
var Intakes = &Table[*schema.Intake]{
	number: 18, name: "intake",
	key: func(i *schema.Intake) string { return i.Node },
}

// numberKey makes an id of digits sort by its number; "" for anything else.
func numberKey(id string) string {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%020d", n)
}

// nextNumber is the number after that of the last row. Retention never
// deletes the newest row, so a number is never given twice.
func nextNumber(last string, ok bool) uint64 {
	if !ok {
		return 1
	}
	n, err := strconv.ParseUint(last, 10, 64)
	if err != nil {
		return 1
	}
	return n + 1
}
