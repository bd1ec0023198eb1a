package fsm

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
)

// Requests remember writes that carried a request id, by that id.
var Requests = &Table[*schema.Request]{
	number: 19, name: "request",
	key:  func(r *schema.Request) string { return r.Id },
	late: true,
}

// maxRequestID bounds a request id, bytes.
const maxRequestID = 128

// replay looks for an earlier application of tx's request id. A request id
// belongs to its user and operation: another one's is refused, not answered.
func replay(tx *Tx) (*schema.Request, error) {
	id := tx.why.Request
	if id == "" {
		return nil, nil
	}
	if len(id) > maxRequestID {
		return nil, schema.Errorf(schema.KindInvalid, "request id", "it has %d bytes, the limit is %d", len(id), maxRequestID)
	}
	req, ok := Requests.Get(tx, id)
	if !ok {
		return nil, nil
	}
	if req.User != tx.why.User || req.Op != tx.why.Op {
		return nil, schema.Errorf(schema.KindConflict, "request id "+id, "it was used for another request").
			WithHint("take a new request id for each new request")
	}
	return req, nil
}

// remember keeps the verb's answer under its request id.
func remember(tx *Tx, base uint64) error {
	if tx.why.Request == "" {
		return nil
	}
	return Requests.Put(tx, &schema.Request{
		Id: tx.why.Request, Index: base, Result: tx.result, Time: timestamppb.New(tx.Now()), User: tx.why.User, Op: tx.why.Op,
	})
}
