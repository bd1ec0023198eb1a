package fsm_test

import (
	"fmt"
	"strings"
	"testing"

	"yagura/fsm"
	"yagura/fsm/schema"
)

func receiverRow(t *testing.T, r fsm.Reader, name string) *schema.Receiver {
	t.Helper()
	row, ok := fsm.Receivers.Get(r, name)
	if !ok {
		t.Fatalf("there is no receiver %s", name)
	}
	return row
}

const mailSpec = `'kind':'mail','address':'mail.example.com','from':'pvm@example.com','to':['ops@example.com']`

func TestReceiverDefaults(t *testing.T) {
	c := bootstrapped(t)
	apply(t, c,
		doc("Receiver", "m", `{`+mailSpec+`}`), doc("Receiver", "j", `{'kind':'journald'}`),
		doc("Receiver", "s", `{'kind':'syslog','address':'tls://logs.example.com'}`), doc("Receiver", "w", `{'kind':'webhook','address':'https://hook.example.com/x?y=1','password':'k3y'}`))
	v := c.Store().View()
	if m := receiverRow(t, v, "m"); m.Tls != schema.MailStartTLS || m.Language != "en" || m.MinSeverity != "warning" || m.BundleSeconds != schema.DefaultBundleSeconds {
		t.Errorf("%v", m)
	}
	if j := receiverRow(t, v, "j"); j.Address != schema.JournalSocket || j.MinSeverity != "info" {
		t.Errorf("%v", j)
	}
	w := receiverRow(t, v, "w")
	if plain, err := c.Store().Sealer().Open(w.Password); err != nil || string(plain) != "k3y" || strings.Contains(string(w.Password), "k3y") {
		t.Errorf("the key is kept as %q, %v", w.Password, err)
	}
	o, err := fsm.GetObject(v, "receiver", "w")
	if err != nil || strings.Contains(string(o.Spec), "k3y") || len(o.Row.(*schema.Receiver).Password) > 0 || !o.Row.(*schema.Receiver).PasswordSet {
		t.Errorf("%s %v %v", o.Spec, o.Row, err)
	}
	// What was set to 0 stays so when another field changes.
	apply(t, c, doc("Receiver", "m", `{'bundle_seconds':0}`))
	apply(t, c, doc("Receiver", "m", `{'language':'ja'}`))
	if m := receiverRow(t, c.Store().View(), "m"); m.BundleSeconds != 0 || m.Language != "ja" {
		t.Errorf("%v", m)
	}
}

