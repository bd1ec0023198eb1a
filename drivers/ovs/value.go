package ovs

import (
	"encoding/json"
	"fmt"
)

// The columns of a row as JSON: an atom, ["set", [...]] of any number but one,
// ["map", [[k, v]...]], ["uuid", "..."] (RFC 7047, section 5.1).

// atoms are the members of a set, each as it is.
func atoms(raw json.RawMessage) []json.RawMessage {
	var pair []json.RawMessage
	var tag string
	if json.Unmarshal(raw, &pair) == nil && len(pair) == 2 && json.Unmarshal(pair[0], &tag) == nil && tag == "set" {
		var list []json.RawMessage
		if json.Unmarshal(pair[1], &list) == nil {
			return list
		}
	}
	if len(raw) == 0 {
		return nil
	}
	return []json.RawMessage{raw}
}

// each reads the members of a set; what isn't a T is left out.
func each[T any](raw json.RawMessage) []T {
	var out []T
	for _, a := range atoms(raw) {
		var v T
		if json.Unmarshal(a, &v) == nil {
			out = append(out, v)
		}
	}
	return out
}

// one reads a column that has one value or none.
func one[T any](raw json.RawMessage) (v T, ok bool) {
	if list := each[T](raw); len(list) == 1 {
		return list[0], true
	}
	return v, false
}

// uuid is a reference to a row.
type uuid string

// UnmarshalJSON reads ["uuid", "..."].
func (u *uuid) UnmarshalJSON(data []byte) error {
	var pair []string
	if err := json.Unmarshal(data, &pair); err != nil || len(pair) != 2 || pair[0] != "uuid" {
		return fmt.Errorf("%.40s is no uuid", data)
	}
	*u = uuid(pair[1])
	return nil
}

// MarshalJSON writes ["uuid", "..."].
func (u uuid) MarshalJSON() ([]byte, error) { return json.Marshal([]string{"uuid", string(u)}) }

// textMap reads a map of strings.
func textMap(raw json.RawMessage) map[string]string {
	out := map[string]string{}
	var pair []json.RawMessage
	var list [][]string
	if json.Unmarshal(raw, &pair) == nil && len(pair) == 2 && json.Unmarshal(pair[1], &list) == nil {
		for _, kv := range list {
			if len(kv) == 2 {
				out[kv[0]] = kv[1]
			}
		}
	}
	return out
}

// setOf writes a set.
func setOf[T any](list []T) any {
	if list == nil {
		list = []T{}
	}
	return []any{"set", list}
}

// where picks the row with an id.
func where(u uuid) []any { return []any{[]any{"_uuid", "==", u}} }
