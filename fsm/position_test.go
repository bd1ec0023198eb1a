package fsm_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// historyRig is a subsystem vc1 with VM server esx77 and VM vm77, whose clock is
// an hour behind ours. An hour after the start it is now.
type historyRig struct {
	*fsmtest.Cluster
	t     *testing.T
	start time.Time // by its clock
}

func newHistoryRig(t *testing.T) *historyRig {
	c := demo(t)
	r := &historyRig{Cluster: c, t: t, start: time.Now().Add(-2 * time.Hour).Truncate(time.Second)}
	c.Do(func(tx *fsm.Tx) error {
		_, err := fsm.Collected(tx, "vc1", []*schema.Machine{
			{Name: "esx77", Uuid: "00000000-0000-0000-0007-000000000001", Kind: schema.MachineVMServer, Power: schema.PowerOn, Connected: true},
			{Name: "vm77", Uuid: "00000000-0000-0000-0007-000000000002", Kind: schema.MachineVM, Power: schema.PowerOn, Connected: true},
		}, fsm.Partial)
		return err
	})
	return r
}

// event is an event of a VM's alarm, so many seconds after the start.
func (r *historyRig) event(key int64, seconds float64) fsm.HistoryEvent {
	at := r.start.Add(time.Duration(seconds * float64(time.Second)))
	return fsm.HistoryEvent{Key: key, Time: at, Event: &schema.Event{
		Notifier: schema.NotifierVMware, Source: "Own alarm", EventId: fmt.Sprintf("Alarm Own alarm %d on VM changed from green to yellow", key), Target: "vm77",
		Received: timestamppb.New(at.Add(time.Hour)),
	}}
}

func (r *historyRig) follow(key int64, seconds float64, identity string) *schema.Position {
	r.t.Helper()
	var p *schema.Position
	r.Do(func(tx *fsm.Tx) (err error) {
		p, err = fsm.FollowHistory(tx, "vc1", fsm.History{Identity: identity, Key: key, Time: r.start.Add(time.Duration(seconds) * time.Second)})
		return err
	})
	return p
}

func (r *historyRig) take(events ...fsm.HistoryEvent) (n int) {
	r.t.Helper()
	r.Do(func(tx *fsm.Tx) (err error) {
		n, err = fsm.TakeHistory(tx, "vc1", events)
		return err
	})
	return n
}

// recorded are the keys of the events on record, in order.
func (r *historyRig) recorded() string {
	var out []string
	for e := range fsm.Events.All(r.Store().View()) {
		if e.Notifier == schema.NotifierVMware {
			out = append(out, strings.Fields(e.EventId)[3])
			if e.Count != 1 || e.Target != "vm77" || e.From != "vc1" {
				r.t.Errorf("recorded is %v", e)
			}
		}
	}
	return strings.Join(out, " ")
}

// log are our own entries that tell of the history.
func (r *historyRig) log() (out []string) {
	for e := range fsm.Events.All(r.Store().View()) {
		if e.Notifier == schema.NotifierPVM && strings.HasPrefix(e.Text, "events of subsystem") {
			out = append(out, e.Severity+": "+e.Text)
		}
	}
	return out
}

func TestHistoryIsTakenOnce(t *testing.T) {
	r := newHistoryRig(t)
	if _, err := r.Try(func(tx *fsm.Tx) error {
		_, err := fsm.TakeHistory(tx, "vc1", []fsm.HistoryEvent{r.event(1, 0)})
		return err
	}); schema.KindOf(err) != schema.KindConflict {
		t.Fatalf("taken without a position: %v", err)
	}
	r.follow(4, 0, "h")
	for _, c := range []struct {
		events []fsm.HistoryEvent
		taken  int
	}{
		{[]fsm.HistoryEvent{r.event(3, 0), r.event(4, 0), r.event(5, 1), r.event(9, 2)}, 2},    // 3 and 4 are of the past
		{[]fsm.HistoryEvent{r.event(5, 1), r.event(7, 1.5), r.event(9, 2), r.event(12, 3)}, 2}, // 7 comes late
		{[]fsm.HistoryEvent{r.event(5, 1), r.event(7, 1.5), r.event(9, 2), r.event(12, 3)}, 0},
		{[]fsm.HistoryEvent{r.event(13, 3), r.event(14, 3), r.event(15, 3)}, 3}, // of one moment
		{[]fsm.HistoryEvent{r.event(13, 3), r.event(14, 3), r.event(15, 3), r.event(16, 3)}, 1},
	} {
		if n := r.take(c.events...); n != c.taken {
			t.Errorf("of %v %d were taken, want %d", c.events, n, c.taken)
		}
	}
	if got, want := r.recorded(), "5 9 7 12 13 14 15 16"; got != want {
		t.Errorf("recorded are %s, want %s", got, want)
	}
	r.follow(16, 3, "h") // another leader
	if n := r.take(r.event(16, 3), r.event(17, 3)); n != 1 {
		t.Errorf("after another leader began %d were taken, want 1", n)
	}
	if l := r.log(); len(l) != 1 || !strings.Contains(l[0], "info: events of subsystem vc1 are followed from now on") {
		t.Errorf("the log says %q", l)
	}
	o, err := fsm.GetObject(r.Store().View(), "subsystem", "vc1")
	if h := o.Row.(*schema.Subsystem).GetEvents(); err != nil || h.GetRecorded() != 9 || h.GetKey() != 17 || h.GetNote() != "" || h.GetError() != "" {
		t.Errorf("the subsystem shows %v, %v", h, err)
	}
}

