package bigip

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
)

func (b *device) config() Config {
	cas := x509.NewCertPool()
	cas.AddCert(b.srv.Certificate())
	return Config{Name: "lb1", URL: b.srv.URL, User: user, Password: password, CAs: cas}
}

func open(t *testing.T, cfg Config) *Driver {
	t.Helper()
	d, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// with runs f on the device's state.
func (b *device) with(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func TestBalancerConformance(t *testing.T) {
	for _, auth := range []string{authToken, authBasic} {
		t.Run(auth, func(t *testing.T) {
			drivertest.RunBalancer(t, func(t *testing.T) drivertest.BalancerWorld {
				b := newDevice(t)
				return drivertest.BalancerWorld{
					Open: func(t *testing.T) drivers.Balancer {
						cfg := b.config()
						cfg.Options = map[string]string{"auth": auth}
						return open(t, cfg)
					},
					Pool: "db",
					Nodes: [2]drivers.Member{
						{Name: "db01", Address: "192.0.2.51", Port: 5432},
						{Name: "2001:db8::52", Address: "2001:db8::52", Port: 5432},
					},
					Connections: func(t *testing.T, pool, member string, n int) {
						b.with(func() { b.member("/Common/"+pool, "/Common/"+member+":5432").connections = n })
					},
					Silence: func(*testing.T) {
						b.with(func() {
							b.answer = func(w http.ResponseWriter, _ *http.Request) bool { panic(http.ErrAbortHandler) }
						})
						b.srv.Listener.Close()
						b.srv.CloseClientConnections()
					},
					Effects: func(_ *testing.T, op, object string) (n int) {
						b.with(func() {
							for _, e := range b.effects {
								if did, on, _ := strings.Cut(e, " "); (op == "" || did == op) && (object == "" || on == object) {
									n++
								}
							}
						})
						return n
					},
				}
			})
		})
	}
}

func add(t *testing.T, d *Driver, pool string, m drivers.Member) {
	t.Helper()
	if _, err := d.AddMember(context.Background(), drivers.Call{}, pool, m); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, d *Driver, pool, member string) {
	t.Helper()
	if _, err := d.RemoveMember(context.Background(), drivers.Call{}, pool, member); err != nil {
		t.Fatal(err)
	}
}

func fails(t *testing.T, k drivers.Kind, what, word string, err error) {
	t.Helper()
	if err == nil || drivers.KindOf(err) != k || !strings.Contains(err.Error(), word) {
		t.Errorf("%s: %v, want %s with %q", what, err, k, word)
	}
	if err != nil && strings.Contains(err.Error(), password) {
		t.Errorf("%s: the password is in %v", what, err)
	}
}

func TestNodesAreCleanedUp(t *testing.T) {
	b := newDevice(t)
	d := open(t, b.config())
	m := drivers.Member{Name: "db01", Address: "192.0.2.51", Port: 5432}
	add(t, d, "db", m)
	add(t, d, "web", m)
	remove(t, d, "db", "db01")
	if b.nodes["/Common/db01"] == nil {
		t.Fatal("the node is gone while another pool uses it")
	}
	remove(t, d, "web", "db01")
	if b.nodes["/Common/db01"] != nil {
		t.Error("the node stays")
	}
	m.Address = "192.0.2.61"
	add(t, d, "db", m)
	remove(t, d, "db", "db09")
	if b.nodes["/Common/db09"] == nil {
		t.Error("a node that a person made is gone")
	}
	_, err := d.AddMember(context.Background(), drivers.Call{}, "db", drivers.Member{Name: "db09", Address: "192.0.2.99", Port: 5432})
	fails(t, drivers.KindRefused, "a node of another address", "192.0.2.9", err)
}

func TestForcedOfflineAndDown(t *testing.T) {
	ctx := context.Background()
	b := newDevice(t)
	d := open(t, b.config())
	own := b.pools["/Common/db"][0]
	for _, c := range []struct {
		session, state string
		mode           drivers.MemberMode
		up             bool
	}{
		{"monitor-enabled", "up", drivers.MemberReady, true},
		{"user-enabled", "unchecked", drivers.MemberReady, true},
		{"monitor-enabled", "down", drivers.MemberReady, false},
		{"monitor-enabled", "checking", drivers.MemberReady, false},
		{"user-disabled", "up", drivers.MemberDraining, true},
		{"user-disabled", "user-down", drivers.MemberOff, false},
	} {
		b.with(func() { own.session, own.state = c.session, c.state })
		all, err := d.Members(ctx, "db")
		if err != nil || len(all) != 1 || all[0].Mode != c.mode || all[0].Up != c.up {
			t.Errorf("%s, %s: %+v, %v", c.session, c.state, all, err)
		}
	}
	add(t, d, "db", drivers.Member{Name: "db09", Address: "192.0.2.9", Port: 5432})
	if own.state != "up" || own.session != "monitor-enabled" {
		t.Errorf("added, it is %+v", own)
	}
}

func TestTokens(t *testing.T) {
	ctx := context.Background()
	b := newDevice(t)
	d := open(t, b.config())
	read := func() {
		t.Helper()
		if _, err := d.Pools(ctx); err != nil {
			t.Fatal(err)
		}
	}
	read()
	read()
	if b.logins != 1 {
		t.Errorf("%d logins for two calls", b.logins)
	}
	b.with(func() { clear(b.tokens) }) // expired
	read()
	if b.logins != 2 {
		t.Errorf("%d logins after the token expired", b.logins)
	}
	if err := d.Close(ctx); err != nil || len(b.tokens) != 0 {
		t.Errorf("closed with %v, and the tokens are %v", err, b.tokens)
	}
	cfg := b.config()
	cfg.Password = "s3cret-not"
	_, err := open(t, cfg).AddMember(ctx, drivers.Call{}, "db", drivers.Member{Name: "db01", Address: "192.0.2.51", Port: 1})
	fails(t, drivers.KindAuth, "a wrong password", "401", err)
	cfg = b.config()
	cfg.CAs = nil
	_, err = open(t, cfg).Pools(ctx)
	fails(t, drivers.KindUnreachable, "a certificate of nobody", "certificate", err)
}

func TestAnswersOfATroubledDevice(t *testing.T) {
	ctx := context.Background()
	m := drivers.Member{Name: "db01", Address: "192.0.2.51", Port: 5432}
	posts := func(code int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/members") {
				return false
			}
			if code == 0 {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(code)
			w.Write([]byte(body))
			return true
		}
	}
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request) bool
		want   drivers.Kind
		word   string
	}{
		{"contact breaks off", posts(0, ""), drivers.KindUnknown, "EOF"},
		{"server error", posts(500, `{"code":500,"message":"java.lang `+password+`"}`), drivers.KindUnknown, "java.lang ***"},
		{"starting", posts(503, `{"code":503,"message":"There is an active asynchronous task executing."}`), drivers.KindBusy, "asynchronous"},
		{"no rights", posts(403, "<html>"), drivers.KindAuth, "403"},
		{"invalid", posts(400, `{"code":400,"message":"01070734:3: Configuration error"}`), drivers.KindRefused, "01070734"},
		{"elsewhere", posts(302, ""), drivers.KindRefused, "302"},
	} {
		b := newDevice(t)
		b.answer = c.answer
		_, err := open(t, b.config()).AddMember(ctx, drivers.Call{}, "db", m)
		fails(t, c.want, c.name, c.word, err)
	}
	b := newDevice(t)
	b.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/members") {
			w.Write([]byte("<html>"))
			return true
		}
		return false
	}
	_, err := open(t, b.config()).Members(ctx, "db")
	fails(t, drivers.KindFailed, "an answer that isn't JSON", "", err)
}

