package tgt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yagura/drivers/drivertest"
)

const (
	prefix   = "iqn.2026-01.example.storage:"
	oldName  = "iqn.2026-01.example.host:ph01"
	newName  = "iqn.2026-01.example.host:ph03"
	patience = 20 * time.Second
)

// volumes of the rig, by the number of their target.
var volumes = []string{"", "db01-data", "db02-data"}

// rig is a tgtd of the test's own.
type rig struct {
	t      *testing.T
	dir    string
	portal string // HOST:PORT
	cmd    *exec.Cmd
	ended  chan struct{} // closed when cmd has ended
}

// start starts tgtd on a control port and portal of its own, with two volumes
// that are connected to nobody.
func start(t *testing.T) *rig {
	t.Helper()
	version, err := exec.Command("tgtd", "-V").Output()
	if err != nil {
		t.Fatalf("tgtd doesn't run (apt-get install tgt): %v", err)
	}
	if _, err := exec.LookPath("iscsi-ls"); err != nil {
		t.Fatalf("iscsi-ls is missing (apt-get install libiscsi-bin): %v", err)
	}
	t.Logf("real part: tgtd %s", strings.TrimSpace(string(version)))
	dir, err := os.MkdirTemp("", "yg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &rig{t: t, dir: dir}
	r.run()
	t.Cleanup(r.kill)
	drivertest.WaitFor(t, "tgtd to listen", func() bool {
		select {
		case <-r.ended: // another process was quicker to take the port
			r.run()
		default:
		}
		out, err := r.tgtadm("--mode", "portal", "--op", "show")
		return err == nil && strings.Contains(out, r.portal)
	})
	for i, v := range volumes[1:] {
		image := filepath.Join(dir, v)
		if err := os.WriteFile(image, make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		tid := fmt.Sprint(i + 1)
		r.admin("--mode", "target", "--op", "new", "--tid", tid, "-T", prefix+v)
		r.admin("--mode", "logicalunit", "--op", "new", "--tid", tid, "--lun", "1", "-b", image)
	}
	return r
}

func (r *rig) socket() string { return filepath.Join(r.dir, "s") }

// run starts tgtd on a port that is free now.
func (r *rig) run() {
	r.t.Helper()
	r.portal = freePort(r.t)
	cmd, ended := exec.Command("tgtd", "-f", "-C", "7", "--iscsi", "portal="+r.portal), make(chan struct{})
	cmd.Env = append(os.Environ(), "TGT_IPC_SOCKET="+r.socket())
	if err := cmd.Start(); err != nil {
		r.t.Fatalf("tgtd doesn't start (apt-get install tgt): %v", err)
	}
	go func() { // ends with the process, at the latest at kill, which waits for it
		cmd.Wait()
		close(ended)
	}()
	r.cmd, r.ended = cmd, ended
}

// kill ends tgtd; a gentler signal it would ignore while it has targets.
func (r *rig) kill() {
	r.cmd.Process.Kill()
	<-r.ended
}

func (r *rig) tgtadm(words ...string) (string, error) {
	cmd := exec.Command("tgtadm", append([]string{"-C", "7", "--lld", "iscsi"}, words...)...)
	cmd.Env = append(os.Environ(), "TGT_IPC_SOCKET="+r.socket())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// admin does what a person would with tgtadm.
func (r *rig) admin(words ...string) {
	r.t.Helper()
	if out, err := r.tgtadm(words...); err != nil {
		r.t.Fatalf("tgtadm %s: %v: %s", strings.Join(words, " "), err, out)
	}
}

// open opens a driver whose tgtadm leaves its words in the file "words".
func (r *rig) open() *Driver {
	r.t.Helper()
	d, err := Open(Config{Name: "array1", Options: map[string]string{
		"control_port": "7", "socket": r.socket(), "prefix": prefix, "command": "testdata/tgtadm-tap " + filepath.Join(r.dir, "words"),
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// effects counts what the drivers asked tgtadm for, as drivertest.StorageWorld says.
func (r *rig) effects(op, object string) int {
	r.t.Helper()
	words, err := os.ReadFile(filepath.Join(r.dir, "words"))
	if err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	n := 0
	for _, l := range strings.Split(string(words), "\n") {
		f := strings.Fields(l)
		for word, is := range map[string]string{"bind": "connect", "unbind": "disconnect"} {
			var tid int
			if len(f) < 10 || f[7] != word {
				continue
			}
			if _, err := fmt.Sscan(f[9], &tid); err != nil {
				r.t.Fatal(err)
			}
			if (op == "" || op == is) && (object == "" || object == volumes[tid]+" "+f[11]) {
				n++
			}
		}
	}
	return n
}

// sees tells what iscsi-ls shows to an initiator.
func (r *rig) sees(initiator string) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "iscsi-ls", "-i", initiator, "-s", "iscsi://"+r.portal).Output()
	if err != nil {
		r.t.Fatalf("iscsi-ls: %v", err)
	}
	return string(out)
}

// login opens a session of an initiator (RFC 7143, 11.12): one login request
// from operational negotiation to the full feature phase.
func (r *rig) login(initiator, volume string) net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.portal)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	text := fmt.Sprintf("InitiatorName=%s\x00TargetName=%s\x00SessionType=Normal\x00AuthMethod=None\x00", initiator, prefix+volume)
	pdu := make([]byte, 48, 48+len(text)+3)
	pdu[0], pdu[1] = 0x43, 0x87 // immediate login request; transit from stage 1 to 3
	pdu[5], pdu[6], pdu[7] = byte(len(text)>>16), byte(len(text)>>8), byte(len(text))
	pdu[8], pdu[13] = 0x80, 1 // ISID: random
	binary.BigEndian.PutUint32(pdu[16:], 1)
	pdu = append(pdu, text...)
	pdu = append(pdu, make([]byte, (4-len(text)%4)%4)...)
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	if _, err := conn.Write(pdu); err != nil {
		r.t.Fatal(err)
	}
	answer := make([]byte, 48)
	if _, err := io.ReadFull(conn, answer); err != nil {
		r.t.Fatal(err)
	}
	if answer[0]&0x3f != 0x23 || !bytes.Equal(answer[36:38], []byte{0, 0}) {
		r.t.Fatalf("login of %s at %s: opcode %#x, status %x", initiator, volume, answer[0], answer[36:38])
	}
	n := int(answer[5])<<16 | int(answer[6])<<8 | int(answer[7])
	if _, err := io.CopyN(io.Discard, conn, int64(n+(4-n%4)%4)); err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// isCut wants the other side to have ended a connection.
func (r *rig) isCut(conn net.Conn) {
	r.t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			r.t.Fatal("the session stays open")
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
