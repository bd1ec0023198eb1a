package haproxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"yagura/drivers"
	"yagura/drivers/drivertest"
)

// node is a real HTTP server behind HAProxy. A request of /hold stays open
// until release is called.
type node struct {
	drivers.Member
	srv *httptest.Server

	mu   sync.Mutex // guards the fields below
	hits int
	held map[chan struct{}]bool // open requests of /hold
}

func newNode(t *testing.T, name string) *node {
	t.Helper()
	n := &node{held: map[chan struct{}]bool{}}
	n.srv = httptest.NewServer(n)
	t.Cleanup(func() {
		n.release()
		n.srv.Close()
	})
	a := n.srv.Listener.Addr().(*net.TCPAddr)
	n.Member = drivers.Member{Name: name, Address: a.IP.String(), Port: a.Port}
	return n
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	n.hits++
	var wait chan struct{}
	if r.URL.Path == "/hold" {
		wait = make(chan struct{})
		n.held[wait] = true
	}
	n.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-r.Context().Done():
		}
		n.mu.Lock()
		delete(n.held, wait)
		n.mu.Unlock()
	}
	io.WriteString(w, n.Name)
}

func (n *node) release() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.held {
		close(c)
		delete(n.held, c)
	}
}

func (n *node) holding() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.held)
}

// rig is a real HAProxy with its backend "db", a node of its configuration
// ("own"), and a tap between the driver and its socket.
type rig struct {
	t     *testing.T
	own   *node
	unix  string // HAProxy's second stats socket
	conf  string
	front *net.TCPListener // the test holds it, so that HAProxy can be restarted on the same port
	stats *net.TCPListener
	cmd   *exec.Cmd
	tap   *tap
}

func listen(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// start starts HAProxy; extra goes into the configuration of the backend.
func start(t *testing.T, extra string) *rig {
	t.Helper()
	version, err := exec.Command("haproxy", "-v").Output()
	if err != nil {
		t.Fatalf("haproxy doesn't run (apt-get install haproxy): %v", err)
	}
	t.Logf("real part: %s", strings.SplitN(string(version), "\n", 2)[0])
	dir, err := os.MkdirTemp("", "yg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &rig{t: t, own: newNode(t, "own"), unix: filepath.Join(dir, "s"), conf: filepath.Join(dir, "c"), front: listen(t), stats: listen(t)}
	conf := fmt.Sprintf(`
global
  stats socket fd@4 level admin
  stats socket unix@%s level admin
defaults
  mode http
  timeout connect 5s
  timeout client 1m
  timeout server 1m
frontend front
  bind fd@3
  default_backend db
backend db
  balance roundrobin
  %s
  server own %s:%d
backend empty
  balance static-rr
`, r.unix, extra, r.own.Address, r.own.Port)
	if err := os.WriteFile(r.conf, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	r.run()
	t.Cleanup(r.kill)
	r.tap = newTap(t, r.stats.Addr().String())
	return r
}

func (r *rig) run() {
	r.t.Helper()
	r.cmd = exec.Command("haproxy", "-db", "-f", r.conf)
	for _, l := range []*net.TCPListener{r.front, r.stats} {
		f, err := l.File()
		if err != nil {
			r.t.Fatal(err)
		}
		defer f.Close()
		r.cmd.ExtraFiles = append(r.cmd.ExtraFiles, f)
	}
	if err := r.cmd.Start(); err != nil {
		r.t.Fatalf("haproxy doesn't start (apt-get install haproxy): %v", err)
	}
	d := r.open("unix:" + r.unix)
	drivertest.WaitFor(r.t, "haproxy to answer", func() bool {
		_, err := d.Pools(context.Background())
		return err == nil
	})
}

func (r *rig) kill() {
	r.cmd.Process.Kill()
	r.cmd.Wait()
}

// open opens a driver on an address; empty: through the tap.
func (r *rig) open(address string) *Driver {
	r.t.Helper()
	if address == "" {
		address = r.tap.l.Addr().String()
	}
	d, err := Open(Config{Name: "lb1", Address: address, Options: map[string]string{"server": "check inter 1s fastinter 100ms"}})
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// get asks HAProxy's frontend and returns which node answered.
func (r *rig) get(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.front.Addr().String()+path, nil)
	if err != nil {
		return "", err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP status %d", res.StatusCode)
	}
	return string(body), err
}

// answers asks n times and counts who answered.
func (r *rig) answers(n int) map[string]int {
	r.t.Helper()
	all := map[string]int{}
	for range n {
		who, err := r.get(context.Background(), "/")
		if err != nil {
			r.t.Fatal(err)
		}
		all[who]++
	}
	return all
}

// hold opens a request that a node holds. The channel tells how it ended.
func (r *rig) hold(n *node) <-chan error {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r.t.Cleanup(cancel)
	before := n.holding()
	for {
		end := make(chan error, 1)
		go func() { // ends with its request, at the latest at cancel
			_, err := r.get(ctx, "/hold")
			end <- err
		}()
		drivertest.WaitFor(r.t, "a node to hold the request", func() bool { return n.holding() > before || r.own.holding() > 0 })
		if n.holding() > before {
			return end
		}
		r.own.release()
		if err := <-end; err != nil {
			r.t.Fatal(err)
		}
	}
}

// tap forwards commands to HAProxy and keeps them.
type tap struct {
	l       net.Listener
	to      string
	serving sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	lines []string
	cut   string // the answer to a line with this word is withheld
}

func newTap(t *testing.T, to string) *tap {
	t.Helper()
	p := &tap{l: listen(t), to: to}
	p.serving.Go(func() {
		for {
			conn, err := p.l.Accept()
			if err != nil {
				return
			}
			p.serving.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		p.l.Close()
		p.serving.Wait()
	})
	return p
}

func (p *tap) serve(conn net.Conn) {
	defer conn.Close()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return
	}
	p.mu.Lock()
	p.lines = append(p.lines, strings.TrimSpace(line))
	cut := p.cut != "" && strings.Contains(line, p.cut)
	p.mu.Unlock()
	up, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer up.Close()
	io.WriteString(up, line)
	answer, err := io.ReadAll(up)
	if err == nil && !cut {
		conn.Write(answer)
	}
}

func (p *tap) cutAnswers(word string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = word
}

// effects counts the lines that change something, as drivertest.BalancerWorld says.
func (p *tap) effects(op, object string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, l := range p.lines {
		for word, is := range map[string]string{"state ready": "lb-add", "state drain": "lb-drain", "state maint": "lb-remove"} {
			if _, after, ok := strings.Cut(l, "set server "); ok && strings.Contains(after, word) && (op == "" || op == is) &&
				(object == "" || strings.HasPrefix(after, object+" ")) {
				n++
			}
		}
	}
	return n
}
