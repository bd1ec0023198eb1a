package fsm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

func FuzzDecodeBatch(f *testing.F) {
	c := fsmtest.New(f)
	c.Do(put("a"))
	data := c.Log()[0].Data
	f.Add(data, false)
	f.Add(data[7:], true)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, data []byte, right bool) {
		if right { // with a head whose checksum fits, so that the body is looked at
			sum := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
			data = append(binary.BigEndian.AppendUint32([]byte("YB\x01"), sum), data...)
		}
		b, err := fsm.DecodeBatch(data)
		if (b == nil) != (err != nil) || err != nil && schema.KindOf(err) != schema.KindCorrupt {
			t.Fatalf("%v, %v", b, err)
		}
	})
}

func FuzzReadSnapshot(f *testing.F) {
	c := fsmtest.New(f)
	c.Do(put("a"))
	f.Add(snapshotOf(f, c.Store().View()))
	f.Add([]byte("YAGURA SNAPSHOT 1\n\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := fsm.ReadSnapshot(bytes.NewReader(data))
		if err != nil {
			if schema.KindOf(err) != schema.KindCorrupt {
				t.Fatal(err)
			}
			return
		}
		if err := v.Verify(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzApplyDocuments: whatever a document holds, it is applied or refused with
// an error of a kind, never with a defect, and what was applied can be shown and
// applied again without a change.
func FuzzApplyDocuments(f *testing.F) {
	for _, d := range append(demoDocs(), physicalDocs()...) {
		f.Add(d.Kind, d.Name, d.Spec)
	}
	f.Add("Policy", "p", []byte(`{"rules":[{"notifier":"SystemMonitorPerf","selector":"11000006","actions":["notify"]}]}`))
	f.Add("TrapRule", "r", []byte(`{"oid":"1.3","match":[{"oid":"1.3","regexp":"a+"}],"notifier":"SNMP","event_id":"${1.3}"}`))
	f.Add("Host", "web/web01", []byte(`{"nics":[{"addresses":[{"ip":"::ffff:10.1.1.1","prefix":24}]}],"volumes":[{"name":"v"}]}`))
	f.Add("Settings", "cluster", []byte(`{"max_jobs":1e3}`))
	f.Add("Software", "s", []byte(`{"kind":"script","content":"2026-01-02T03:04:05.123456789+09:00"}`))
	f.Add("Subsystem", "sw2", []byte(`{"kind":"ovs","address":"unix:/s","options":{"bridge":null,"x":"\n"}}`))
	f.Add("Machine", "ph03", []byte(`{"initiators":["0x50060B0000C26200"],"bmc":{"kind":"ipmi","address":"[::1]:623"}}`))
	c := demo(f)
	apply(f, c, physicalDocs()...)
	f.Fuzz(func(t *testing.T, kind, name string, spec []byte) {
		undo := errors.New("undo")
		_, err := c.Try(func(tx *fsm.Tx) error {
			applied, err := fsm.ApplyDocuments(tx, []fsm.Document{{Kind: kind, Name: name, Spec: spec}})
			if err != nil {
				return err
			}
			o, err := fsm.GetObject(tx, applied[0].Kind, applied[0].Name)
			if err != nil {
				t.Errorf("applied, but not found: %v", err)
				return undo
			}
			again, err := fsm.ApplyDocuments(tx, []fsm.Document{{Kind: o.Kind, Name: o.Name, Spec: o.Spec}})
			if err != nil || again[0].Action != fsm.ActionUnchanged {
				t.Errorf("spec %s applied again: %+v, %v", o.Spec, again, err)
			}
			return undo
		})
		if !errors.Is(err, undo) && schema.KindOf(err) == schema.KindInternal {
			t.Fatal(err)
		}
	})
}
