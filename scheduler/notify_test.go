package scheduler_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/mail"
	"yagura/drivers/mail/mailtest"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

// post is the way to receivers: real mail servers, and others that a test makes up.
type post struct {
	store *fsm.Store
	cas   *x509.CertPool
	mails map[string]*mailtest.Server
	other map[string]drivers.Notifier
}

func (p post) Notifier(_ context.Context, name string) (drivers.Notifier, error) {
	if n := p.other[name]; n != nil {
		return n, nil
	}
	r, ok := fsm.Receivers.Get(p.store.View(), name)
	if !ok {
		return nil, errors.New("there is no such receiver")
	}
	password, err := p.store.Sealer().Open(r.Password)
	if err != nil {
		return nil, err
	}
	return mail.Open(mail.Config{
		Name: name, Address: p.mails[name].Address, TLS: r.Tls, CAs: p.cas, User: r.User, Password: string(password), From: r.From, To: r.To,
	})
}

// notifyRig is a rig with a post; mails are its mail servers.
func notifyRig(t *testing.T, mails map[string]mailtest.Config, other map[string]drivers.Notifier) (*schedulertest.Rig, post) {
	t.Helper()
	var conf *tls.Config
	p := post{mails: map[string]*mailtest.Server{}, other: other}
	conf, p.cas = drivertest.ServerTLS(t)
	for name, cfg := range mails {
		p.mails[name] = mailtest.Start(t, cfg, conf)
	}
	r := schedulertest.New(t)
	p.store = r.Cluster.Store()
	r.Notifiers = p
	for name, cfg := range mails {
		login := ""
		if cfg.User != "" {
			login = fmt.Sprintf(`,"user":%q,"password":"s3cret"`, cfg.User)
		}
		applyReceiver(r, name, `{"kind":"mail","address":"mail.example","from":"pvm@example.com","to":["ops@example.com"],"min_severity":"info"`+login+`}`)
	}
	for name := range other {
		applyReceiver(r, name, `{"kind":"webhook","address":"https://hook.example","min_severity":"info"}`)
	}
	return r, p
}

func applyReceiver(r *schedulertest.Rig, name, spec string) {
	r.Cluster.Do(func(tx *fsm.Tx) error {
		_, err := fsm.ApplyDocuments(tx, []fsm.Document{{Kind: "Receiver", Name: name, Spec: []byte(spec)}})
		return err
	})
}

