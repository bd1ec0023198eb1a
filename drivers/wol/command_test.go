package wol

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"yagura/drivers"
	"yagura/drivers/internal/sshtest"
)

// server is an SSH server that takes one account and tells which commands it
// was given; all of them succeed.
func server(t *testing.T, user, password string) (access Machine, commands <-chan string) {
	t.Helper()
	hostKey, hostLine := sshtest.KeyPair(t)
	signer, err := ssh.ParsePrivateKey([]byte(hostKey))
	if err != nil {
		t.Fatal(err)
	}
	conf := &ssh.ServerConfig{PasswordCallback: func(c ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
		if c.User() != user || string(p) != password {
			return nil, errors.New("refused")
		}
		return nil, nil
	}}
	conf.AddHostKey(signer)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	out := make(chan string, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn, conf, out)
		}
	}()
	return Machine{Address: l.Addr().String(), User: user, Password: password, HostKey: hostLine}, out
}

func serve(conn net.Conn, conf *ssh.ServerConfig, out chan<- string) {
	_, channels, requests, err := ssh.NewServerConn(conn, conf)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		ch, reqs, err := c.Accept()
		if err != nil {
			return
		}
		for r := range reqs {
			if r.Type != "exec" {
				_ = r.Reply(false, nil)
				continue
			}
			var line struct{ Command string }
			_ = ssh.Unmarshal(r.Payload, &line)
			out <- line.Command
			_ = r.Reply(true, nil)
			_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{}))
			_ = ch.Close()
		}
	}
}

// TestCommands holds what a machine is told, as root and as somebody else, who
// logs in with a password here.
func TestCommands(t *testing.T) {
	for _, tc := range []struct {
		user string
		op   drivers.PowerOp
		want string
	}{
		{"root", drivers.OpShutdown, "shutdown -P now"},
		{"root", drivers.OpReboot, "shutdown -r now"},
		{"ops", drivers.OpShutdown, "sudo -n shutdown -P now"},
		{"ops", drivers.OpReboot, "sudo -n shutdown -r now"},
	} {
		access, commands := server(t, tc.user, "secret")
		d := New("wol", func(string) (Machine, bool) { return access, true }, 5*time.Second)
		if _, err := d.SetPower(context.Background(), drivers.Call{Deadline: time.Now().Add(time.Minute)}, "ph01", tc.op); err != nil {
			t.Errorf("%s by %s: %v", tc.op, tc.user, err)
			continue
		}
		if got := <-commands; got != tc.want {
			t.Errorf("%s by %s: %q, want %q", tc.op, tc.user, got, tc.want)
		}
	}
}

// TestAskedAgain holds that a machine that is shutting down isn't told again,
// and can't be woken before it is off.
func TestAskedAgain(t *testing.T) {
	ctx := context.Background()
	access, commands := server(t, "root", "secret")
	d := New("wol", func(string) (Machine, bool) { return access, true }, 5*time.Second)
	for range 3 {
		if task, err := d.SetPower(ctx, drivers.Call{}, "ph01", drivers.OpShutdown); err != nil || task.State != drivers.TaskRunning {
			t.Fatalf("%+v, %v", task, err)
		}
	}
	if n := len(commands); n != 1 {
		t.Errorf("it was told %d times", n)
	}
	if _, err := d.SetPower(ctx, drivers.Call{}, "ph01", drivers.OpPowerOn); drivers.KindOf(err) != drivers.KindBusy {
		t.Errorf("power-on amid a shutdown: %v", err)
	}
}
