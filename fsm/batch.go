package fsm

import (
	"encoding/binary"
	"hash/crc32"

	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
)

// Log format. An entry is magic, format, CRC-32C of the rest, and a
// schema.Batch. Formats are only ever appended.
const (
	batchFormat  = 1
	batchMagic   = "YB"
	batchHead    = 2 + 1 + 4
	maxRow       = 1 << 20 // bytes of one row
	maxBatch     = 1 << 20 // bytes of changes after which a batch takes no further verb
	maxGroup     = 1024    // verbs in one batch
	maxVerbBytes = 32 << 20
)

// MaxFeature is the highest feature level that this program speaks. The level
// in force is a row of Settings; nothing of a newer level is written before
// all voters speak it.
//
//	1 the first one
//	2 tables of VLANs, load-balancing groups, receivers, notices and positions
const MaxFeature = 2

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeBatch makes a log entry.
func encodeBatch(b *schema.Batch) ([]byte, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(b)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, batchHead+len(body))
	out = append(out, batchMagic...)
	out = append(out, batchFormat)
	out = binary.BigEndian.AppendUint32(out, crc32.Checksum(body, castagnoli))
	return append(out, body...), nil
}

// DecodeBatch reads a log entry. KindCorrupt for anything that isn't one.
func DecodeBatch(data []byte) (*schema.Batch, error) {
	if len(data) < batchHead || string(data[:2]) != batchMagic {
		return nil, schema.Errorf(schema.KindCorrupt, "log entry", "it is no batch of Yagura")
	}
	if data[2] != batchFormat {
		return nil, schema.Errorf(schema.KindCorrupt, "log entry", "format %d is unknown to this version", data[2]).
			WithHint("run the version that wrote it, or a newer one")
	}
	body := data[batchHead:]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(data[3:]) {
		return nil, schema.Errorf(schema.KindCorrupt, "log entry", "the checksum is wrong")
	}
	b := new(schema.Batch)
	if err := proto.Unmarshal(body, b); err != nil {
		return nil, schema.Errorf(schema.KindCorrupt, "log entry", "it doesn't decode: %v", err)
	}
	if b.Format != batchFormat {
		return nil, schema.Errorf(schema.KindCorrupt, "log entry", "batch format %d is unknown to this version", b.Format)
	}
	return b, nil
}
