package apierr

import (
	"context"
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"yagura/fsm/schema"
)

// domain marks the error details as ours (google.rpc.ErrorInfo.domain).
const domain = "yagura"

// maxText bounds each text of an error on the wire, bytes: details travel in
// HTTP/2 headers, which receivers limit.
const maxText = 2048

// ToStatus is err as a gRPC status whose details restore it. An error that is
// no *schema.Error becomes KindTimeout or KindCancelled when a context ended,
// a gRPC status stays as it is, and all others become KindInternal.
func ToStatus(err error) *status.Status {
	var e *schema.Error
	if !errors.As(err, &e) {
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			e = &schema.Error{Kind: schema.KindTimeout, Msg: "the time given ran out"}
		case errors.Is(err, context.Canceled):
			e = &schema.Error{Kind: schema.KindCancelled, Msg: "the caller gave up"}
		default:
			if st, ok := status.FromError(err); ok {
				return st
			}
			e = &schema.Error{Kind: schema.KindInternal, Msg: err.Error()}
		}
	}
	msg := e.Msg
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	info := &errdetails.ErrorInfo{Reason: string(e.Kind), Domain: domain, Metadata: map[string]string{"msg": cut(msg)}}
	for k, v := range map[string]string{"op": e.Op, "object": e.Object, "hint": e.Hint} {
		if v != "" {
			info.Metadata[k] = cut(v)
		}
	}
	st := status.New(Lookup(e.Kind).Code, cut(e.Error()))
	if with, err := st.WithDetails(info); err == nil {
		return with
	}
	return st
}

// FromStatus restores the *schema.Error that ToStatus made, and gives a
// status of another origin (the transport, a proxy) the kind that fits its
// code. It is nil for codes.OK.
func FromStatus(st *status.Status) *schema.Error {
	if st.Code() == codes.OK {
		return nil
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.Domain == domain {
			m := info.Metadata
			return &schema.Error{Kind: schema.Kind(info.Reason), Op: m["op"], Object: m["object"], Msg: m["msg"], Hint: m["hint"]}
		}
	}
	return &schema.Error{Kind: kindOfCode(st.Code()), Msg: st.Message()}
}

// FromError gives any error its kind: that of a gRPC call as FromStatus, the end
// of a context as ToStatus. It is nil for nil.
func FromError(err error) error {
	if err == nil {
		return nil
	}
	var e *schema.Error
	if errors.As(err, &e) {
		return err
	}
	return FromStatus(ToStatus(err))
}

// kindOfCode is the kind of a status without our details.
func kindOfCode(c codes.Code) schema.Kind {
	switch c {
	case codes.InvalidArgument, codes.OutOfRange, codes.Unimplemented:
		return schema.KindInvalid
	case codes.NotFound:
		return schema.KindNotFound
	case codes.DeadlineExceeded:
		return schema.KindTimeout
	case codes.Canceled:
		return schema.KindCancelled
	case codes.Unavailable:
		return schema.KindUnavailable
	case codes.Unauthenticated:
		return schema.KindUnauthenticated
	case codes.PermissionDenied:
		return schema.KindPermission
	case codes.ResourceExhausted:
		return schema.KindTooLarge
	default:
		return schema.KindInternal
	}
}

// cut shortens s to maxText bytes at a rune's border.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n] + "..."
}
