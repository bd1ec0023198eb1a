// Package sshtest runs a real sshd (OpenSSH) for tests, on a free port of the
// loopback interface, with keys and a home folder of its own: what the shell of
// the machine's own user does at its start is none of a test's business.
package sshtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// Server is a machine that is reached by SSH.
type Server struct {
	Address    string // HOST:PORT
	User       string
	Key        string // private key that it takes, PEM
	KnownHosts string // the line by which it is known
	Dir        string // folder for the test's use; gone at its end

	t   testing.TB
	cmd *exec.Cmd
}

// KeyPair makes a key: the private part in PEM, and the line of the public one.
func KeyPair(t testing.TB) (private, public string) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(priv, "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// Version is the real part's name and version.
func Version(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("ssh", "-V").CombinedOutput()
	if err != nil {
		t.Fatalf("ssh is missing: apt-get install openssh-client openssh-server")
	}
	return "sshd of " + strings.TrimSpace(string(out))
}

// Start starts a server; it ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "yg-ssh")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // sshd's own, made at boot
		t.Fatal(err)
	}
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := port.Addr().String()
	_ = port.Close()
	key, line := KeyPair(t)
	s := &Server{Address: address, User: "root", Key: key, Dir: dir, t: t}
	s.write("authorized", line+"\n")
	s.write("conf", fmt.Sprintf(`ListenAddress %s
HostKey %[2]s/host
AuthorizedKeysFile %[2]s/authorized
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
MaxStartups 100
SetEnv HOME=%[2]s
Subsystem sftp internal-sftp
`, address, dir))
	s.NewHostKey()
	s.Up()
	t.Cleanup(s.Down)
	return s
}

func (s *Server) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// NewHostKey gives the server another host key, as after an installation; it
// is in force after Up.
func (s *Server) NewHostKey() {
	s.t.Helper()
	key, line := KeyPair(s.t)
	s.write("host", key)
	host, port, _ := net.SplitHostPort(s.Address)
	s.KnownHosts = fmt.Sprintf("[%s]:%s %s\n", host, port, line)
}

// Up starts the server and waits until it answers.
func (s *Server) Up() {
	s.t.Helper()
	s.cmd = exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(s.Dir, "conf"))
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("sshd is missing: apt-get install openssh-server: %v", err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		if c, err := net.Dial("tcp", s.Address); err == nil {
			_ = c.Close()
			return
		}
		<-tick.C
	}
	s.t.Fatal("sshd doesn't answer")
}

// Down ends the server; what was begun on the machine goes on.
func (s *Server) Down() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Busy tells whether a process is at work below a folder.
func Busy(folder string) bool {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, l := range links {
		if at, err := os.Readlink(l); err == nil && strings.HasPrefix(at, folder+"/") {
			return true
		}
	}
	return false
}
