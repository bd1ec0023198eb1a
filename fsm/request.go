package fsm

import (
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
)

// Requests remember writes that carried a request id, by number.
var Requests = &Table[*schema.Request]{
	number: 19, name: "request",
	key:    func(r *schema.Request) string { return numberKey(r.Number) },
	decode: decodeAlways,
	// The values are unique since replay looks before remember writes.
	indexes: []Index[*schema.Request]{{Name: ByID, Raw: requestByID}},
}

// requestIDField is the number of Request.id.
const requestIDField = 1

// requestByID reads the id out of the encoded row: each write of the API makes
// such a row, and deletes one in the long run, on every manager, and few are
// ever looked at.
func requestByID(raw []byte) [][]byte {
	var id []byte
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			break
		}
		size := protowire.ConsumeFieldValue(number, kind, raw[n:])
		if size < 0 {
			break
		}
		if number == requestIDField && kind == protowire.BytesType {
			id, _ = protowire.ConsumeBytes(raw[n:])
		}
		raw = raw[n+size:]
	}
	return [][]byte{id}
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
	req, ok := tx.b.requests[id]
	if !ok {
		req, ok = Requests.One(tx.b.base, ByID, id)
	}
	if !ok {
		return nil, nil
	}
	if req.User != tx.why.User || req.Op != tx.why.Op {
		return nil, schema.Errorf(schema.KindConflict, "request id "+id, "it was used for another request").
			WithHint("take a new request id for each new request")
	}
	return req, nil
}

// remember makes the row that keeps the verb's answer under its request id;
// nil when it has none.
func remember(tx *Tx, base uint64) (*schema.Request, error) {
	if tx.why.Request == "" {
		return nil, nil
	}
	if tx.b.nextRequest == 0 {
		last, ok := Requests.Last(tx.b.base)
		tx.b.nextRequest = nextNumber(last.GetNumber(), ok)
	}
	req := &schema.Request{
		Id: tx.why.Request, Index: base, Result: tx.result, Time: timestamppb.New(tx.Now()), User: tx.why.User, Op: tx.why.Op,
		Number: strconv.FormatUint(tx.b.nextRequest, 10),
	}
	return req, Requests.Put(tx, req)
}
