package sim

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The stats socket of a balancer: one line of commands a connection, with
// semicolons between them, as HAProxy 2.6 has it (management guide, 9.3). The
// subset is what a controller needs to read pools and to change their servers.

const (
	maxCommands   = 16 << 10 // bytes of a line
	socketTimeout = 10 * time.Second
)

func (b *balancer) serve() {
	for {
		conn, err := b.ln.Accept()
		if err != nil {
			return
		}
		select {
		case b.slots <- struct{}{}:
		case <-b.sim.ctx.Done():
			_ = conn.Close()
			return
		}
		b.sim.spawn(func() {
			defer func() { <-b.slots }()
			b.talk(conn)
		})
	}
}

// talk reads a line and answers its commands. A delay that was put in is spent
// before the answer, and its effect comes about even if nobody waits for it.
func (b *balancer) talk(conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(b.sim.ctx, func() { _ = conn.Close() })
	defer stop()
	if conn.SetReadDeadline(time.Now().Add(socketTimeout)) != nil {
		return
	}
	line, err := bufio.NewReader(io.LimitReader(conn, maxCommands)).ReadString('\n')
	if err != nil {
		return
	}
	var out strings.Builder
	for _, c := range strings.Split(strings.TrimSpace(line), ";") {
		answer, err := b.command(strings.Fields(c))
		if err != nil {
			return
		}
		out.WriteString(answer + "\n")
	}
	if conn.SetWriteDeadline(time.Now().Add(socketTimeout)) == nil {
		_, _ = io.WriteString(conn, out.String())
	}
}

// command carries one command out and returns its answer, with a newline at the end of each line.
func (b *balancer) command(w []string) (string, error) {
	b.mu.Lock()
	mute := b.mute
	b.mu.Unlock()
	if mute {
		return "", errMute
	}
	is := func(n int, words ...string) bool { return len(w) >= n && slices.Equal(w[:len(words)], words) }
	switch {
	case is(2, "show", "backend"):
		return b.showBackend(), nil
	case is(3, "show", "servers", "state"):
		return b.withPool(w, 3, "Can't find backend.\n", showState), nil
	case is(5, "show", "stat"):
		return b.withPool(w, 2, "No such proxy.\n", showStat), nil
	case is(4, "add", "server"):
		return b.register(w), nil
	case is(5, "set", "server") && w[3] == "state":
		return b.setMode(w[2], w[4]), nil
	case is(3, "enable", "health"):
		return b.withServer(w[2], func(_ *lbPool, s *lbServer) string {
			if !s.checked {
				return "Health check was not configured on this server, cannot enable.\n"
			}
			return ""
		}), nil
	case is(4, "shutdown", "sessions", "server"):
		return b.withServer(w[3], func(_ *lbPool, s *lbServer) string {
			s.connections = 0
			return ""
		}), nil
	case is(3, "del", "server"):
		return b.withServer(w[2], func(p *lbPool, s *lbServer) string {
			switch {
			case s.mode != lbMaint:
				return "Only servers in maintenance mode can be deleted.\n"
			case s.connections > 0:
				return "Server still has connections attached to it, cannot remove.\n"
			}
			p.servers = slices.DeleteFunc(p.servers, func(x *lbServer) bool { return x == s })
			return "Server deleted.\n"
		}), nil
	}
	return "Unknown command.\n", nil
}

func (b *balancer) showBackend() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := "# name\n"
	for _, p := range b.pools {
		out += p.name + "\n"
	}
	return out
}

// withPool finds the pool that word at names.
func (b *balancer) withPool(w []string, at int, missing string, f func(*lbPool) string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(w) <= at {
		return missing
	}
	if p := b.pool(w[at]); p != nil {
		return f(p)
	}
	return missing
}

// withServer finds a server by POOL/SERVER.
func (b *balancer) withServer(path string, f func(*lbPool, *lbServer) string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	pool, name, _ := strings.Cut(path, "/")
	p := b.pool(pool)
	if p == nil || p.server(name) == nil {
		return "No such server.\n"
	}
	return f(p, p.server(name))
}

func showState(p *lbPool) string {
	out := "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change " +
		"srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord\n"
	for _, s := range p.servers {
		up, admin := 2, map[string]int{lbReady: 0, lbDrain: 8, lbMaint: 1}[s.mode]
		if s.mode == lbMaint {
			up = 0
		}
		out += fmt.Sprintf("2 %s %d %s %s %d %d 1 1 0 1 0 0 0 0 0 1 - %d -\n", p.name, s.id, s.name, s.address, up, admin, s.port)
	}
	return out
}

func showStat(p *lbPool) string {
	out := "# pxname,svname,qcur,qmax,scur,smax,slim,stot,status,weight,type,addr,\n"
	for _, s := range p.servers {
		status := map[string]string{lbReady: "UP", lbDrain: "DRAIN", lbMaint: "MAINT"}[s.mode]
		out += fmt.Sprintf("%s,%s,0,0,%d,%d,,0,%s,1,2,%s,\n", p.name, s.name, s.connections, s.connections, status, netip.AddrPortFrom(mustAddr(s.address), uint16(s.port)))
	}
	return out
}

// mustAddr parses an address that was checked before.
func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

// register is "add server POOL/NAME ADDRESS [id N] [check] ...": the server comes
// in maintenance.
func (b *balancer) register(w []string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	pool, name, _ := strings.Cut(w[2], "/")
	p := b.pool(pool)
	addr, err := netip.ParseAddrPort(w[3])
	switch {
	case p == nil:
		return "No such backend.\n"
	case !isWord(name):
		return "The server's name can't be that.\n"
	case err != nil:
		return "The server's address can't be read.\n"
	case p.server(name) != nil:
		return "Already exists a server with the same name in backend.\n"
	}
	s := &lbServer{name: name, address: addr.Addr().String(), port: int(addr.Port()), id: len(p.servers) + 1, mode: lbMaint, checked: slices.Contains(w, "check")}
	if i := slices.Index(w, "id"); i >= 0 && i+1 < len(w) {
		if s.id, err = strconv.Atoi(w[i+1]); err != nil || s.id < 1 {
			return "'id' needs a positive number.\n"
		}
	}
	if slices.ContainsFunc(p.servers, func(x *lbServer) bool { return x.id == s.id }) {
		return "'id' : custom id is used already.\n"
	}
	p.servers = append(p.servers, s)
	return "New server registered.\n"
}

// setMode is the effect that the ledger knows.
func (b *balancer) setMode(path, mode string) string {
	op, ok := map[string]Op{lbReady: OpLBAdd, lbDrain: OpLBDrain, lbMaint: OpLBRemove}[mode]
	if !ok {
		return "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n"
	}
	e := Entry{System: b.name, Op: op, Object: path}
	if b.sim.rules.takeFailure(op) {
		e.Result = resultFailed + "put in by ctl"
		b.sim.ledger.add(e)
		return "Failed, put in by ctl.\n"
	}
	if !pause(b.sim.ctx, b.sim.rules.delayOf(op)) {
		return ""
	}
	return b.withServer(path, func(_ *lbPool, s *lbServer) string {
		e.Detail = "was " + s.mode
		e.Result = ResultOK
		if s.mode == mode {
			e.Result = ResultNoop
		}
		s.mode = mode
		b.sim.ledger.add(e)
		return ""
	})
}
