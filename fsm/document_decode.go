package fsm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
	"yagura/fsm/seal"
)

// Limits on what one document may hold.
const (
	maxSpec = 1 << 20 // bytes
	maxList = 10000   // entries of a list
)

const timestampName = "google.protobuf.Timestamp"

func specError(format string, args ...any) *schema.Error {
	return schema.Errorf(schema.KindInvalid, "", format, args...)
}

// parseSpec reads the JSON of a spec. Empty means no fields.
func parseSpec(spec []byte) (map[string]any, error) {
	if len(spec) > maxSpec {
		return nil, schema.Errorf(schema.KindTooLarge, "", "spec has %d bytes, the limit is %d", len(spec), maxSpec)
	}
	if len(bytes.TrimSpace(spec)) == 0 {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(spec))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, specError("spec is no JSON: %v", err)
	}
	if dec.More() {
		return nil, specError("spec has something after its end")
	}
	fields, ok := v.(map[string]any)
	if !ok && v != nil {
		return nil, specError("spec is %s, it must be an object of fields", typeName(v))
	}
	return fields, nil
}

func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a truth value"
	case json.Number:
		return "a number"
	case string:
		return "a text"
	case []any:
		return "a list"
	}
	return "an object"
}

// specDecoder writes the fields of a spec into a row.
type specDecoder struct {
	kind   *docKind
	object string
	sealer *seal.Sealer
}

// message writes fields into m. path is that of m in the spec, empty or ending in a dot.
func (d *specDecoder) message(m protoreflect.Message, fields map[string]any, path string) error {
	for _, name := range sortedKeys(fields) {
		v, at := fields[name], path+name
		fd := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		if fd == nil {
			return d.unknown(m, at, path)
		}
		if err := d.settable(at, path); err != nil {
			return err
		}
		if v == nil {
			m.Clear(fd)
			continue
		}
		if err := d.field(m, fd, v, at); err != nil {
			return err
		}
	}
	return nil
}

// settable refuses fields that are collected, set by running, or output.
func (d *specDecoder) settable(at, path string) error {
	why, refused := d.kind.refused[stripIndexes(at)]
	if refused {
		return specError("%s %s", at, why)
	}
	if path == "" && !slices.Contains(d.kind.fields, at) && !slices.Contains(d.kind.inputs, at) {
		return specError("%s isn't set by documents", at)
	}
	return nil
}

func (d *specDecoder) unknown(m protoreflect.Message, at, path string) error {
	e := specError("%s is no field of a %s", at, d.kind.name)
	if path == "" {
		return e.WithHint("its fields are %s", strings.Join(d.kind.fields, ", "))
	}
	var names []string
	for i := range m.Descriptor().Fields().Len() {
		n := string(m.Descriptor().Fields().Get(i).Name())
		if _, refused := d.kind.refused[stripIndexes(path)+n]; !refused {
			names = append(names, n)
		}
	}
	return e.WithHint("the fields there are %s", strings.Join(names, ", "))
}

func (d *specDecoder) field(m protoreflect.Message, fd protoreflect.FieldDescriptor, v any, at string) error {
	switch {
	case fd.IsList():
		items, ok := v.([]any)
		if !ok {
			return specError("%s is %s, it must be a list", at, typeName(v))
		}
		if len(items) > maxList {
			return specError("%s has %d entries, the limit is %d", at, len(items), maxList)
		}
		m.Clear(fd)
		list := m.Mutable(fd).List()
		for i, item := range items {
			el := list.NewElement()
			val, err := d.value(el, fd, item, fmt.Sprintf("%s[%d]", at, i))
			if err != nil {
				return err
			}
			list.Append(val)
		}
		return nil
	case fd.IsMap():
		return d.entries(m.Mutable(fd).Map(), v, at)
	case fd.Message() != nil && fd.Message().FullName() != timestampName:
		sub, ok := v.(map[string]any)
		if !ok {
			return specError("%s is %s, it must be an object of fields", at, typeName(v))
		}
		return d.message(m.Mutable(fd).Message(), sub, at+".")
	}
	val, err := d.value(m.NewField(fd), fd, v, at)
	if err != nil {
		return err
	}
	if fd.Kind() == protoreflect.BytesKind {
		return d.secret(m, fd, v, at)
	}
	m.Set(fd, val)
	return nil
}