// TestBadReceiversAreRefused at apply, with the field, and change nothing.
func TestBadReceiversAreRefused(t *testing.T) {
	c := bootstrapped(t)
	long := strings.Repeat("x", 300)
	for spec, want := range map[string]string{
		`'kind':'pager'`: "kind",
		`'kind':'mail','from':'pvm@example.com','to':['a@b.c']`:                          "address",
		`'kind':'mail','address':'https://mail','from':'pvm@example.com','to':['a@b.c']`: "address",
		`'kind':'mail','address':'mail:0','from':'pvm@example.com','to':['a@b.c']`:       "address",
		`'kind':'mail','address':'mail','from':'pvm@example.com'`:                        "to has 0",
		`'kind':'mail','address':'mail','from':'pvm','to':['a@b.c']`:                     "from",
		`'kind':'mail','address':'mail','from':'pvm@x','to':['Ops <a@b.c>']`:             "to[0]",
		`'kind':'mail','address':'mail','from':'pvm@x','to':['a@b.c','x@y\nBcc: z@w']`:   "to[1]",
		`'kind':'mail','address':'mail','from':'pvm@x','to':['a@b.c','a@b.c']`:           "twice",
		`'kind':'mail','address':'mail','from':'pvm@x','to':['` + long + `@b.c']`:        "to[0]",
		mailSpec + `,'tls':'none','user':'u','password':'p'`:                             "tls is none",
		mailSpec + `,'user':'u'`:                                            "one is missing",
		mailSpec + `,'tls':'maybe'`:                                         "tls",
		mailSpec + `,'language':'fr'`:                                       "language",
		mailSpec + `,'min_severity':'fatal'`:                                "min_severity",
		mailSpec + `,'bundle_seconds':-1`:                                   "bundle_seconds",
		mailSpec + `,'groups':['nowhere']`:                                  "groups[0]",
		mailSpec + `,'categories':['nowhere']`:                              "categories[0]",
		mailSpec + `,'ca':'no pem'`:                                         "ca",
		mailSpec + `,'waiting':0`:                                           "waiting",
		`'kind':'syslog','address':'logs.example.com'`:                      "udp://",
		`'kind':'syslog','address':'udp://u:p@logs'`:                        "udp://",
		`'kind':'syslog','address':'tcp://logs/path'`:                       "udp://",
		`'kind':'syslog','address':'udp://logs','to':['a@b.c']`:             "to is for",
		`'kind':'syslog','address':'udp://logs','bundle_seconds':5`:         "bundle_seconds is for",
		`'kind':'journald','address':'run/socket'`:                          "socket",
		`'kind':'journald','password':'x'`:                                  "password is for",
		`'kind':'snmp'`:                                                     "address",
		`'kind':'snmp','address':'udp://console'`:                           "HOST:PORT",
		`'kind':'snmp','address':'console','version':'v3'`:                  "version",
		`'kind':'snmp','address':'console','min_severity':'info'`:           "min_severity is for",
		`'kind':'snmp','address':'console','groups':['web']`:                "groups is for",
		`'kind':'journald','version':'v1'`:                                  "version is for",
		`'kind':'webhook','address':'http://hook.example.com'`:              "https://",
		`'kind':'webhook','address':'https://user:secret@hook.example.com'`: "user or a password",
	} {
		before := c.Store().View().Digest()
		_, err := c.Try(func(tx *fsm.Tx) error {
			_, err := fsm.ApplyDocuments(tx, []fsm.Document{doc("Receiver", "r", `{`+spec+`}`)})
			return err
		})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: %v, want something about %q", spec, err, want)
		}
		if c.Store().View().Digest() != before {
			t.Errorf("%s has changed something", spec)
		}
	}
}

// TestSNMPReceiver gets no notices and isn't tested.
func TestSNMPReceiver(t *testing.T) {
	c := bootstrapped(t)
	apply(t, c, doc("Receiver", "console", `{'kind':'snmp','address':'console.example.com:162','password':'c0mmunity'}`), doc("Receiver", "j", `{'kind':'journald'}`))
	r := receiverRow(t, c.Store().View(), "console")
	if plain, err := c.Store().Sealer().Open(r.Password); err != nil || string(plain) != "c0mmunity" || r.Version != schema.ForwardAsReceived || r.MinSeverity != "" {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := c.Try(func(tx *fsm.Tx) error { _, err := fsm.TestReceiver(tx, "console"); return err }); schema.KindOf(err) != schema.KindConflict {
		t.Errorf("test: %v", err)
	}
	c.Do(logged("", "error"))
	if n, m := receiverRow(t, c.Store().View(), "console").Waiting, receiverRow(t, c.Store().View(), "j").Waiting; n != 0 || m != 1 {
		t.Errorf("%d notices wait for the console, %d for the journal", n, m)
	}
	_, err := c.Try(func(tx *fsm.Tx) error {
		_, err := fsm.ApplyDocuments(tx, []fsm.Document{doc("Receiver", "j", `{'kind':'snmp','address':'console'}`)})
		return err
	})
	if schema.KindOf(err) != schema.KindConflict {
		t.Errorf("j became an SNMP receiver: %v", err)
	}
}

func TestReceiversAreBounded(t *testing.T) {
	c := bootstrapped(t)
	var docs []fsm.Document
	for i := range 51 {
		docs = append(docs, doc("Receiver", fmt.Sprintf("j%d", i), `{'kind':'journald'}`))
	}
	apply(t, c, docs[:50]...)
	if _, err := c.Try(func(tx *fsm.Tx) error { _, err := fsm.ApplyDocuments(tx, docs[50:]); return err }); schema.KindOf(err) != schema.KindTooLarge {
		t.Error(err)
	}
}