// The position stays small, whatever comes.
func TestPositionIsBounded(t *testing.T) {
	r := newHistoryRig(t)
	r.follow(0, 0, "h")
	var all []fsm.HistoryEvent
	for i := range 1000 {
		all = append(all, r.event(int64(2*i+1), float64(i)/100))
	}
	for page := range 40 {
		if n := r.take(all[25*page : 25*page+25]...); n != 25 {
			t.Fatalf("of page %d %d events were taken", page, n)
		}
	}
	if n := r.take(all...); n != 0 {
		t.Errorf("read again, %d were taken", n)
	}
	p, _ := fsm.Positions.Get(r.Store().View(), "vc1")
	if len(p.Taken) != 256 || p.Floor != 1999-512 || p.Events != 1000 {
		t.Errorf("the position has %d keys above %d, and %d events", len(p.Taken), p.Floor, p.Events)
	}
}

func TestHistoryThatBeganAnew(t *testing.T) {
	for _, c := range []struct {
		name    string
		restart func(r *historyRig)
		want    string
		log     string
	}{
		{"the keys went back, the times go on", func(r *historyRig) {
			r.follow(3, 20, "h")
			r.take(r.event(1, 9), r.event(2, 15), r.event(3, 20), r.event(4, 21)) // 1 was taken as 101, before
			r.take(r.event(2, 15), r.event(4, 21), r.event(5, 21))
		}, "101 102 2 3 4 5", "went back from 102 to 3"},
		{"keys and times went back", func(r *historyRig) {
			r.follow(3, 2, "h")
			r.take(r.event(3, 2), r.event(4, 3))
		}, "101 102 4", "at its end: what happened meanwhile is not read"},
		{"another identity with higher keys", func(r *historyRig) {
			r.follow(500, 20, "other")
			r.take(r.event(499, 9), r.event(500, 20), r.event(501, 21))
		}, "101 102 500 501", "another history"},
		{"while it is followed", func(r *historyRig) {
			r.take(r.event(2, 100), r.event(3, 101))
			r.take(r.event(2, 100), r.event(3, 101), r.event(4, 101))
		}, "101 102 2 3 4", "the number 2 of an event has come again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newHistoryRig(t)
			r.follow(100, 0, "h")
			r.take(r.event(101, 9), r.event(102, 10))
			c.restart(r)
			if got := r.recorded(); got != c.want {
				t.Errorf("recorded are %s, want %s", got, c.want)
			}
			p, _ := fsm.Positions.Get(r.Store().View(), "vc1")
			if l := r.log(); len(l) != 2 || !strings.HasPrefix(l[1], "warning") || !strings.Contains(l[1], c.log) || !strings.Contains(l[1], p.Note) || p.Note == "" {
				t.Errorf("the log says %q, the position %q", l, p.Note)
			}
		})
	}
}

func TestHistoryErrorsAreSeen(t *testing.T) {
	r := newHistoryRig(t)
	show := func() string {
		o, err := fsm.GetObject(r.Store().View(), "subsystem", "vc1")
		if err != nil {
			t.Fatal(err)
		}
		return o.Row.(*schema.Subsystem).GetEvents().GetError()
	}
	fail := func(tx *fsm.Tx) error { return fsm.HistoryFailed(tx, "vc1", "no contact") }
	r.Do(fail) // never read: nothing to note it at
	r.follow(0, 0, "h")
	r.Do(fail)
	if got := show(); got != "no contact" {
		t.Errorf("the subsystem shows %q", got)
	}
	if r.follow(0, 0, "h"); show() != "" {
		t.Errorf("after contact it still shows %q", show())
	}
	if _, err := r.Try(func(tx *fsm.Tx) error {
		_, err := fsm.FollowHistory(tx, "vc9", fsm.History{})
		return err
	}); schema.KindOf(err) != schema.KindNotFound {
		t.Errorf("an unknown subsystem: %v", err)
	}
}

