package fsm_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// noticeCluster has the group shop/web and the receivers given.
func noticeCluster(t *testing.T, receivers ...fsm.Document) *fsmtest.Cluster {
	t.Helper()
	c := bootstrapped(t)
	apply(t, c, doc("Category", "shop", `{}`), doc("Category", "lab", `{}`), doc("Group", "web", `{'category':'shop','kind':'vm'}`), doc("Group", "db", `{'category':'lab','kind':'vm'}`))
	apply(t, c, receivers...)
	return c
}

func logged(group, severity string) func(*fsm.Tx) error {
	return func(tx *fsm.Tx) error {
		return fsm.LogEvent(tx, &schema.Event{EventId: "2021", Operation: "startup-machine", Phase: "started", Group: group, Severity: severity, Text: "text"})
	}
}

func notices(r fsm.Reader, receiver, state string) []*schema.Notice {
	var out []*schema.Notice
	for n := range fsm.Notices.All(r) {
		if n.Receiver == receiver && n.State == state {
			out = append(out, n)
		}
	}
	return out
}

// TestNoticesGoToThoseWhoWantThem, in the batch of the entry.
func TestNoticesGoToThoseWhoWantThem(t *testing.T) {
	c := noticeCluster(t,
		doc("Receiver", "all", `{'kind':'journald'}`),
		doc("Receiver", "bad", `{'kind':'journald','min_severity':'warning'}`),
		doc("Receiver", "web", `{'kind':'journald','groups':['web']}`),
		doc("Receiver", "shop", `{'kind':'journald','categories':['shop']}`),
		doc("Receiver", "off", `{'kind':'journald','disabled':true}`))
	entries := len(c.Log())
	c.Do(logged("web", "info"))
	if n := len(c.Log()) - entries; n != 1 {
		t.Errorf("the entry and its notices took %d batches", n)
	}
	c.Do(logged("db", "warning"))
	c.Do(logged("", "error"))
	c.Do(func(tx *fsm.Tx) error {
		return fsm.LogEventAbout(tx, &schema.Event{EventId: "502", Operation: "notification", Phase: "other", Severity: "info", Group: "db"}, "error")
	})
	v := c.Store().View()
	for name, want := range map[string]int{"all": 4, "bad": 3, "web": 1, "shop": 1, "off": 0} {
		if got := notices(v, name, schema.NoticeWaiting); len(got) != want || receiverRow(t, v, name).Waiting != int64(want) {
			t.Errorf("%s has %d, the row says %d, want %d", name, len(got), receiverRow(t, v, name).Waiting, want)
		}
	}
	// A group that a receiver names isn't removed under it.
	if _, err := c.Try(func(tx *fsm.Tx) error { return fsm.Unset(tx, "Group", "web") }); schema.KindOf(err) != schema.KindConflict || !strings.Contains(err.Error(), "receiver web") {
		t.Error(err)
	}
	// What waits goes with its receiver.
	c.Do(func(tx *fsm.Tx) error { return fsm.Unset(tx, "Receiver", "all") })
	if got := notices(c.Store().View(), "all", schema.NoticeWaiting); len(got) != 0 {
		t.Errorf("%d notices of a removed receiver", len(got))
	}
}

// TestFullOutboxLosesTheLeast: the oldest of the lowest severity gives way, not
// what is on its way, and every loss is counted.
func TestFullOutboxLosesTheLeast(t *testing.T) {
	c := noticeCluster(t, doc("Receiver", "j", `{'kind':'journald'}`))
	entries := func(n int, severity string) {
		for n > 0 {
			k := min(n, 1000)
			c.Do(func(tx *fsm.Tx) error {
				for range k {
					if err := logged("web", severity)(tx); err != nil {
						return err
					}
				}
				return nil
			})
			n -= k
		}
	}
	entries(600, "info")
	c.Do(func(tx *fsm.Tx) error { _, err := fsm.BeginSending(tx, "j"); return err })
	entries(fsm.MaxWaiting-700, "error")
	entries(100, "info")
	entries(150, "warning")
	v := c.Store().View()
	row := receiverRow(t, v, "j")
	lost := notices(v, "j", schema.NoticeLost)
	if row.Waiting != fsm.MaxWaiting || len(notices(v, "j", schema.NoticeWaiting)) != fsm.MaxWaiting || row.Lost != 150 || len(lost) != 150 {
		t.Fatalf("%d wait, %d are lost, %d lost notices", row.Waiting, row.Lost, len(lost))
	}
	for i, n := range lost {
		// 500 of the first 600 are on their way.
		if n.Severity != "info" || !strings.Contains(n.Error, "gave way") || i == 0 && n.Id != "501" {
			t.Fatalf("%v", n)
		}
	}
	if out := fsm.Outgoing(v, row); len(out) != 500 || out[0].Id != "1" || out[499].Id != "500" {
		t.Errorf("%d are on their way", len(out))
	}
	// Where all that waits is worse, the new one is lost.
	entries(60, "info")
	v = c.Store().View()
	if row := receiverRow(t, v, "j"); row.Lost != 210 || row.Waiting != fsm.MaxWaiting {
		t.Errorf("%v", row)
	}
}

