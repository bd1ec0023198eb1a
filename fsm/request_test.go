package fsm

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
)

func TestRequestIDOfAnEncodedRow(t *testing.T) {
	for _, row := range []*schema.Request{
		{Id: "b7", Index: 300, Result: []byte("\x0a\x01x"), Time: timestamppb.Now(), User: "admin", Op: "Apply", Number: "4"},
		{Id: "only"},
		{Index: 1, Result: []byte{10, 1, 'x'}, Number: "5"},
	} {
		raw, err := proto.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		if got := requestByID(raw); len(got) != 1 || string(got[0]) != row.Id {
			t.Errorf("the id of %v is read as %q", row, got)
		}
		other, err := proto.Marshal(&schema.Request{Id: "last"}) // the last one of a field counts
		if err != nil {
			t.Fatal(err)
		}
		if got := requestByID(append(raw, other...)); string(got[0]) != "last" {
			t.Errorf("the id of %v and a later one is read as %q", row, got)
		}
	}
}
