package sshto

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/crypto/ssh"

	"yagura/drivers/internal/sshtest"
)

// host is an SSH server that asks check about each password. It answers one
// connection, and ends with the test.
func host(t *testing.T, check func(conn net.Conn, password string) error) (conn net.Conn, key string) {
	t.Helper()
	private, key := sshtest.KeyPair(t)
	signer, err := ssh.ParsePrivateKey([]byte(private))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		conf := &ssh.ServerConfig{PasswordCallback: func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
			return nil, check(c, string(p))
		}}
		conf.AddHostKey(signer)
		if s, _, _, err := ssh.NewServerConn(c, conf); err == nil {
			_ = s.Wait()
		}
	}()
	conn, err = net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = l.Close()
		<-done
	})
	return conn, key
}

// What a host refuses, and what only looks like it, are told apart.
func TestHandshake(t *testing.T) {
	accepts := func(net.Conn, string) error { return nil }
	refuses := func(net.Conn, string) error { return errors.New("no") }
	hangsUp := func(c net.Conn, _ string) error { return c.Close() }
	_, other := sshtest.KeyPair(t)
	for _, c := range []struct {
		what    string
		check   func(net.Conn, string) error
		hostKey string // instead of its own
		want    error
		sent    bool // it got the password
	}{
		{"it takes the account", accepts, "", nil, true},
		{"it refuses the account", refuses, "", ErrAccount, true},
		{"it is another host", accepts, other, ErrHostKey, false},
		{"it hangs up", hangsUp, "", errors.New("neither"), true},
	} {
		t.Run(c.what, func(t *testing.T) {
			sent := make(chan struct{}, 10)
			conn, key := host(t, func(conn net.Conn, password string) error {
				sent <- struct{}{}
				return c.check(conn, password)
			})
			if c.hostKey != "" {
				key = c.hostKey
			}
			d, err := New(Config{User: "ops", Password: "secret", HostKey: key})
			if err != nil {
				t.Fatal(err)
			}
			client, err := d.Handshake(t.Context(), conn, conn.RemoteAddr().String())
			if err == nil {
				_ = client.Close()
			}
			known := c.want == nil || c.want == ErrAccount || c.want == ErrHostKey
			switch {
			case known && !errors.Is(err, c.want):
				t.Errorf("%v, want %v", err, c.want)
			case !known && (err == nil || errors.Is(err, ErrAccount) || errors.Is(err, ErrHostKey)):
				t.Errorf("%v, want an error of no such kind", err)
			}
			if (len(sent) > 0) != c.sent {
				t.Errorf("it got the password %d times", len(sent))
			}
		})
	}
}

func TestHostKeyThatIsNone(t *testing.T) {
	if _, err := New(Config{User: "ops", Password: "secret", HostKey: "ssh-ed25519 nonsense"}); err == nil {
		t.Error("it is taken")
	}
}
