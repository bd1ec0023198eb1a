package fsm

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Digest is a fingerprint of a set of rows: the sum, lane by lane and modulo
// 2^64, of the SHA-256 of each row. It is kept in step with each put and
// delete at the cost of that row alone, and doesn't depend on their order.
// It finds replicas that differ; it isn't a defence against forgery.
type Digest [4]uint64

func (d *Digest) add(o Digest) {
	for i := range d {
		d[i] += o[i]
	}
}

func (d *Digest) sub(o Digest) {
	for i := range d {
		d[i] -= o[i]
	}
}

// Bytes is the digest as 32 bytes, big endian.
func (d Digest) Bytes() []byte {
	b := make([]byte, 0, 32)
	for _, v := range d {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

// String is the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d.Bytes()) }

// rowDigest is the fingerprint of one row under its table and key.
func rowDigest(table uint32, key string, raw []byte) Digest {
	buf := make([]byte, 0, 12+len(key)+len(raw))
	buf = binary.BigEndian.AppendUint32(buf, table)
	buf = binary.BigEndian.AppendUint64(buf, uint64(len(key)))
	buf = append(buf, key...)
	buf = append(buf, raw...)
	h := sha256.Sum256(buf)
	var d Digest
	for i := range d {
		d[i] = binary.BigEndian.Uint64(h[8*i:])
	}
	return d
}
