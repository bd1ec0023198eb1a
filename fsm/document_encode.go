package fsm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
)

func compareStrings(a, b string) int { return cmp.Compare(a, b) }

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// normalObject makes "Group web", "group web" and "trap-rule x" comparable.
func normalObject(s string) string {
	kind, rest, found := strings.Cut(s, " ")
	kind = strings.ReplaceAll(strings.ToLower(kind), "-", "")
	if !found {
		return kind
	}
	return kind + " " + rest
}

// withoutSecrets is the row for the outside: a copy without passwords, keys and
// communities, with password_set and the like in their place. Rows without any
// are returned as they are.
func withoutSecrets(row proto.Message) proto.Message {
	switch m := row.(type) {
	case *schema.Subsystem:
		c := proto.Clone(m).(*schema.Subsystem)
		c.PasswordSet, c.Password = len(m.Password) > 0, nil
		c.KeySet, c.Key = len(m.Key) > 0, nil
		return c
	case *schema.Machine:
		if m.Bmc == nil {
			return m
		}
		c := proto.Clone(m).(*schema.Machine)
		c.Bmc.PasswordSet, c.Bmc.Password = len(m.Bmc.Password) > 0, nil
		c.Bmc.KeySet, c.Bmc.Key = len(m.Bmc.Key) > 0, nil
		return c
	case *schema.SnmpUser:
		c := proto.Clone(m).(*schema.SnmpUser)
		c.AuthKeySet, c.AuthKey = len(m.AuthKey) > 0, nil
		c.PrivKeySet, c.PrivKey = len(m.PrivKey) > 0, nil
		return c
	case *schema.Receiver:
		c := proto.Clone(m).(*schema.Receiver)
		c.PasswordSet, c.Password = len(m.Password) > 0, nil
		return c
	case *schema.Group:
		if m.Monitoring == nil && m.Performance == nil {
			return m
		}
		c := proto.Clone(m).(*schema.Group)
		if c.Monitoring != nil {
			c.Monitoring.CommunitySet, c.Monitoring.Community = len(m.Monitoring.Community) > 0, nil
		}
		if c.Performance != nil {
			c.Performance.CommunitySet, c.Performance.Community = len(m.Performance.Community) > 0, nil
		}
		return c
	}
	return row
}

// encodeSpec writes the settable fields that are set as a JSON object, in the
// order of the schema. Secrets are left out.
func encodeSpec(k *docKind, row proto.Message) ([]byte, error) {
	skip := func(string) bool { return false }
	if k.hidden != nil {
		skip = func(field string) bool { return k.hidden(row, field) }
	}
	var buf bytes.Buffer
	e := &specEncoder{kind: k, buf: &buf}
	err := e.message(row.ProtoReflect(), "", func(name string) bool { return slices.Contains(k.fields, name) && !skip(name) })
	return buf.Bytes(), err
}

type specEncoder struct {
	kind *docKind
	buf  *bytes.Buffer
}

func (e *specEncoder) message(m protoreflect.Message, path string, want func(string) bool) error {
	e.buf.WriteByte('{')
	first := true
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		name := string(fd.Name())
		if !m.Has(fd) || !want(name) || fd.Kind() == protoreflect.BytesKind {
			continue
		}
		if _, refused := e.kind.refused[path+name]; refused {
			continue
		}
		if !first {
			e.buf.WriteByte(',')
		}
		first = false
		if err := e.json(name); err != nil {
			return err
		}
		e.buf.WriteByte(':')
		if err := e.field(fd, m.Get(fd), path+name+"."); err != nil {
			return err
		}
	}
	e.buf.WriteByte('}')
	return nil
}

func (e *specEncoder) field(fd protoreflect.FieldDescriptor, v protoreflect.Value, path string) error {
	if fd.IsMap() {
		texts := map[string]string{}
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			texts[k.String()] = v.String()
			return true
		})
		return e.json(texts)
	}
	if !fd.IsList() {
		return e.value(fd, v, path)
	}
	e.buf.WriteByte('[')
	for i := range v.List().Len() {
		if i > 0 {
			e.buf.WriteByte(',')
		}
		if err := e.value(fd, v.List().Get(i), path); err != nil {
			return err
		}
	}
	e.buf.WriteByte(']')
	return nil
}

func (e *specEncoder) value(fd protoreflect.FieldDescriptor, v protoreflect.Value, path string) error {
	if fd.Message() == nil {
		return e.json(v.Interface())
	}
	if t, ok := v.Message().Interface().(*timestamppb.Timestamp); ok {
		return e.json(t.AsTime().Format(time.RFC3339Nano))
	}
	return e.message(v.Message(), path, func(string) bool { return true })
}

func (e *specEncoder) json(v any) error {
	b, err := json.Marshal(v)
	e.buf.Write(b)
	return err
}

// diffRows lists how the settable fields of two rows differ, as "field: old -> new".
func diffRows(k *docKind, old, new protoreflect.Message) []string {
	d := &differ{kind: k}
	d.message("", old, new, slices.Concat(k.fields, k.inputs))
	return d.out
}

type differ struct {
	kind *docKind
	out  []string
}

func (d *differ) message(path string, old, new protoreflect.Message, only []string) {
	fields := new.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		name := path + string(fd.Name())
		if only != nil && !slices.Contains(only, name) || old.Get(fd).Equal(new.Get(fd)) {
			continue
		}
		switch {
		case fd.Kind() == protoreflect.BytesKind:
			d.out = append(d.out, name+": changed")
		case fd.Message() != nil && !fd.IsList() && !fd.IsMap() && fd.Message().FullName() != timestampName:
			d.message(name+".", old.Get(fd).Message(), new.Get(fd).Message(), nil)
		default:
			d.out = append(d.out, fmt.Sprintf("%s: %s -> %s", name, d.text(fd, old.Get(fd)), d.text(fd, new.Get(fd))))
		}
	}
}

// maxShown bounds a value in a list of changes, bytes.
const maxShown = 200

// text shows a value in one line.
func (d *differ) text(fd protoreflect.FieldDescriptor, v protoreflect.Value) string {
	var buf bytes.Buffer
	e := &specEncoder{kind: d.kind, buf: &buf}
	switch {
	case fd.IsMap() && v.Map().Len() == 0:
		return "none"
	case fd.IsList() && v.List().Len() == 0, !fd.IsList() && !fd.IsMap() && fd.Message() != nil && !v.Message().IsValid(), !fd.IsList() && fd.Kind() == protoreflect.StringKind && v.String() == "":
		return "none"
	case !fd.IsList() && fd.Kind() == protoreflect.StringKind:
		s := v.String()
		if strings.ContainsAny(s, "\n\r\t") {
			s = strconv.Quote(s)
		}
		buf.WriteString(s)
	default:
		if err := e.field(fd, v, string(fd.Name())+"."); err != nil {
			return "?"
		}
	}
	if buf.Len() > maxShown {
		return fmt.Sprintf("%s... (%d bytes)", strings.ToValidUTF8(string(buf.Bytes()[:maxShown]), ""), buf.Len())
	}
	return buf.String()
}
