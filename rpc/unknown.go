package rpc

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"yagura/fsm/schema"
)

// checkFields refuses a request with a field that this version doesn't know:
// dropping it could do something else than the caller meant. The error is
// KindInvalid and names the message and the field's number.
func checkFields(m proto.Message) error { return checkMessage(m.ProtoReflect()) }

func checkMessage(m protoreflect.Message) error {
	if raw := m.GetUnknown(); len(raw) > 0 {
		number, _, _ := protowire.ConsumeTag(raw)
		return schema.Errorf(schema.KindInvalid, string(m.Descriptor().Name()), "unknown field %d", number).
			WithHint("the manager is older than the caller, or the request is damaged")
	}
	var err error
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Message() == nil {
			return true
		}
		switch {
		case fd.IsMap():
			if fd.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					err = checkMessage(v.Message())
					return err == nil
				})
			}
		case fd.IsList():
			list := v.List()
			for i := 0; i < list.Len() && err == nil; i++ {
				err = checkMessage(list.Get(i).Message())
			}
		default:
			err = checkMessage(v.Message())
		}
		return err == nil
	})
	return err
}