func TestNodeAtTwoPorts(t *testing.T) {
	b := newDevice(t)
	b.pools["/Common/db"] = append(b.pools["/Common/db"], &fakeMember{node: "/Common/db09", port: 5433, session: "user-enabled", state: "up"})
	_, err := open(t, b.config()).RemoveMember(context.Background(), drivers.Call{}, "db", "db09")
	fails(t, drivers.KindRefused, "a node at two ports", "5433", err)
	if len(b.effects) > 0 {
		t.Errorf("it did %v", b.effects)
	}
}

// TestDocumentedShapes reads answers as F5's documentation prints them.
func TestDocumentedShapes(t *testing.T) {
	read := func(file string, out any) {
		t.Helper()
		data, err := os.ReadFile("testdata/" + file)
		if err == nil {
			err = json.Unmarshal(data, out)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b := newDevice(t)
	var members, stats any
	read("members.json", &members)
	read("stats.json", &stats)
	b.answer = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/members"):
			reply(w, members)
		case strings.HasSuffix(r.URL.Path, "/stats"):
			reply(w, stats)
		default:
			return false
		}
		return true
	}
	got, err := open(t, b.config()).Members(context.Background(), "tcb-pool")
	want := []drivers.MemberState{
		{Member: drivers.Member{Name: "10.0.0.5", Address: "10.0.0.5", Port: 80}, Mode: drivers.MemberReady, Up: true, Connections: 17},
		{Member: drivers.Member{Name: "2001:db8::7", Address: "2001:db8::7", Port: 80}, Mode: drivers.MemberDraining, Up: true, Connections: 2},
		{Member: drivers.Member{Name: "app01", Address: "10.0.0.6", Port: 8080}, Mode: drivers.MemberOff},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("read as %+v, %v; want %+v", got, err, want)
	}
}