// TestMessageIsFixedBeforeItIsSent: what comes later is another message.
func TestMessageIsFixedBeforeItIsSent(t *testing.T) {
	c := noticeCluster(t, doc("Receiver", "m", `{`+mailSpec+`,'min_severity':'info'}`))
	begin := func() bool {
		some := false
		c.Do(func(tx *fsm.Tx) (err error) { some, err = fsm.BeginSending(tx, "m"); return err })
		return some
	}
	if begin() {
		t.Error("a message of nothing")
	}
	c.Do(logged("web", "info"))
	c.Do(logged("web", "info"))
	v := c.Store().View()
	if wait := receiverRow(t, v, "m").Next.AsTime().Sub(notices(v, "m", schema.NoticeWaiting)[1].Created.AsTime()); wait != schema.DefaultBundleSeconds*time.Second {
		t.Errorf("the bundle waits for %s", wait)
	}
	begin()
	c.Do(logged("web", "info"))
	begin()
	row := receiverRow(t, c.Store().View(), "m")
	if out := fsm.Outgoing(c.Store().View(), row); len(out) != 2 || row.Sending.First != "1" || row.Sending.Last != "2" {
		t.Fatalf("%v", row.Sending)
	}
	// An attempt that fails keeps it, with who has it.
	now := time.Now()
	c.Do(func(tx *fsm.Tx) error {
		return fsm.FailSending(tx, "m", "no", []string{"ops@example.com"}, now.Add(time.Hour), now.Add(-time.Hour))
	})
	if row = receiverRow(t, c.Store().View(), "m"); row.Sending.Attempts != 1 || row.Failures != 1 || !slices.Equal(row.Sending.Done, []string{"ops@example.com"}) || row.Error != "no" || row.Waiting != 3 {
		t.Errorf("%v", row)
	}
	// The same document again changes nothing; a corrected one makes the next attempt due now.
	if out := apply(t, c, doc("Receiver", "m", `{`+mailSpec+`}`)); out[0].Action != fsm.ActionUnchanged {
		t.Errorf("%v", out)
	}
	apply(t, c, doc("Receiver", "m", `{'address':'mail2.example.com'}`))
	if row = receiverRow(t, c.Store().View(), "m"); row.Next.AsTime().After(time.Now()) || row.Sending == nil {
		t.Errorf("%v", row)
	}
	c.Do(func(tx *fsm.Tx) error { return fsm.EndSending(tx, "m", "") })
	v = c.Store().View()
	row = receiverRow(t, v, "m")
	sent := notices(v, "m", schema.NoticeSent)
	if len(sent) != 2 || sent[0].Attempts != 2 || sent[1].Message != fsm.MessageID(v, "1") || row.Waiting != 1 || row.Sent != 2 || row.Failures != 1 || row.Error != "" || row.Next == nil {
		t.Errorf("%v\n%v", sent, row)
	}
}