// entries writes into a map of texts: an entry that is absent stays, null takes
// one away.
func (d *specDecoder) entries(into protoreflect.Map, v any, at string) error {
	given, ok := v.(map[string]any)
	if !ok {
		return specError("%s is %s, it must be an object of texts", at, typeName(v))
	}
	if len(given) > maxList {
		return specError("%s has %d entries, the limit is %d", at, len(given), maxList)
	}
	for _, name := range sortedKeys(given) {
		key := protoreflect.ValueOfString(name).MapKey()
		if given[name] == nil {
			into.Clear(key)
			continue
		}
		s, ok := given[name].(string)
		if !ok {
			return specError("%s.%s is %s, it must be a text", at, name, typeName(given[name])).WithHint("put it in quotes")
		}
		if badControl(name) || badControl(s) {
			return specError("%s.%s has a control character", at, name)
		}
		into.Set(key, protoreflect.ValueOfString(s))
	}
	return nil
}

// badControl tells whether a text has a control character that no text needs.
func badControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' })
}

// secret seals a password. One that is the stored one already isn't sealed
// anew: sealing is random, and the row would change for nothing.
func (d *specDecoder) secret(m protoreflect.Message, fd protoreflect.FieldDescriptor, v any, at string) error {
	if d.sealer == nil {
		return schema.Errorf(schema.KindInternal, "", "%s can't be stored: this manager has no cluster key", at)
	}
	plain := []byte(v.(string))
	if old, err := d.sealer.Open(m.Get(fd).Bytes()); err == nil && bytes.Equal(old, plain) {
		return nil
	}
	m.Set(fd, protoreflect.ValueOfBytes(d.sealer.Seal(plain)))
	return nil
}

// value decodes one value; el is a fresh one of the field's type. Of bytes, which
// are secrets, only the type is checked.
func (d *specDecoder) value(el protoreflect.Value, fd protoreflect.FieldDescriptor, v any, at string) (protoreflect.Value, error) {
	wrong := func(want string) (protoreflect.Value, error) {
		return el, specError("%s is %s, it must be %s", at, typeName(v), want)
	}
	switch fd.Kind() {
	case protoreflect.StringKind, protoreflect.BytesKind:
		s, ok := v.(string)
		if !ok {
			e := specError("%s is %s, it must be a text", at, typeName(v))
			if _, number := v.(json.Number); number {
				return el, e.WithHint("put it in quotes")
			}
			return el, e
		}
		if fd.Kind() == protoreflect.BytesKind {
			return el, nil
		}
		if badControl(s) {
			return el, specError("%s has a control character", at)
		}
		return protoreflect.ValueOfString(s), nil
	case protoreflect.BoolKind:
		b, ok := v.(bool)
		if !ok {
			return wrong("true or false")
		}
		return protoreflect.ValueOfBool(b), nil
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		n, err := wholeNumber(v)
		if err != nil {
			return wrong("a whole number")
		}
		if fd.Kind() == protoreflect.Int64Kind {
			return protoreflect.ValueOfInt64(n), nil
		}
		if n < math.MinInt32 || n > math.MaxInt32 {
			return el, specError("%s is %d, which is out of range", at, n)
		}
		return protoreflect.ValueOfInt32(int32(n)), nil
	case protoreflect.MessageKind:
		if fd.Message().FullName() == timestampName {
			s, _ := v.(string)
			t, err := time.Parse(time.RFC3339, s)
			if err != nil {
				return wrong("a time such as 2026-01-31T12:00:00Z")
			}
			return protoreflect.ValueOfMessage(timestamppb.New(t).ProtoReflect()), nil
		}
		sub, ok := v.(map[string]any)
		if !ok {
			return wrong("an object of fields")
		}
		return el, d.message(el.Message(), sub, at+".")
	}
	return el, schema.Errorf(schema.KindInternal, "", "%s has a type that documents can't give", at)
}

// wholeNumber reads an integer. JSON that came through floating point, such as
// 2e2, is accepted as far as it is exact.
func wholeNumber(v any) (int64, error) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, fmt.Errorf("no number")
	}
	if i, err := n.Int64(); err == nil {
		return i, nil
	}
	f, err := n.Float64()
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, fmt.Errorf("no whole number")
	}
	return int64(f), nil
}

// stripIndexes takes the list indexes out of a path: nics[0].mac is nics.mac.
func stripIndexes(path string) string {
	for {
		i := strings.IndexByte(path, '[')
		if i < 0 {
			return path
		}
		j := strings.IndexByte(path[i:], ']')
		if j < 0 {
			return path
		}
		path = path[:i] + path[i+j+1:]
	}
}
