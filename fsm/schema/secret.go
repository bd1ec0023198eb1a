package schema

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// WithoutSecrets is a copy of a row in which all fields of type bytes are empty,
// at any depth. Credentials and password hashes are of that type, and so is
// nothing that a person could read.
func WithoutSecrets(row proto.Message) proto.Message {
	c := proto.Clone(row)
	clearBytes(c.ProtoReflect())
	return c
}

func clearBytes(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.Kind() == protoreflect.BytesKind:
			m.Clear(fd)
		case fd.Kind() != protoreflect.MessageKind:
		case fd.IsMap():
			if fd.MapValue().Kind() == protoreflect.MessageKind {
				v.Map().Range(func(_ protoreflect.MapKey, e protoreflect.Value) bool { clearBytes(e.Message()); return true })
			}
		case fd.IsList():
			for i := range v.List().Len() {
				clearBytes(v.List().Get(i).Message())
			}
		default:
			clearBytes(v.Message())
		}
		return true
	})
}
