package fault

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"yagura/drivers"
)

func TestKinds(t *testing.T) {
	cause := errors.New("because")
	refused := New(drivers.KindRefused, cause)
	for _, c := range []struct {
		err  error
		kind drivers.Kind
	}{
		{refused, drivers.KindRefused},
		{fmt.Errorf("port 3: %w", refused), drivers.KindRefused},
		{Errorf(drivers.KindUnknown, "read back: %w", refused), drivers.KindUnknown},
		{Expired(drivers.Call{Deadline: time.Unix(0, 0)}), drivers.KindExpired},
		{cause, drivers.KindUnknown},
	} {
		if got := KindOf(c.err); got != c.kind {
			t.Errorf("%v is %s, want %s", c.err, got, c.kind)
		}
		if err := At("sw1", "vlan-add", "port 3", c.err); drivers.KindOf(err) != c.kind || !errors.Is(err, c.err) {
			t.Errorf("a driver returns %v", err)
		}
	}
	if err := At("sw1", "vlan-add", "port 3", refused); err.Error() != "sw1: vlan-add port 3: refused: because" {
		t.Errorf("%v", err)
	}
	if err := At("sw1", "vlan-add", "port 3", nil); err != nil {
		t.Errorf("success becomes %v", err)
	}
	switch {
	case !Is(refused, drivers.KindBusy, drivers.KindRefused), Is(refused, drivers.KindBusy):
		t.Error("a refusal isn't known as such")
	case Is(nil, drivers.KindUnknown), Is(cause, drivers.KindUnknown):
		t.Error("what has no kind counts as unknown")
	}
}
