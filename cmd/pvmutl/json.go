package main

import (
	"encoding/json"
	"sort"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// appendJSON appends a row as one JSON object on one line. Every field is
// there even when it is empty, under its proto name, in the order of its
// number: scripts need no test for absence. Numbers are numbers, times RFC
// 3339 in UTC, times and messages that aren't set null, lists arrays. Fields
// of bytes are left out: in rows they hold passwords and hashes.
//
// protojson would take several times as long (10,000 machines are one list)
// and writes 64-bit numbers as strings.
func appendJSON(b []byte, m protoreflect.Message) []byte {
	b = append(b, '{')
	b = appendFields(b, m)
	return append(b, '}')
}

// appendFields appends the fields of m without the braces.
func appendFields(b []byte, m protoreflect.Message) []byte {
	first := true
	for _, f := range planOf(m.Descriptor()) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, f.label...)
		b = f.appendValue(b, m)
	}
	return b
}

// jsonField is one field to print: its descriptor and its label `"name":`.
type jsonField struct {
	fd    protoreflect.FieldDescriptor
	label string
}

// jsonPlans caches the fields to print per message type.
var jsonPlans sync.Map // protoreflect.FullName -> []jsonField

func planOf(d protoreflect.MessageDescriptor) []jsonField {
	if plan, ok := jsonPlans.Load(d.FullName()); ok {
		return plan.([]jsonField)
	}
	var plan []jsonField
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		if fd.Kind() != protoreflect.BytesKind {
			plan = append(plan, jsonField{fd, `"` + string(fd.Name()) + `":`})
		}
	}
	jsonPlans.Store(d.FullName(), plan)
	return plan
}

func (f jsonField) appendValue(b []byte, m protoreflect.Message) []byte {
	switch {
	case f.fd.IsList():
		return appendList(b, f.fd, m.Get(f.fd).List())
	case f.fd.IsMap():
		return appendMap(b, f.fd, m.Get(f.fd).Map())
	case f.fd.Message() != nil && !m.Has(f.fd):
		return append(b, "null"...)
	}
	return appendScalar(b, f.fd, m.Get(f.fd))
}

func appendList(b []byte, fd protoreflect.FieldDescriptor, list protoreflect.List) []byte {
	b = append(b, '[')
	for i := range list.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendScalar(b, fd, list.Get(i))
	}
	return append(b, ']')
}

func appendMap(b []byte, fd protoreflect.FieldDescriptor, values protoreflect.Map) []byte {
	keys := make([]string, 0, values.Len())
	byKey := make(map[string]protoreflect.Value, values.Len())
	values.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		keys = append(keys, k.String())
		byKey[k.String()] = v
		return true
	})
	sort.Strings(keys)
	b = append(b, '{')
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, key)
		b = append(b, ':')
		b = appendScalar(b, fd.MapValue(), byKey[key])
	}
	return append(b, '}')
}

func appendScalar(b []byte, fd protoreflect.FieldDescriptor, v protoreflect.Value) []byte {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return appendString(b, v.String())
	case protoreflect.BoolKind:
		return strconv.AppendBool(b, v.Bool())
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return strconv.AppendInt(b, v.Int(), 10)
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return strconv.AppendUint(b, v.Uint(), 10)
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return strconv.AppendFloat(b, v.Float(), 'g', -1, 64)
	case protoreflect.MessageKind:
		return appendMessage(b, v.Message())
	}
	return appendString(b, v.String())
}

func appendMessage(b []byte, m protoreflect.Message) []byte {
	switch m := m.Interface().(type) {
	case *timestamppb.Timestamp:
		b = append(b, '"')
		b = m.AsTime().AppendFormat(b, time.RFC3339Nano)
		return append(b, '"')
	case *structpb.Struct:
		text, err := json.Marshal(m.AsMap()) // sorts the keys
		if err != nil {                      // not a number, which JSON can't say
			return append(b, "null"...)
		}
		return append(b, text...)
	}
	return appendJSON(b, m)
}

// rfc3339 is a time as JSON has it; empty when unset.
func rfc3339(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Format(time.RFC3339Nano)
}

// appendString appends a JSON string. Names are plain ASCII nearly always.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			text, _ := json.Marshal(s) // a string has no error
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