func TestPartition(t *testing.T) {
	b := newDevice(t)
	cfg := b.config()
	cfg.Options = map[string]string{"partition": "Other"}
	d := open(t, cfg)
	pools, err := d.Pools(context.Background())
	if err != nil || !slices.Equal(pools, []string{"db"}) {
		t.Errorf("pools %v, %v", pools, err)
	}
	add(t, d, "db", drivers.Member{Name: "db01", Address: "192.0.2.51", Port: 80})
	if len(b.pools["/Other/db"]) != 1 || b.nodes["/Other/db01"] == nil {
		t.Errorf("added to %v", b.pools)
	}
}

func TestSlowDeviceIsLeftInTime(t *testing.T) {
	b := newDevice(t)
	b.answer = func(_ http.ResponseWriter, r *http.Request) bool {
		io.Copy(io.Discard, r.Body) // or the end of the connection isn't noticed
		<-r.Context().Done()
		return true
	}
	cfg := b.config()
	cfg.Timeout = 50 * time.Millisecond
	_, err := open(t, cfg).Pools(context.Background())
	fails(t, drivers.KindUnreachable, "a device that doesn't answer", "deadline", err)
}

func TestBadSettings(t *testing.T) {
	good := Config{URL: "https://lb1", User: "a", Password: "b"}
	if _, err := Open(good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"no URL":       func(c *Config) { c.URL = "" },
		"path":         func(c *Config) { c.URL = "https://lb1/mgmt" },
		"in the clear": func(c *Config) { c.URL = "http://lb1" },
		"credentials":  func(c *Config) { c.URL = "https://a:b@lb1" },
		"no user":      func(c *Config) { c.User = "" },
		"thumbprint":   func(c *Config) { c.Thumbprint = "xyz" },
		"auth":         func(c *Config) { c.Options = map[string]string{"auth": "digest"} },
		"partition":    func(c *Config) { c.Options = map[string]string{"partition": "/Common"} },
		"provider":     func(c *Config) { c.Options = map[string]string{"provider": ""} },
		"unheard of":   func(c *Config) { c.Options = map[string]string{"partitoin": "Common"} },
	} {
		c := good
		change(&c)
		if _, err := Open(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
