package fsm_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

func TestAuditNamesObjectsAsPeopleDo(t *testing.T) {
	c := fsmtest.New(t)
	write := func(verb func(tx *fsm.Tx) error) []string {
		t.Helper()
		if _, err := c.Store().Update(t.Context(), fsm.Why{User: "tanaka", Op: "put"}, verb); err != nil {
			t.Fatal(err)
		}
		last, _ := fsm.Audits.Last(c.Store().View())
		return last.GetObjects()
	}
	got := write(func(tx *fsm.Tx) error {
		for _, err := range []error{
			fsm.Categories.Put(tx, &schema.Category{Path: "0000000"}),
			fsm.Jobs.Put(tx, &schema.Job{Id: "00011", State: schema.JobQueued}),
			fsm.Tokens.Put(tx, &schema.Token{Hash: strings.Repeat("0123456789abcdef", 4), User: "tanaka", Created: timestamppb.Now(), Expires: timestamppb.Now()}),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	if want := []string{"category/0000000", "job/00011", "token/01234567"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	got = write(func(tx *fsm.Tx) error { return fsm.Jobs.Delete(tx, fsm.NumberKey("00011")) })
	write(func(tx *fsm.Tx) error { return nil })
	if again := fsm.Audits.Len(c.Store().View()); again != 2 {
		t.Errorf("a write that changes nothing leaves %d audit rows", again-2)
	}
	if noted := write(func(tx *fsm.Tx) error { tx.Note("cluster"); return nil }); !slices.Equal(noted, []string{"cluster"}) || fsm.Audits.Len(c.Store().View()) != 3 {
		t.Errorf("a noted act leaves %d audit rows, the last about %q", fsm.Audits.Len(c.Store().View())-2, noted)
	}
	if want := []string{"-job/00011"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
