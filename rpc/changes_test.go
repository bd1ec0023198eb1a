package rpc_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
	"yagura/rpc"
	"yagura/rpc/api"
)

// entries are those of a test's log, without the first ones that were dropped.
type entries struct {
	log     *fsmtest.Cluster
	dropped atomic.Uint64
	read    atomic.Uint64 // greatest index read
}

func (e *entries) FirstIndex() (uint64, error) { return e.dropped.Load() + 1, nil }

func (e *entries) GetLog(index uint64, out *raft.Log) error {
	log := e.log.Log()
	if index <= e.dropped.Load() || index > uint64(len(log)) {
		return raft.ErrLogNotFound
	}
	e.read.Store(max(e.read.Load(), index))
	*out = *log[index-1]
	return nil
}

// changeSet is one element of the stream over HTTP.
type changeSet struct {
	Index string
	Time  time.Time
	Why   []struct{ User, From, Node, Op, Reason, Request string }
	Rows  []struct {
		Table, Key string
		Row        map[string]any
		Deleted    bool
	}
	More bool
}

// changes reads n elements of the stream over HTTP, and its raw text.
func (w *web) changes(from string, n int) (sets []changeSet, raw string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", w.base+"/v1/changes"+from, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for len(sets) < n {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			w.t.Fatalf("%v after %d elements: %s", err, len(sets), raw)
		}
		raw += string(line)
		var e struct {
			Result *changeSet
			Error  json.RawMessage
		}
		if err := json.Unmarshal(line, &e); err != nil || e.Result == nil {
			w.t.Fatalf("%v in %s", err, line)
		}
		sets = append(sets, *e.Result)
	}
	return sets, raw
}

func TestChangesOverHTTP(t *testing.T) {
	c := start(t, 3)
	if _, err := c.as(admin).Inventory.Apply(t.Context(), &api.ApplyRequest{Documents: []*api.Document{
		document(t, "Category", "shop", `{"description":"sells"}`)}}); err != nil {
		t.Fatal(err)
	}
	c.log.Do(func(tx *fsm.Tx) error { return fsm.Categories.Delete(tx, "shop") })
	end := c.log.Store().View().Index()
	for i := range 3 {
		c.log.Stores()[i].WaitIndex(t.Context(), end)
		sets, _ := c.web(i, observer).changes("?from=1", int(end)-1)
		for k, s := range sets {
			if s.Index != strconv.Itoa(k+2) || s.More || s.Time.IsZero() || len(s.Why) != 1 {
				t.Fatalf("manager %d, element %d: %+v", i, k, s)
			}
		}
		set, deleted := sets[len(sets)-2], sets[len(sets)-1]
		if why := set.Why[0]; why.User != admin || why.Op == "" || why.Node == "" || why.Request != "" {
			t.Errorf("why %+v", why)
		}
		if r := set.Rows[0]; r.Table != "category" || r.Key != "shop" || r.Row["description"] != "sells" || r.Deleted {
			t.Errorf("row %+v", r)
		}
		if r := deleted.Rows[0]; r.Table != "category" || r.Key != "shop" || r.Row != nil || !r.Deleted {
			t.Errorf("deleted row %+v", r)
		}
	}
}

func document(t *testing.T, kind, name, spec string) *api.Document {
	t.Helper()
	d := &api.Document{Kind: kind, Name: name}
	d.Spec = new(structpb.Struct)
	if err := d.Spec.UnmarshalJSON([]byte(spec)); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestChangesFromNowOn(t *testing.T) {
	c := start(t, 1)
	stream, err := c.events(observer).WatchChanges(t.Context(), &api.WatchChangesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil || first.Index != c.log.Store().View().Index() || len(first.Rows) > 0 {
		t.Fatalf("it begins with %v, %v", first, err)
	}
	c.job(schema.JobRunning, 5)
	set, err := stream.Recv()
	if err != nil || set.Index != first.Index+1 || set.Rows[0].Table != "job" || set.Rows[0].Row.Fields["progress"].GetNumberValue() != 5 {
		t.Fatalf("%v, %v", set, err)
	}
}

// events is a plain gRPC client of the first manager: no library of ours follows its streams.
func (c *cluster) events(user string) api.EventsClient {
	c.t.Helper()
	conn, err := grpc.NewClient(c.nodes[0].grpc.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(c.ca.client(c.t, rpc.UserOrganization, user))))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	return api.NewEventsClient(conn)
}

func TestChangesThatAreGone(t *testing.T) {
	c := start(t, 1)
	for i := range int32(5) {
		c.job(schema.JobRunning, i)
	}
	c.nodes[0].entries.dropped.Store(3)
	w := c.web(0, observer)
	code, _, body := w.do("GET", "/v1/changes?from=1", "")
	var line struct{ Error json.RawMessage }
	if err := json.Unmarshal([]byte(body), &line); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	wantProblem(t, code, string(line.Error), http.StatusBadRequest, schema.KindGone)
	if !strings.Contains(body, "yagura-index") {
		t.Errorf("it doesn't say how to go on: %s", body)
	}
	w.changes("?from=3", 2)
	code, _, body = w.do("GET", "/v1/changes?from=x", "")
	wantProblem(t, code, body, http.StatusBadRequest, schema.KindInvalid)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	stream, err := c.events(observer).WatchChanges(ctx, &api.WatchChangesRequest{From: new(uint64(1 << 40))})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("an index that nobody has: %v", err)
	}
}

