package fsm

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"runtime/debug"

	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
)

// Snapshot format: the magic line, then messages each with its length before
// it (unsigned varint): a schema.SnapshotHeader, the rows as schema.Change in
// the order of table and key, a zero length, and the SHA-256 of all before.
const (
	snapshotMagic  = "YAGURA SNAPSHOT 1\n"
	snapshotFormat = 1
	maxHeader      = 1 << 16
)

// WriteSnapshot writes the state.
func (v *View) WriteSnapshot(w io.Writer) error {
	bw := bufio.NewWriterSize(w, 1<<16)
	sw := &snapshotWriter{w: bw, sum: sha256.New()}
	head := &schema.SnapshotHeader{
		Format: snapshotFormat, Index: v.index, Digest: v.digest.Bytes(), Feature: Settings(v).Feature, Time: timestamp(v.time), Version: version(),
	}
	for _, t := range tables {
		head.Rows += uint64(v.rows(t).byKey.Len())
	}
	if err := sw.write([]byte(snapshotMagic)); err != nil {
		return err
	}
	if err := sw.message(head); err != nil {
		return err
	}
	for _, t := range tables {
		err := v.rows(t).each(func(r *record) error {
			return sw.message(&schema.Change{Table: t.Number(), Key: r.key, Row: r.raw})
		})
		if err != nil {
			return err
		}
	}
	if err := sw.write([]byte{0}); err != nil {
		return err
	}
	if _, err := bw.Write(sw.sum.Sum(nil)); err != nil {
		return err
	}
	return bw.Flush()
}

type snapshotWriter struct {
	w   *bufio.Writer
	sum hash.Hash
	buf []byte
}

func (sw *snapshotWriter) write(b []byte) error {
	sw.sum.Write(b)
	_, err := sw.w.Write(b)
	return err
}

func (sw *snapshotWriter) message(m proto.Message) error {
	body, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(sw.buf[:0], m)
	if err != nil {
		return err
	}
	sw.buf = body
	var n [binary.MaxVarintLen64]byte
	if err := sw.write(n[:binary.PutUvarint(n[:], uint64(len(body)))]); err != nil {
		return err
	}
	return sw.write(body)
}

// ReadSnapshot reads a state. It checks everything: checksum, number of rows,
// keys and digest. KindCorrupt when one is wrong.
func ReadSnapshot(r io.Reader) (*View, error) {
	v, _, err := readSnapshot(r, nil)
	return v, err
}

// SnapshotInfo is what a snapshot file holds, for offline inspection.
type SnapshotInfo struct {
	Header *schema.SnapshotHeader
	Rows   map[string]int // by table
	Bytes  map[string]int // by table
}

// InspectSnapshot reads and checks a snapshot and tells what is in it. each is
// called for every row unless it is nil.
func InspectSnapshot(r io.Reader, each func(table, key string, row proto.Message) error) (*SnapshotInfo, error) {
	info := &SnapshotInfo{Rows: map[string]int{}, Bytes: map[string]int{}}
	_, head, err := readSnapshot(r, func(t TableRef, c *schema.Change) error {
		info.Rows[t.Name()]++
		info.Bytes[t.Name()] += len(c.Row)
		if each == nil {
			return nil
		}
		msg, _, err := t.RowKey(c.Row)
		if err != nil {
			return err
		}
		return each(t.Name(), c.Key, msg)
	})
	info.Header = head
	return info, err
}

func corruptSnapshot(format string, args ...any) error {
	return schema.Errorf(schema.KindCorrupt, "snapshot", format, args...).WithHint("take another backup; nothing was changed")
}

func readSnapshot(r io.Reader, each func(TableRef, *schema.Change) error) (*View, *schema.SnapshotHeader, error) {
	sr := &snapshotReader{r: bufio.NewReaderSize(r, 1<<16), sum: sha256.New()}
	magic := make([]byte, len(snapshotMagic))
	if err := sr.full(magic); err != nil || string(magic) != snapshotMagic {
		return nil, nil, corruptSnapshot("it doesn't begin like a snapshot of Yagura, or is of a format unknown to this version")
	}
	body, err := sr.message(maxHeader)
	if err != nil {
		return nil, nil, err
	}
	head := new(schema.SnapshotHeader)
	if err := proto.Unmarshal(body, head); err != nil || head.Format != snapshotFormat {
		return nil, nil, corruptSnapshot("its header is damaged or of an unknown format")
	}
	if head.Feature > MaxFeature {
		return nil, head, schema.Errorf(schema.KindCorrupt, "snapshot", "it needs feature level %d, this version speaks %d", head.Feature, MaxFeature).
			WithHint("install the newer version")
	}
	w := newDatabase().write(Digest{})
	rows := uint64(0)
	for {
		body, err := sr.message(maxRow + 4096)
		if err != nil {
			return nil, head, err
		}
		if body == nil {
			break
		}
		c := new(schema.Change)
		if err := proto.Unmarshal(body, c); err != nil {
			return nil, head, corruptSnapshot("row %d doesn't decode", rows+1)
		}
		t := tableByNumber[c.Table]
		if t == nil {
			return nil, head, corruptSnapshot("row %d is of table %d, which this version doesn't know", rows+1, c.Table)
		}
		rec, err := newRecord(t, c.Key, c.Row, true)
		if err != nil {
			return nil, head, corruptSnapshot("row %d: %v", rows+1, err)
		}
		w.replace(t, w.db[c.Table].get(c.Key), rec)
		if each != nil {
			if err := each(t, c); err != nil {
				return nil, head, err
			}
		}
		rows++
	}
	want := sr.sum.Sum(nil)
	got := make([]byte, sha256.Size)
	if _, err := io.ReadFull(sr.r, got); err != nil || string(got) != string(want) {
		return nil, head, corruptSnapshot("its checksum is wrong: it was cut or altered")
	}
	if _, err := sr.r.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, head, corruptSnapshot("something follows its end: it was altered")
	}
	if rows != head.Rows || string(w.sum.Bytes()) != string(head.Digest) {
		return nil, head, corruptSnapshot("it has %d rows with digest %s, its header says %d with %x", rows, w.sum, head.Rows, head.Digest)
	}
	return &View{db: w.db, index: head.Index, digest: w.sum, time: head.Time.AsTime()}, head, nil
}

type snapshotReader struct {
	r   *bufio.Reader
	sum hash.Hash
}

func (sr *snapshotReader) full(b []byte) error {
	if _, err := io.ReadFull(sr.r, b); err != nil {
		return corruptSnapshot("it ends too early")
	}
	sr.sum.Write(b)
	return nil
}

// message reads one message of at most limit bytes; nil at the end mark.
func (sr *snapshotReader) message(limit uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(summingByteReader{sr})
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, corruptSnapshot("it ends too early")
	}
	if err != nil || n > limit {
		return nil, corruptSnapshot("a length in it makes no sense")
	}
	if n == 0 {
		return nil, nil
	}
	b := make([]byte, n)
	return b, sr.full(b)
}

type summingByteReader struct{ sr *snapshotReader }

// ReadByte reads a byte into the checksum.
func (s summingByteReader) ReadByte() (byte, error) {
	b, err := s.sr.r.ReadByte()
	if err == nil {
		s.sr.sum.Write([]byte{b})
	}
	return b, err
}

// version is the program's version as the build stamped it.
func version() string {
	if bi, ok := debug.ReadBuildInfo(); ok {
		return bi.Main.Version
	}
	return ""
}
