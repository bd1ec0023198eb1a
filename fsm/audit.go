package fsm

import (
	"fmt"
	"slices"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
)

// Audits are the changes made: who, from where, what, why; by number.
var Audits = &Table[*schema.Audit]{
	number: 17, name: "audit",
	key:    func(a *schema.Audit) string { return numberKey(a.Id) },
	decode: decodeAlways,
}

// maxAuditObjects bounds the objects named in one audit row.
const maxAuditObjects = 64

// audit writes the audit row of the verb that has run in tx.
func audit(tx *Tx, base uint64) error {
	if tx.b.nextAudit == 0 {
		last, ok := Audits.Last(tx.b.base)
		tx.b.nextAudit = nextNumber(last.GetId(), ok)
	}
	a := &schema.Audit{
		Id: strconv.FormatUint(tx.b.nextAudit, 10), Time: timestamppb.New(tx.Now()), User: tx.why.User, From: tx.why.From,
		Node: tx.why.Node, Op: tx.why.Op, Reason: tx.why.Reason, Index: base, Objects: slices.Clone(tx.noted),
	}
	for _, id := range tx.order {
		if id.table == Requests.number {
			continue
		}
		if len(a.Objects) == maxAuditObjects {
			a.Objects = append(a.Objects, "and more")
			break
		}
		c := tx.changes[id]
		name := objectName(tableByNumber[id.table], id.key)
		if c.rec == nil {
			name = "-" + name
		}
		a.Objects = append(a.Objects, name)
	}
	return Audits.Put(tx, a)
}

// objectName names a row as people do: numbers without the zeros that sort
// them, jobs as everywhere, sessions by a part that tells them apart.
func objectName(t TableRef, key string) string {
	if t.Number() == Tokens.number {
		key = key[:min(len(key), 8)]
	}
	if n, err := strconv.ParseUint(key, 10, 64); err == nil && len(key) == len(numberKey("0")) {
		if key = strconv.FormatUint(n, 10); t.Number() == Jobs.number {
			key = fmt.Sprintf("%05d", n)
		}
	}
	return t.Name() + "/" + key
}