// TestBundleWaitsUntilNothingComes: a message is due when nothing has come for
// the bundle's time, at the latest four times that after its first notice, and at
// once when it is full.
func TestBundleWaitsUntilNothingComes(t *testing.T) {
	now := time.Now()
	begun := now
	c := fsmtest.NewAt(t, func() time.Time { return now })
	c.Do(func(tx *fsm.Tx) error {
		return fsm.Bootstrap(tx, fsm.BootstrapSpec{Admin: "admin", AdminHash: []byte("hash"), Cluster: "c1"})
	})
	apply(t, c, doc("Receiver", "m", `{`+mailSpec+`,'min_severity':'info'}`))
	due := func() time.Duration {
		return receiverRow(t, c.Store().View(), "m").Next.AsTime().Sub(begun).Round(time.Second)
	}
	for _, step := range []struct{ at, due time.Duration }{{0, 30}, {10, 40}, {10, 40}, {39, 69}, {60, 90}, {89, 119}, {100, 120}, {119, 120}, {121, 120}} {
		now = begun.Add(step.at * time.Second)
		c.Do(logged("", "info"))
		if got := due(); got != step.due*time.Second {
			t.Errorf("after an entry at %d s the message is due at %s, want %d s", step.at, got, step.due)
		}
	}
	// What comes while a message is on its way has its own time, from its first entry on.
	c.Do(func(tx *fsm.Tx) error { _, err := fsm.BeginSending(tx, "m"); return err })
	for _, at := range []time.Duration{125, 130} {
		now = begun.Add(at * time.Second)
		c.Do(logged("", "info"))
	}
	if got := due(); got != 120*time.Second {
		t.Errorf("the message on its way is due at %s", got)
	}
	c.Do(func(tx *fsm.Tx) error { return fsm.EndSending(tx, "m", "") })
	if got := due(); got != 160*time.Second {
		t.Errorf("the next message is due at %s", got)
	}
	c.Do(func(tx *fsm.Tx) error {
		for range fsm.MaxBundle - 2 {
			if err := fsm.LogEvent(tx, &schema.Event{EventId: "2021", Severity: "info"}); err != nil {
				return err
			}
		}
		return nil
	})
	if got := due(); got != 125*time.Second {
		t.Errorf("a full message is due at %s", got)
	}
}

// TestRetentionOfNotices: an event stays while a notice of it waits.
func TestRetentionOfNotices(t *testing.T) {
	c := noticeCluster(t, doc("Receiver", "j", `{'kind':'journald','groups':['web']}`), doc("Settings", "cluster", `{'max_events':5}`))
	c.Do(logged("web", "info"))
	event := notices(c.Store().View(), "j", schema.NoticeWaiting)[0].Event
	for range 20 {
		c.Do(logged("db", "info"))
	}
	retain := func() {
		for more := true; more; {
			c.Do(func(tx *fsm.Tx) (err error) { more, err = fsm.Retain(tx); return err })
		}
	}
	retain()
	v := c.Store().View()
	if _, ok := fsm.Events.Get(v, fsm.NumberKey(event)); !ok || fsm.Events.Len(v) != 6 {
		t.Errorf("%d events are kept; that of the notice: %t", fsm.Events.Len(v), ok)
	}
	c.Do(func(tx *fsm.Tx) error { _, err := fsm.BeginSending(tx, "j"); return err })
	c.Do(func(tx *fsm.Tx) error { return fsm.EndSending(tx, "j", "") })
	retain()
	if n := fsm.Events.Len(c.Store().View()); n != 5 {
		t.Errorf("%d events are kept", n)
	}
}

func TestReceiverTest(t *testing.T) {
	c := noticeCluster(t, doc("Receiver", "m", `{`+mailSpec+`,'min_severity':'error','bundle_seconds':3600}`), doc("Receiver", "j", `{'kind':'journald'}`), doc("Receiver", "off", `{'kind':'journald','disabled':true}`))
	id := ""
	c.Do(func(tx *fsm.Tx) (err error) { id, err = fsm.TestReceiver(tx, "m"); return err })
	v := c.Store().View()
	n, ok := fsm.Notices.Get(v, fsm.NumberKey(id))
	if !ok || n.Receiver != "m" || receiverRow(t, v, "m").Next.AsTime().After(time.Now()) || receiverRow(t, v, "j").Waiting != 0 {
		t.Errorf("%v, %v", n, receiverRow(t, v, "m"))
	}
	for name, want := range map[string]schema.Kind{"off": schema.KindConflict, "nobody": schema.KindNotFound} {
		if _, err := c.Try(func(tx *fsm.Tx) error { _, err := fsm.TestReceiver(tx, name); return err }); schema.KindOf(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
