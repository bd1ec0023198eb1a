package ovs

import (
	"encoding/json"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// How a relay treats transactions that change something.
const (
	pass int32 = iota
	refuse
	deaf // it answers them itself, as if they were done
	cut  // it passes them on and breaks the connection instead of answering
)

// relay is a path to ovsdb-server.
type relay struct {
	addr string
	how  atomic.Int32
}

func newRelay(t *testing.T, to string) *relay {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: ln.Addr().String()}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			answered := make(chan struct{})
			wg.Go(func() { _, _ = io.Copy(in, out); _ = in.Close(); close(answered) })
			wg.Go(func() { r.requests(in, out, answered); _ = in.Close(); _ = out.Close() })
		}
	})
	return r
}

func (r *relay) requests(in, out net.Conn, answered <-chan struct{}) {
	for dec := json.NewDecoder(in); ; {
		var raw json.RawMessage
		if dec.Decode(&raw) != nil {
			return
		}
		var m struct{ ID, Params json.RawMessage }
		_ = json.Unmarshal(raw, &m)
		how := r.how.Load()
		if !strings.Contains(string(m.Params), `"update"`) {
			how = pass
		}
		switch how {
		case refuse:
			_, _ = in.Write([]byte(`{"id":` + string(m.ID) + `,"result":[{"error":"not allowed","details":"read only"}],"error":null}`))
		case deaf:
			// wait, update, comment, perhaps two for the name, mutate, select
			answer := `{"id":` + string(m.ID) + `,"error":null,"result":[{},{"count":1},{}`
			if strings.Contains(string(m.Params), nameKey) {
				answer += `,{},{"count":1}`
			}
			_, _ = in.Write([]byte(answer + `,{"count":1},{"rows":[{"next_cfg":0}]}]}`))
		case cut:
			_ = in.Close()
			_, _ = out.Write(raw)
			<-answered // and can't be passed on
			return
		default:
			if _, err := out.Write(raw); err != nil {
				return
			}
		}
	}
}
