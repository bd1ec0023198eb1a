package node_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"yagura/fsm/schema"
	"yagura/node"
	"yagura/node/nodetest"
	"yagura/node/tlsutil"
	"yagura/rpc/api"
)

// changeReader follows the stream of changes over HTTPS, as a program that
// isn't ours does: it keeps nothing but the last index that came whole.
type changeReader struct {
	c    *nodetest.Cluster
	http *http.Client
	from uint64
	seen []uint64 // indexes in the order that they came
	rows []string // categories put, in the order that they came
}

func newChangeReader(t *testing.T, c *nodetest.Cluster) *changeReader {
	t.Helper()
	c.Client(0) // issues the administrator's certificate
	user := filepath.Join(c.Dir, c.Config(0).Admin.User)
	id, err := tlsutil.Load(tlsutil.Files{CA: filepath.Join(c.Dir, tlsutil.CAFile), Cert: user + ".pem", Key: user + ".key"})
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: id.Pool, Certificates: []tls.Certificate{id.Certificate}}}
	t.Cleanup(tr.CloseIdleConnections)
	return &changeReader{c: c, http: &http.Client{Transport: tr}, from: c.Node(0).Store().View().Index()}
}

// follow reads from manager i until done says so, or the stream breaks.
func (r *changeReader) follow(ctx context.Context, i int, done func() bool) error {
	req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("https://%s:%d/v1/changes?from=%d", r.c.Hosts[i], node.HTTPPort, r.from), nil)
	if err != nil {
		return err
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for lines := bufio.NewReader(resp.Body); !done(); {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return err
		}
		var e struct {
			Result struct {
				Index string
				Rows  []struct{ Table, Key string }
				More  bool
			}
			Error *struct{ Kind, Message string }
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		if e.Error != nil {
			return schema.Errorf(schema.Kind(e.Error.Kind), "stream", "%s", e.Error.Message)
		}
		index, err := strconv.ParseUint(e.Result.Index, 10, 64)
		if err != nil || e.Result.More {
			return fmt.Errorf("element %s: %w", line, err)
		}
		r.from, r.seen = index, append(r.seen, index)
		for _, row := range e.Result.Rows {
			if row.Table == "category" {
				r.rows = append(r.rows, row.Key)
			}
		}
	}
	return nil
}

// TestChangesWhileManagersDie kills the manager that streams, again and again,
// among them leaders, while rows are written: who goes on at another manager
// gets every change once, in order, and the same indexes as one who reads all
// in the end.
func TestChangesWhileManagersDie(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t, 3, nil)
	c.WaitReady()
	r := newChangeReader(t, c)
	start := r.from
	ctx := context30(t)
	written := 0
	write := func() {
		c.Update("put", put(fmt.Sprintf("row%04d", written)))
		written++
	}
	i := c.WaitLeader()
	for range 3 {
		goal, killed := written+20, false
		broken := make(chan error, 1)
		go func() { broken <- r.follow(ctx, i, func() bool { return false }) }()
		for written < goal {
			write()
			if written == goal-10 {
				c.Kill(i)
				killed = true
			}
		}
		if err := <-broken; err == nil || schema.KindOf(err) == schema.KindGone || !killed {
			t.Fatalf("the stream of the manager that was killed ended with %v", err)
		}
		c.Gone()
		next := c.WaitLeader()
		c.Start(i)
		c.WaitReady()
		i = next
	}
	all := func(r *changeReader) func() bool { return func() bool { return len(r.rows) >= written } }
	if err := r.follow(ctx, (i+1)%3, all(r)); err != nil {
		t.Fatalf("after %d of %d rows: %v", len(r.rows), written, err)
	}
	for k, row := range r.rows {
		if row != fmt.Sprintf("row%04d", k) {
			t.Fatalf("row %d is %s: %v", k, row, r.rows)
		}
	}
	again := &changeReader{c: c, http: r.http, from: start}
	if err := again.follow(ctx, (i+2)%3, all(again)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(again.seen, r.seen) || !slices.IsSorted(r.seen) {
		t.Fatalf("with losses: %v\nin one go: %v", r.seen, again.seen)
	}
	var audits []*schema.Audit
	if err := c.Client((i+1)%3).WatchAudit(ctx, &api.ListAuditRequest{After: "0"}, func(a *schema.Audit) error {
		if audits = append(audits, a); len(audits) > 1 && a.Id <= audits[len(audits)-2].Id && len(a.Id) <= len(audits[len(audits)-2].Id) {
			return fmt.Errorf("%s comes after %s", a.Id, audits[len(audits)-2].Id)
		}
		if a.Objects[0] == "category/"+r.rows[len(r.rows)-1] {
			return errSeen
		}
		return nil
	}); err != errSeen {
		t.Error(err)
	}
}

var errSeen = schema.Errorf(schema.KindCancelled, "test", "all was seen")

// TestChangesAfterASnapshot checks that a stream is told so when the log
// doesn't reach back, and that one which does goes on. Bolt is a log that may
// have gaps, so it counts from the last snapshot on.
func TestChangesAfterASnapshot(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t, 1, func(_ int, cfg *node.Config) {
		cfg.Raft.Log = node.LogBolt
		cfg.Raft.SnapshotInterval, cfg.Raft.SnapshotThreshold = 10*time.Millisecond, 20
	})
	c.WaitReady()
	ctx := context30(t)
	late, rows := newChangeReader(t, c), 0
	c.Wait("a snapshot", func() bool {
		c.Update("put", put(fmt.Sprintf("row%d", rows)))
		rows++
		again := &changeReader{c: c, http: late.http, from: late.from}
		err := again.follow(ctx, 0, func() bool { return len(again.rows) == rows })
		if err != nil && schema.KindOf(err) != schema.KindGone { // a snapshot may be made while it reads, too
			t.Fatalf("%v after %v", err, again.rows)
		}
		return err != nil
	})
	r := newChangeReader(t, c)
	c.Update("put", put("last"))
	if err := r.follow(ctx, 0, func() bool { return slices.Contains(r.rows, "last") }); err != nil {
		t.Fatal(err)
	}
}