// A VM of another subsystem, or a machine by hand, may have the name of an object.
func TestHistoryIsAboutItsOwnMachines(t *testing.T) {
	r := newHistoryRig(t)
	r.Do(func(tx *fsm.Tx) error {
		if err := fsm.Subsystems.Put(tx, &schema.Subsystem{Name: "vc2", Kind: "vcenter", Address: "https://h/sdk"}); err != nil {
			return err
		}
		_, err := fsm.FollowHistory(tx, "vc2", fsm.History{Identity: "h", Time: r.start})
		if err == nil {
			_, err = fsm.TakeHistory(tx, "vc2", []fsm.HistoryEvent{r.event(1, 0)})
		}
		return err
	})
	e, _ := fsm.Events.Last(r.Store().View())
	if e.Target != "" || e.TargetHint != "vc2/vm77" || e.From != "vc2" {
		t.Errorf("the event is %v", e)
	}
	r.Do(func(tx *fsm.Tx) error { return fsm.Unset(tx, "Subsystem", "vc2") })
	if _, ok := fsm.Positions.Get(r.Store().View(), "vc2"); ok {
		t.Errorf("the position of a subsystem that is gone stays")
	}
}

// One loss of a VM server is one event, by whichever way and in whichever order it
// is told.
func TestOneEventForOneLoss(t *testing.T) {
	alarm := func(from, to string) string { return catalog.AlarmText(fsm.AlarmConnection, "VMS", from, to) }
	const lost, disconnected, connected = "lost", "disconnected", "connected"
	type news struct {
		seconds float64 // after the start; negative: told by the inventory, now
		what    string
	}
	now := func(what string) news { return news{-1, what} }
	for _, c := range []struct {
		name string
		news []news
		want string // "id xCOUNT state" without the common words
	}{
		{"event, alarm, inventory", []news{{3590, lost}, {3590.5, "green red"}, now(lost)}, "green red x3 new"},
		{"inventory, event, alarm", []news{now(lost), {3590, lost}, {3590.5, "green red"}}, "green red x3 new"},
		{"an alarm from gray is the same loss", []news{now(lost), {3599, "gray red"}}, "green red x2 new"},
		{"back again", []news{now(lost), {3599, lost}, {3599.5, "green red"}, now(connected)}, "green red x3 new, red green x1 new"},
		{"a deliberate disconnection is its own", []news{{3500, disconnected}, {3501, "green gray"}, {3550, connected}, {3551, "gray green"}},
			"green gray x2 new, gray green x2 new"},
		{"a new VM server", []news{{3000, connected}}, ""},
		{"read late: nothing of before is acted on", []news{now(lost), {600, "green red"}, {900, "red green"}, {1500, "green red"}},
			"green red x3 new, red green x1 handled"},
		{"read late, before the inventory", []news{{600, "green red"}, {900, "red green"}, {1500, "green red"}, now(lost)},
			"green red x1 new, red green x1 new, green red x2 new"},
		{"each change of the alarm", []news{{10, "gray green"}, {20, "gray red"}, {30, "green gray"}, {40, "green red"}, {50, "red gray"}, {60, "red green"}},
			"gray green x1 new, gray red x1 new, green gray x1 new, green red x1 new, red gray x1 new, red green x1 new"},
		{"dead again, much later", []news{{10, "green red"}, {600, "red green"}, {1200, "green red"}}, "green red x1 new, red green x1 new, green red x1 new"},
		{"a recovery that nobody told", []news{{10, "green red"}, {1200, "green red"}}, "green red x1 new, green red x1 new"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newHistoryRig(t)
			r.follow(0, 0, "h")
			for i, n := range c.news {
				colour := map[string]string{lost: fsm.ColourRed, disconnected: fsm.ColourGray, connected: fsm.ColourGreen}[n.what]
				if n.seconds < 0 {
					r.Do(func(tx *fsm.Tx) error { return fsm.RaiseConnection(tx, &schema.Event{Target: "esx77"}, colour) })
					continue
				}
				e := r.event(int64(i+1), n.seconds)
				e.Connection, e.Event.EventId, e.Event.Target = colour, "", "esx77"
				if from, to, ok := strings.Cut(n.what, " "); ok {
					e.Connection, e.Event.EventId = to, alarm(from, to)
				}
				r.take(e)
			}
			var got []string
			for e := range fsm.Events.All(r.Store().View()) {
				if e.Notifier == schema.NotifierVMware {
					words := strings.Fields(strings.TrimPrefix(e.EventId, "Alarm Host connection state on VMS changed from "))
					got = append(got, fmt.Sprintf("%s %s x%d %s", words[0], words[2], e.Count, e.State))
					if e.Target != "esx77" || (e.State == schema.EventHandled) != (e.Reason != "") {
						t.Errorf("%v", e)
					}
				}
			}
			if s := strings.Join(got, ", "); s != c.want {
				t.Errorf("recorded are %s\nwant %s", s, c.want)
			}
		})
	}
}
