package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// promised are the fields that INTERFACE.md promises to scripts.
var promised = []struct {
	row    proto.Message
	fields string
}{
	{&schema.Machine{}, "name uuid kind power group model host vm_server hardware_status status maintenance pool_groups"},
	{&schema.Job{}, "id sequence state progress manager started ended"},
	{&schema.Step{}, "name state attempt manager handle started ended error"},
	{&schema.Event{}, "id time node notifier source event_id target category decision reason jobs"},
	{&api.Node{}, "id address role applied_index version"},
}

// TestPromisedFields holds that they are there even in an empty row.
func TestPromisedFields(t *testing.T) {
	for _, p := range promised {
		var got map[string]any
		if err := json.Unmarshal(appendJSON(nil, p.row.ProtoReflect()), &got); err != nil {
			t.Fatal(err)
		}
		for _, field := range strings.Fields(p.fields) {
			if _, ok := got[field]; !ok {
				t.Errorf("%s has no field %s", p.row.ProtoReflect().Descriptor().Name(), field)
			}
		}
		if got["pool_groups"] == nil && strings.Contains(p.fields, "pool_groups") || got["jobs"] == nil && strings.Contains(p.fields, "jobs") {
			t.Errorf("an empty list is %v", got)
		}
	}
}

// fill sets every field of a message, messages two levels deep.
func fill(m protoreflect.Message, depth int) {
	for i := range m.Descriptor().Fields().Len() {
		fd := m.Descriptor().Fields().Get(i)
		switch {
		case fd.IsMap():
			for _, key := range []string{"b\"c", "a"} {
				m.Mutable(fd).Map().Set(protoreflect.ValueOfString(key).MapKey(), scalar(fd.MapValue()))
			}
		case fd.IsList() && fd.Message() != nil:
			if depth > 0 {
				fill(m.Mutable(fd).List().AppendMutable().Message(), depth-1)
			}
		case fd.IsList():
			m.Mutable(fd).List().Append(scalar(fd))
		case fd.Message() != nil && fd.Message().FullName() == "google.protobuf.Timestamp":
			m.Set(fd, protoreflect.ValueOfMessage(at(1).ProtoReflect()))
		case fd.Message() != nil:
			if depth > 0 {
				fill(m.Mutable(fd).Message(), depth-1)
			}
		default:
			m.Set(fd, scalar(fd))
		}
	}
}

// scalar is a value that a field, or an element of it, may have.
func scalar(fd protoreflect.FieldDescriptor) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("text \"ü\" \\ \n " + string(fd.Name()))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("SECRET"))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(-7)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(1 << 40)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(7)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(1 << 40)
	}
	return fd.Default()
}

// TestJSONAgreesWithProtojson compares our encoder with protobuf's own, which
// is right and slow, on full and on empty rows.
func TestJSONAgreesWithProtojson(t *testing.T) {
	for _, row := range []proto.Message{
		&schema.Machine{}, &schema.Group{}, &schema.Model{}, &schema.Host{}, &schema.Category{}, &schema.Subsystem{}, &schema.Software{},
		&schema.Vlan{}, &schema.LoadBalancer{},
		&schema.Policy{}, &schema.TrapRule{}, &schema.Settings{}, &schema.Event{}, &schema.Job{}, &schema.Step{}, &schema.User{}, &schema.Audit{},
		&api.Node{}, &api.StatusReply{}, &api.PolicySetting{},
	} {
		for depth := -1; depth < 3; depth++ {
			m := row.ProtoReflect().New()
			if depth >= 0 {
				fill(m, depth)
			}
			got := appendJSON(nil, m)
			if bytes.Contains(got, []byte("SECRET")) {
				t.Fatalf("a secret is shown: %s", got)
			}
			text, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(m.Interface())
			if err != nil {
				t.Fatal(err)
			}
			if g, w := normalJSON(t, got), normalJSON(t, text); !reflect.DeepEqual(g, w) {
				t.Errorf("%s at depth %d:\n%v\nwant\n%v", m.Descriptor().Name(), depth, g, w)
			}
		}
	}
}

// normalJSON decodes JSON and levels what is meant to differ: 64-bit numbers
// as strings, bytes, and the precision of times.
func normalJSON(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return level(v)
}

// hiddenBytes are the fields of bytes in rows: empty ones look like text.
var hiddenBytes = map[string]bool{"password": true, "password_hash": true, "key": true, "community": true}

func level(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			if value == "U0VDUkVU" || hiddenBytes[key] {
				continue
			}
			out[key] = level(value)
		}
		return out
	case []any:
		for i := range v {
			v[i] = level(v[i])
		}
	case json.Number:
		return v.String()
	case string:
		if at, err := time.Parse(time.RFC3339, v); err == nil {
			return at.UnixNano()
		}
	}
	return v
}

// manyMachines makes an inventory of n machines.
func manyMachines(n int) []*schema.Machine {
	machines := make([]*schema.Machine, n)
	for i := range machines {
		m := proto.CloneOf(web01())
		m.Name = fmt.Sprintf("vm%05d", i)
		machines[i] = m
	}
	return machines
}

// TestManyMachines lists 10,000 machines through the whole command.
func TestManyMachines(t *testing.T) {
	const n = 10000
	f := newFake(t)
	f.answers["List Machine"] = &api.ListReply{Machines: manyMachines(n)}
	c := consoleFor(t, f)
	if code := c.run("get", "machine", "-o", "json"); code != 0 {
		t.Fatalf("exit code %d: %s", code, c.stderr.String())
	}
	var got []struct{ Name string }
	if err := json.Unmarshal(c.stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != n || got[n-1].Name != "vm09999" {
		t.Errorf("%d machines, the last %v", len(got), got[len(got)-1])
	}
}

func BenchmarkMachinesJSON(b *testing.B) {
	machines := manyMachines(10000)
	for b.Loop() {
		if err := writeJSONList(io.Discard, machineView, machines); err != nil {
			b.Fatal(err)
		}
	}
}
