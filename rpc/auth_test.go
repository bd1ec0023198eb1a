package rpc_test

import (
	"crypto/tls"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc"
	"yagura/rpc/api"
	"yagura/rpc/apierr"
	"yagura/rpc/client"
)

// raw is a plain gRPC connection to the manager with this index.
func (c *cluster) raw(i int, t *tls.Config) *grpc.ClientConn {
	c.t.Helper()
	conn, err := grpc.NewClient(c.servers(i)[0], grpc.WithTransportCredentials(credentials.NewTLS(t)))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	return conn
}

func TestLoginGivesASession(t *testing.T) {
	c := start(t, 2)
	cl := c.login(admin, 1) // a follower
	who, err := cl.Auth.WhoAmI(t.Context(), &api.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	if who.User != admin || who.Role != schema.RoleAdministrator || who.Via != "token" {
		t.Fatalf("got %v", who)
	}
	v := c.log.Store().View()
	if n := fsm.Tokens.Len(v); n != 1 {
		t.Fatalf("%d sessions, want 1", n)
	}
	for tok := range fsm.Tokens.All(v) {
		if strings.Contains(tok.String(), cl.Token()) {
			t.Fatal("the token itself is stored")
		}
		if life := tok.Expires.AsTime().Sub(tok.Created.AsTime()); life < rpc.DefaultTokenLifetime-time.Minute || life > rpc.DefaultTokenLifetime+time.Minute {
			t.Fatalf("the session lasts %v", life)
		}
	}
	if _, err := cl.Auth.Logout(t.Context(), &api.Empty{}); err != nil {
		t.Fatal(err)
	}
	old := c.dial(client.Options{Servers: c.servers(0), TLS: c.ca.client(t, "", ""), Token: cl.Token()})
	_, err = old.Auth.WhoAmI(t.Context(), &api.Empty{})
	wantKind(t, err, schema.KindUnauthenticated)
}

func TestCallsWithoutLoginAreRefused(t *testing.T) {
	c := start(t, 2)
	for i := range 2 {
		cl := c.dial(client.Options{Servers: c.servers(i), TLS: c.ca.client(t, "", "")})
		_, err := cl.Jobs.ListJobs(t.Context(), &api.ListJobsRequest{})
		wantKind(t, err, schema.KindUnauthenticated)
		cl = c.dial(client.Options{Servers: c.servers(i), TLS: c.ca.client(t, "", ""), Token: "guessed"})
		for _, level := range []string{api.LeaderRead, api.Stale} {
			_, err = cl.Jobs.ListJobs(client.WithConsistency(t.Context(), level), &api.ListJobsRequest{})
			wantKind(t, err, schema.KindUnauthenticated)
		}
	}
}

func TestUserCertificateLogsIn(t *testing.T) {
	c := start(t, 2)
	for i := range 2 {
		cl := c.dial(client.Options{Servers: c.servers(i), TLS: c.ca.client(t, rpc.UserOrganization, operator)})
		who, err := cl.Auth.WhoAmI(t.Context(), &api.Empty{})
		if err != nil {
			t.Fatal(err)
		}
		if who.User != operator || who.Role != schema.RoleOperator || who.Via != "certificate" {
			t.Fatalf("manager %d: got %v", i, who)
		}
		_, err = cl.Auth.ListUsers(t.Context(), &api.Empty{})
		wantKind(t, err, schema.KindPermission)
		// Another CA's certificate proves nothing.
		other := newAuthority(t)
		conf := c.ca.client(t, "", "")
		conf.Certificates = other.client(t, rpc.UserOrganization, admin).Certificates
		bad := c.dial(client.Options{Servers: c.servers(i), TLS: conf, Timeout: 300 * time.Millisecond})
		if _, err := bad.Auth.WhoAmI(t.Context(), &api.Empty{}); err == nil {
			t.Fatal("a certificate of another CA was taken")
		}
	}
}

// A manager that has just started doesn't know its accounts yet: that says
// nothing about the caller.
func TestAccountsAreUnknownOnlyToAReadyManager(t *testing.T) {
	c := start(t, 2)
	nodes := api.NewClusterClient(c.raw(1, c.ca.client(t, rpc.UserOrganization, "nobody")))
	_, err := nodes.ListNodes(t.Context(), &api.Empty{})
	wantKind(t, apierr.FromError(err), schema.KindUnauthenticated)
	c.nodes[1].control.mu.Lock()
	c.nodes[1].control.ready = false
	c.nodes[1].control.mu.Unlock()
	_, err = nodes.ListNodes(t.Context(), &api.Empty{})
	wantKind(t, apierr.FromError(err), schema.KindNoLeader)
}

func TestIdentityMetadataOfOthersIsIgnored(t *testing.T) {
	c := start(t, 2)
	for i := range 2 {
		for _, conf := range []*tls.Config{c.ca.client(t, "", ""), c.ca.client(t, rpc.UserOrganization, observer)} {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "yagura-fwd-node", "m9", "yagura-fwd-user", admin, "yagura-fwd-via", "certificate")
			_, err := api.NewAuthClient(c.raw(i, conf)).ListUsers(ctx, &api.Empty{})
			want := schema.KindUnauthenticated
			if len(conf.Certificates) > 0 {
				want = schema.KindPermission
			}
			wantKind(t, apierr.FromError(err), want)
		}
	}
}