// logEntries writes n entries of the event log, a tenth of them failures.
func logEntries(r *schedulertest.Rig, n int) {
	r.Cluster.Do(func(tx *fsm.Tx) error {
		for i := range n {
			e := &schema.Event{EventId: "2021", Severity: "info", Operation: "startup-machine", Phase: "started", Text: "Start of a machine: started", Target: fmt.Sprintf("vm%d", i)}
			if i%10 == 0 {
				e.EventId, e.Severity, e.Phase, e.Text = "2023", "warning", "failed", "Start of a machine: failed"
			}
			if err := fsm.LogEvent(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func receiver(v fsm.Reader, name string) *schema.Receiver {
	r, _ := fsm.Receivers.Get(v, name)
	return r
}

// sentAll waits until nothing waits for a receiver.
func sentAll(r *schedulertest.Rig, name string) *schema.Receiver {
	r.T.Helper()
	r.Until("all notices to be sent to "+name, func(v *fsm.View) bool { return receiver(v, name).Waiting == 0 })
	return receiver(r.Rows(), name)
}

// TestStormIsOneMail: a thousand entries are one mail with exact counts.
func TestStormIsOneMail(t *testing.T) {
	r, p := notifyRig(t, map[string]mailtest.Config{"oncall": {User: "pvm", Password: "s3cret"}}, nil)
	r.Start()
	logEntries(r, 1000)
	row := sentAll(r, "oncall")
	mails := p.mails["oncall"].Mails()
	if len(mails) != 1 || row.Sent != 1000 || row.Lost != 0 || row.Error != "" {
		t.Fatalf("%d mails, %v", len(mails), row)
	}
	m := mails[0]
	if m.Subject != "[Yagura] 1000 entries: 0 error, 100 warning, 900 information" || m.ID != "test-1" || m.Header.Get("X-Yagura-Count") != "0 error, 100 warning, 900 info" {
		t.Errorf("%q %q %q", m.Subject, m.ID, m.Header.Get("X-Yagura-Count"))
	}
	for _, want := range []string{"     900  PVM[2021] information Start of a machine: started\n", "     100  PVM[2023] warning Start of a machine: failed\n"} {
		if !strings.Contains(m.Body, want) {
			t.Errorf("no %q in\n%s", want, m.Body)
		}
	}
	for n := range fsm.Notices.All(r.Rows()) {
		if n.State != schema.NoticeSent || n.Message != "test-1" || n.Attempts != 1 {
			t.Fatalf("%v", n)
		}
	}
}

// TestMailTellsHowSevereTheThingsAre: the report of a fault is an information in
// the event log, but whoever is woken by the mail reads that it tells of an error.
func TestMailTellsHowSevereTheThingsAre(t *testing.T) {
	r, p := notifyRig(t, map[string]mailtest.Config{"oncall": {}}, nil)
	r.Start()
	r.Cluster.Do(func(tx *fsm.Tx) error {
		for _, about := range []string{"error", "info"} {
			e := &schema.Event{EventId: "502", Severity: "info", Operation: "policy-action", Phase: "completed", Text: "Failover: completed", Target: "esx" + about}
			if err := fsm.LogEventAbout(tx, e, about); err != nil {
				return err
			}
		}
		return nil
	})
	sentAll(r, "oncall")
	m := p.mails["oncall"].Mails()[0]
	if m.Subject != "[Yagura] 2 entries: 1 error, 0 warning, 1 information" || m.Header.Get("X-Yagura-Count") != "1 error, 0 warning, 1 info" {
		t.Errorf("%q %q", m.Subject, m.Header.Get("X-Yagura-Count"))
	}
	if e, _ := fsm.Events.Last(r.Rows()); e.Severity != "info" {
		t.Errorf("the entry itself has become %s", e.Severity)
	}
}

// TestLeaderDiesBetweenSendAndMark: the next leader sends the same message with
// the same id, although more has come since, and that comes by itself.
func TestLeaderDiesBetweenSendAndMark(t *testing.T) {
	r, p := notifyRig(t, map[string]mailtest.Config{"oncall": {}}, nil)
	s := p.mails["oncall"]
	var once sync.Once
	s.OnTaken(func() { once.Do(r.Kill) })
	r.Start()
	logEntries(r, 20)
	r.Until("the first mail", func(*fsm.View) bool { return len(s.Mails()) == 1 })
	if row := receiver(r.Rows(), "oncall"); row.Waiting != 20 || row.Sending == nil {
		t.Fatalf("the mark was written: %v", row)
	}
	r.Start()
	logEntries(r, 5)
	if row := sentAll(r, "oncall"); row.Sent != 25 {
		t.Errorf("%v", row)
	}
	mails := s.Mails()
	if len(mails) != 3 {
		t.Fatalf("%d mails", len(mails))
	}
	if mails[0].ID != mails[1].ID || mails[0].Body != mails[1].Body {
		t.Errorf("the duplicate can't be told: %q and %q", mails[0].ID, mails[1].ID)
	}
	if mails[2].ID == mails[0].ID || !strings.HasPrefix(mails[2].Subject, "[Yagura] 5 entries") {
		t.Errorf("%q %q", mails[2].ID, mails[2].Subject)
	}
}

// TestWrongPasswordIsVisible: get receiver says what is wrong, without the
// password, and what waited is sent once it is put right.
func TestWrongPasswordIsVisible(t *testing.T) {
	r, p := notifyRig(t, map[string]mailtest.Config{"oncall": {User: "pvm", Password: "another"}}, nil)
	r.Start()
	logEntries(r, 1)
	r.Until("an error", func(v *fsm.View) bool { return receiver(v, "oncall").Error != "" })
	o, err := fsm.GetObject(r.Rows(), "Receiver", "oncall")
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprint(o.Row, string(o.Spec))
	if row := receiver(r.Rows(), "oncall"); !strings.Contains(row.Error, "535") || row.LastFailure == nil || strings.Contains(shown, "s3cret") || !o.Row.(*schema.Receiver).PasswordSet {
		t.Errorf("%s", shown)
	}
	applyReceiver(r, "oncall", `{"password":"another"}`)
	if row := sentAll(r, "oncall"); row.Error != "" || row.LastSuccess == nil || row.Sent != 1 || row.Lost != 0 || len(p.mails["oncall"].Mails()) != 1 {
		t.Errorf("%v", row)
	}
}

// stub is a receiver as a test wants it.
type stub func(ctx context.Context, m drivers.Message) ([]string, error)

func (s stub) Notify(ctx context.Context, m drivers.Message) ([]string, error) { return s(ctx, m) }

func fails(kind drivers.Kind) stub {
	return func(context.Context, drivers.Message) ([]string, error) {
		return nil, &drivers.Error{Kind: kind, System: "hook", Op: "post", Object: "hook.example", Err: errors.New("out of order")}
	}
}

// TestHangingReceiverHoldsUpNoOther, and the end of a term ends the attempt.
func TestHangingReceiverHoldsUpNoOther(t *testing.T) {
	hangs := make(chan struct{})
	var once sync.Once
	hung := stub(func(ctx context.Context, _ drivers.Message) ([]string, error) {
		once.Do(func() { close(hangs) })
		<-ctx.Done()
		return nil, &drivers.Error{Kind: drivers.KindUnknown, System: "hook", Op: "post", Object: "x", Err: ctx.Err()}
	})
	r, p := notifyRig(t, map[string]mailtest.Config{"oncall": {}}, map[string]drivers.Notifier{"hook": hung})
	r.Start()
	logEntries(r, 3)
	r.Until("the attempt", func(*fsm.View) bool {
		select {
		case <-hangs:
			return true
		default:
			return false
		}
	})
	sentAll(r, "oncall")
	if len(p.mails["oncall"].Mails()) != 1 || receiver(r.Rows(), "hook").Waiting != 3 {
		t.Errorf("%v", receiver(r.Rows(), "hook"))
	}
	r.Stop()
	if row := receiver(r.Rows(), "hook"); row.Sending == nil || row.Sending.Attempts != 0 {
		t.Errorf("an attempt that the end of the term cut off counts: %v", row)
	}
}

// TestGivesUpAfterADay: attempts back off, and what nobody takes for a day is
// lost, counted, and told of in the event log to the others.
func TestGivesUpAfterADay(t *testing.T) {
	for kind, bound := range map[drivers.Kind][2]time.Duration{
		drivers.KindUnreachable: {24 * time.Hour, 25 * time.Hour},
		drivers.KindRefused:     {time.Hour, 2 * time.Hour},
	} {
		t.Run(string(kind), func(t *testing.T) {
			r, p := notifyRig(t, map[string]mailtest.Config{"oncall": {}}, map[string]drivers.Notifier{"hook": fails(kind)})
			r.Start()
			logEntries(r, 1)
			begun := r.Clock.Now()
			sentAll(r, "hook")
			took := r.Clock.Now().Sub(begun)
			row := receiver(r.Rows(), "hook")
			if took < bound[0] || took > bound[1] || row.Lost != 1 || row.Sent != 0 || !strings.Contains(row.Error, "out of order") {
				t.Errorf("after %s: %v", took, row)
			}
			var lost *schema.Notice
			for n := range fsm.Notices.All(r.Rows()) {
				if n.Receiver == "hook" && n.State == schema.NoticeLost {
					lost = n
				}
			}
			// 1, 2, 4 ... s up to 5 minutes: some 300 attempts a day.
			if lost == nil || lost.Attempts > int32(bound[1]/(5*time.Minute))+10 || lost.Attempts < int32(bound[0]/(5*time.Minute)) {
				t.Errorf("%v", lost)
			}
			sentAll(r, "oncall")
			if !slices.ContainsFunc(p.mails["oncall"].Mails(), func(m mailtest.Mail) bool { return strings.Contains(m.Body, "receiver hook: 1 notices were given up") }) {
				t.Error("nobody was told of the loss")
			}
		})
	}
}

// TestRefusedAddress: the others have the mail, and the receiver shows who has not.
func TestRefusedAddress(t *testing.T) {
	r, p := notifyRig(t, map[string]mailtest.Config{"oncall": {Refuse: []string{"gone@example.com"}}}, nil)
	applyReceiver(r, "oncall", `{"to":["ops@example.com","gone@example.com"]}`)
	r.Start()
	logEntries(r, 1)
	row := sentAll(r, "oncall")
	if row.Sent != 1 || !strings.Contains(row.Error, "gone@example.com") || len(p.mails["oncall"].Mails()) != 1 {
		t.Errorf("%v, %d mails", row, len(p.mails["oncall"].Mails()))
	}
}

// TestDeferredAddressIsTriedAlone: who has the mail doesn't get it again.
func TestDeferredAddressIsTriedAlone(t *testing.T) {
	var mu sync.Mutex
	var asked [][]string
	some := stub(func(_ context.Context, m drivers.Message) ([]string, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, m.Done)
		if len(asked) < 3 {
			return []string{"a@example.com"}, &drivers.Error{Kind: drivers.KindBusy, System: "hook", Op: "mail", Object: "b@example.com", Err: errors.New("later")}
		}
		return []string{"b@example.com"}, nil
	})
	r, _ := notifyRig(t, nil, map[string]drivers.Notifier{"hook": some})
	r.Start()
	logEntries(r, 1)
	if row := sentAll(r, "hook"); row.Sent != 1 || row.Error != "" {
		t.Errorf("%v", row)
	}
	if want := [][]string{nil, {"a@example.com"}, {"a@example.com"}}; !slices.EqualFunc(asked, want, slices.Equal) {
		t.Errorf("those who have it were %v, want %v", asked, want)
	}
}

// TestLanguage: each receiver is told in its language, and a policy's
// notification counts by the severity of its event.
func TestLanguage(t *testing.T) {
	r, p := notifyRig(t, map[string]mailtest.Config{"oncall": {}, "tokyo": {}}, nil)
	applyReceiver(r, "oncall", `{"min_severity":"error"}`)
	applyReceiver(r, "tokyo", `{"language":"ja","min_severity":"error"}`)
	vmsPolicy(t, r, 0)
	r.Start()
	record(t, r, "n1", trap(1, inaccessible, "esx02", r.Clock.Now()))
	r.Until("the notices", func(v *fsm.View) bool { return receiver(v, "oncall").Sent > 0 && receiver(v, "tokyo").Sent > 0 })
	en, ja := p.mails["oncall"].Mails()[0], p.mails["tokyo"].Mails()[0]
	if !strings.Contains(en.Body, "ESMDSVNT[0xC0000002]") || !strings.Contains(ja.Body, "通報アクションを持つポリシーの対象イベントが届きました") {
		t.Errorf("%s\n%s", en.Body, ja.Body)
	}
}