// TestChangesHoldNoSecret writes credentials of every kind and looks for them,
// plain, sealed and hashed, in what administrators and observers see.
func TestChangesHoldNoSecret(t *testing.T) {
	c := start(t, 1)
	const secret = "s3cret-of-the-test"
	secrets := []string{secret, adminPassword, "$argon2id$"}
	c.log.Do(func(tx *fsm.Tx) error {
		sealed := tx.Sealer().Seal([]byte(secret))
		if err := fsm.Subsystems.Put(tx, &schema.Subsystem{Name: "vc1", Kind: "vcenter", Address: "https://192.0.2.1", User: "u", Password: sealed, Key: sealed}); err != nil {
			return err
		}
		if err := fsm.SnmpUsers.Put(tx, &schema.SnmpUser{Name: "ups", Auth: "sha", AuthKey: sealed, Priv: "aes", PrivKey: sealed}); err != nil {
			return err
		}
		return fsm.Machines.Put(tx, &schema.Machine{Name: "ph01", Kind: schema.MachinePhysical, Bmc: &schema.Bmc{Kind: "redfish", Address: "192.0.2.2", Password: sealed}})
	})
	login, err := c.login(admin).Auth.Login(t.Context(), &api.LoginRequest{User: admin, Password: adminPassword})
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, login.Token)
	v := c.log.Store().View()
	for token := range fsm.Tokens.All(v) {
		secrets = append(secrets, token.Hash)
	}
	sub, _ := fsm.Subsystems.Get(v, "vc1")
	for user, sees := range map[string]bool{admin: true, observer: false} {
		sets, raw := c.web(0, user).changes("?from=0", int(v.Index()))
		for _, s := range append(secrets, string(sub.Password), jsonBytes(sub.Password)) {
			if s == "" || strings.Contains(raw, s) {
				t.Errorf("%s sees the secret %q", user, s)
			}
		}
		tables := map[string]int{}
		for _, s := range sets {
			for _, r := range s.Rows {
				tables[r.Table]++
			}
		}
		if tables["subsystem"] != 1 || tables["machine"] != 1 || tables["snmp-user"] != 1 || tables["token"] != 0 || tables["request"] != 0 || tables["user"] > 0 != sees {
			t.Errorf("%s sees %v", user, tables)
		}
	}
	for _, test := range []struct{ user, path string }{{"", "/v1/changes?from=0"}, {"nobody", "/v1/changes?from=0"}} {
		code, _, body := c.web(0, test.user).do("GET", test.path, "")
		if code != http.StatusUnauthorized && code != http.StatusForbidden {
			t.Errorf("%q got %d %s", test.user, code, body)
		}
	}
}

func jsonBytes(b []byte) string {
	out, _ := json.Marshal(b) // base64 in quotes
	return string(bytes.Trim(out, `"`))
}

// TestChangesWaitInTheLog checks that a caller who takes nothing makes the
// manager keep nothing: the stream reads ahead no further than connections buffer.
func TestChangesWaitInTheLog(t *testing.T) {
	c := start(t, 1)
	const batches, rows = 60, 4
	text := strings.Repeat("x", 200<<10)
	from := c.log.Store().View().Index()
	stream, err := c.events(observer).WatchChanges(t.Context(), &api.WatchChangesRequest{From: &from})
	if err != nil {
		t.Fatal(err)
	}
	for i := range batches {
		c.log.Do(func(tx *fsm.Tx) error {
			for k := range rows {
				if err := fsm.Jobs.Put(tx, &schema.Job{Id: fmt.Sprintf("%05d", k+1), State: schema.JobSucceeded, Progress: int32(i), Error: text}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if ahead := c.nodes[0].entries.read.Load() - from; ahead > batches/2 {
		t.Errorf("the stream has read %d of %d entries of %d bytes ahead", ahead, batches, rows*len(text))
	}
	var indexes []uint64
	parts := 0
	for len(indexes) < batches {
		set, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if parts++; !set.More {
			indexes = append(indexes, set.Index)
		}
	}
	for i, index := range indexes {
		if index != from+uint64(i)+1 {
			t.Fatalf("got the indexes %v", indexes)
		}
	}
	if parts != rows*batches {
		t.Errorf("%d elements for %d entries, want one for each of the %d rows", parts, batches, rows)
	}
}

func TestWatchAuditGoesOnBehindTheLastOneSeen(t *testing.T) {
	c := start(t, 2)
	change := func(user, category string) string {
		t.Helper()
		_, err := c.log.Store().Update(t.Context(), fsm.Why{User: user, Op: category}, func(tx *fsm.Tx) error {
			return fsm.Categories.Put(tx, &schema.Category{Path: category})
		})
		if err != nil {
			t.Fatal(err)
		}
		last, _ := fsm.Audits.Last(c.log.Store().View())
		return last.Id
	}
	after := change("anna", "a")
	change("bert", "b")
	change("anna", "c")
	var seen []string
	stop := errors.New("stop")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := c.as(observer, 1, 0).WatchAudit(ctx, &api.ListAuditRequest{After: after, User: "anna"}, func(a *schema.Audit) error {
		seen = append(seen, a.Op)
		switch len(seen) {
		case 1:
			c.nodes[1].kill()
			change("anna", "d")
		case 2:
			return stop
		}
		return nil
	})
	if want := []string{"c", "d"}; err != stop || !slices.Equal(seen, want) {
		t.Fatalf("saw %q, %v, want %q", seen, err, want)
	}
}