func TestPeerServiceIsForManagersOnly(t *testing.T) {
	c := start(t, 2)
	_, err := api.NewPeerClient(c.raw(0, c.ca.client(t, rpc.UserOrganization, admin))).NodeStatus(t.Context(), &api.Empty{})
	wantKind(t, apierr.FromError(err), schema.KindPermission)

	peer := api.NewPeerClient(c.raw(1, c.ca.client(t, rpc.ManagerOrganization, "m2")))
	n, err := peer.NodeStatus(t.Context(), &api.Empty{})
	if err != nil || n.Id != "m2" {
		t.Fatalf("got %v, %v", n, err)
	}
	// A run is where it was begun: the question is answered there.
	if look, err := peer.LookAtRun(t.Context(), &api.RunQuestion{Token: "t1", Cancel: true}); err != nil || look.State != "running" {
		t.Fatalf("got %v, %v", look, err)
	}
	if calls := c.nodes[1].control.noted(); len(calls) != 1 || calls[0] != "look at run t1, cancel true" {
		t.Fatalf("the manager that was asked saw %v", calls)
	}
	// A manager's own call is forwarded as the manager's.
	if _, err := peer.Join(t.Context(), &api.JoinRequest{Manager: &schema.Manager{Id: "m3"}}); err != nil {
		t.Fatal(err)
	}
	if calls := c.nodes[0].control.noted(); len(calls) != 1 || calls[0] != "join m3" {
		t.Fatalf("the leader saw %v", calls)
	}
	_, err = api.NewAuthClient(c.raw(0, c.ca.client(t, rpc.ManagerOrganization, "m2"))).ListUsers(t.Context(), &api.Empty{})
	wantKind(t, apierr.FromError(err), schema.KindUnauthenticated)
}

func TestManagersRecordTheirOwnEventsOnce(t *testing.T) {
	c := start(t, 2)
	peer := api.NewPeerClient(c.raw(1, c.ca.client(t, rpc.ManagerOrganization, "m2")))
	req := &api.RecordEventsRequest{Node: "m2", Events: []*schema.Event{{Node: "m2", Sequence: 1, Notifier: schema.NotifierSNMP, EventId: "1"}}}
	for range 2 {
		r, err := peer.RecordEvents(t.Context(), req)
		if err != nil || r.Sequence != 1 {
			t.Fatalf("got %v, %v", r, err)
		}
	}
	if n := fsm.Events.Len(c.log.Store().View()); n != 1 {
		t.Fatalf("%d events, want 1", n)
	}
	req.Node = "m1"
	_, err := peer.RecordEvents(t.Context(), req)
	wantKind(t, apierr.FromError(err), schema.KindPermission)
}

func TestWrongPasswordsAreSlowedDown(t *testing.T) {
	clock := &testClock{now: time.Now()}
	c := start(t, 2, func(cfg *rpc.Config) { cfg.Now = clock.Now })
	cl := api.NewAuthClient(c.raw(1, c.ca.client(t, "", "")))
	login := func(user, text string) error {
		_, err := cl.Login(t.Context(), &api.LoginRequest{User: user, Password: text})
		return apierr.FromError(err)
	}
	wantKind(t, login(strings.Repeat("x", 1<<20), "wrong password"), schema.KindLogin)
	for range 3 {
		wantKind(t, login(admin, "wrong password"), schema.KindLogin)
		wantKind(t, login("nobody", "wrong password"), schema.KindLogin)
	}
	wantKind(t, login(admin, adminPassword), schema.KindRateLimited)
	wantKind(t, login("nobody", "wrong password"), schema.KindRateLimited)
	if err := login(operator, adminPassword); err != nil {
		t.Fatalf("another user is slowed down too: %v", err)
	}
	clock.add(time.Second)
	wantKind(t, login(admin, "wrong password"), schema.KindLogin)
	clock.add(time.Second)
	wantKind(t, login(admin, adminPassword), schema.KindRateLimited) // the wait has doubled
	clock.add(time.Second)
	if err := login(admin, adminPassword); err != nil {
		t.Fatal(err)
	}
	wantKind(t, login(admin, "wrong password"), schema.KindLogin) // and begins anew
}

func TestSessionExpiresAndClientLogsInAgain(t *testing.T) {
	clock := &testClock{now: time.Now()}
	c := start(t, 1, func(cfg *rpc.Config) { cfg.Now = clock.Now; cfg.TokenLifetime = time.Hour })
	cl := c.login(admin)
	if _, err := cl.Auth.WhoAmI(t.Context(), &api.Empty{}); err != nil {
		t.Fatal(err)
	}
	token := cl.Token()
	clock.add(time.Hour)
	bare := c.dial(client.Options{Servers: c.servers(), TLS: c.ca.client(t, "", ""), Token: token})
	_, err := bare.Auth.WhoAmI(t.Context(), &api.Empty{})
	wantKind(t, err, schema.KindUnauthenticated)
	if _, err := cl.Auth.WhoAmI(t.Context(), &api.Empty{}); err != nil {
		t.Fatal(err)
	}
	if cl.Token() == token {
		t.Fatal("no new session")
	}
}

func TestPasswordChanges(t *testing.T) {
	clock := &testClock{now: time.Now()}
	c := start(t, 2, func(cfg *rpc.Config) { cfg.Now = clock.Now })
	const next = "another good one"
	change := func(as, user, old, text string) error {
		_, err := c.as(as, 1).Auth.ChangePassword(t.Context(), &api.ChangePasswordRequest{User: user, OldPassword: old, NewPassword: text})
		return err
	}
	wantKind(t, change(observer, observer, "wrong password", next), schema.KindLogin)
	wantKind(t, change(observer, observer, "", next), schema.KindLogin)
	wantKind(t, change(observer, observer, adminPassword, "short"), schema.KindPassword)
	wantKind(t, change(observer, observer, adminPassword, "with a \n line end"), schema.KindPassword)
	wantKind(t, change(observer, observer, adminPassword, strings.Repeat("x", 129)), schema.KindPassword)
	wantKind(t, change(operator, observer, adminPassword, next), schema.KindAccount)
	wantKind(t, change(admin, "nobody", "", next), schema.KindAccount)
	if err := change(admin, observer, "", next); err != nil {
		t.Fatal(err)
	}
	_, err := c.login(observer).Auth.WhoAmI(t.Context(), &api.Empty{})
	wantKind(t, err, schema.KindLogin)
	clock.add(time.Minute) // three wrong ones make the next wait
	cl := c.dial(client.Options{Servers: c.servers(), TLS: c.ca.client(t, "", ""), User: observer, Password: next})
	if _, err := cl.Auth.ChangePassword(t.Context(), &api.ChangePasswordRequest{OldPassword: next, NewPassword: adminPassword}); err != nil {
		t.Fatal(err)
	}
}

func TestRolesBoundWhatACallerMayDo(t *testing.T) {
	c := start(t, 2)
	_, err := c.as(observer, 1).Operations.Power(t.Context(), &api.PowerRequest{Op: "poweron", Group: "none"})
	wantKind(t, err, schema.KindPermission)
	_, err = c.as(operator, 1).Operations.Power(t.Context(), &api.PowerRequest{Op: "poweron", Group: "none"})
	wantKind(t, err, schema.KindGroupNotFound)
	_, err = c.as(operator, 1).Inventory.Apply(t.Context(), &api.ApplyRequest{})
	wantKind(t, err, schema.KindPermission)

	users, err := c.as(admin).Auth.ListUsers(t.Context(), &api.Empty{})
	if err != nil || len(users.Users) != 3 {
		t.Fatalf("got %v, %v", users, err)
	}
	for _, u := range users.Users {
		if len(u.PasswordHash) > 0 {
			t.Fatalf("the hash of %s leaves through the API", u.Name)
		}
	}
	// A role that is taken away holds at once, in a session that is open.
	cl := c.login(operator)
	if _, err := cl.Auth.WhoAmI(t.Context(), &api.Empty{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.as(admin).Auth.SetUser(t.Context(), &api.SetUserRequest{Name: operator, Role: schema.RoleObserver}); err != nil {
		t.Fatal(err)
	}
	_, err = cl.Operations.Power(t.Context(), &api.PowerRequest{Op: "poweron", Group: "none"})
	wantKind(t, err, schema.KindPermission)
	if _, err := c.as(admin).Auth.SetUser(t.Context(), &api.SetUserRequest{Name: operator, Role: schema.RoleObserver, Disabled: true}); err != nil {
		t.Fatal(err)
	}
	_, err = cl.Jobs.ListJobs(t.Context(), &api.ListJobsRequest{})
	if k := schema.KindOf(err); k != schema.KindUnauthenticated && k != schema.KindLogin {
		t.Fatalf("a disabled account got %v", err)
	}
}

// testClock is a clock that the test turns.
type testClock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestRemovedManagerIsTrustedNoMore(t *testing.T) {
	c := start(t, 2)
	user := api.NewAuthClient(c.raw(1, c.ca.client(t, rpc.UserOrganization, admin)))
	if _, err := user.WhoAmI(t.Context(), &api.Empty{}); err != nil {
		t.Fatal(err)
	}
	c.log.Do(func(tx *fsm.Tx) error { return fsm.Managers.Delete(tx, "m2") })
	_, err := user.WhoAmI(t.Context(), &api.Empty{})
	wantKind(t, apierr.FromError(err), schema.KindNoLeader)
	peer := api.NewPeerClient(c.raw(0, c.ca.client(t, rpc.ManagerOrganization, "m2")))
	_, err = peer.RecordEvents(t.Context(), &api.RecordEventsRequest{Node: "m2"})
	wantKind(t, apierr.FromError(err), schema.KindNoLeader)
	_, err = peer.LookAtRun(t.Context(), &api.RunQuestion{Token: "t1"})
	wantKind(t, apierr.FromError(err), schema.KindNoLeader)
}
