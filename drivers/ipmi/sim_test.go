package ipmi

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The user and the machine of the simulated controllers.
const (
	user     = "admin"
	password = "s3cret"
	uuidOf   = "4c4c4544-0042-3510-8054-b4c04f4d3132"
)

// rawUUID is uuidOf in the byte order of SMBIOS, as BMCs send it.
const rawUUID = "44454c4c420010358054b4c04f4d3132"

// Another machine's.
const (
	otherUUID = "4c4c4544-0042-3510-8054-b4c04f4d3133"
	otherRaw  = "44454c4c420010358054b4c04f4d3133"
)

// control is OpenIPMI's chassis_control program: it keeps the power in a file,
// writes each effect to the ledger, and acts out what the test wants.
const control = `#!/bin/sh
dir=$1; op=$3; shift 3
case $op in
get)
	for p in "$@"; do
		case $p in
		power) echo "power:$(cat $dir/power)" ;;
		*) echo "$p:0" ;;
		esac
	done ;;
set)
	while [ $# -gt 1 ]; do
		case $1 in
		power) echo $2 > $dir/power; [ $2 = 1 ] && echo host-power-on >> $dir/ledger || echo host-power-off >> $dir/ledger ;;
		reset) echo host-reset >> $dir/ledger ;;
		shutdown) [ -e $dir/crashed ] || { echo 0 > $dir/power; echo host-shutdown >> $dir/ledger; } ;;
		esac
		shift 2
	done
	[ -e $dir/hang ] && kill -STOP $(cat $dir/hang) ;;
esac
exit 0
`

// controller is one BMC: a process of ipmi_sim.
type controller struct {
	dir, address string
	cmd          *exec.Cmd
}

func need(t *testing.T, program, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is missing: apt-get install %s", program, pkg)
	}
	return path
}

// startController starts a BMC whose machine is on or off, and waits until it answers.
func startController(t *testing.T, on bool) *controller {
	t.Helper()
	return startControllerAs(t, on, rawUUID)
}

// startControllerAs is startController with the GUID of the machine.
func startControllerAs(t *testing.T, on bool, guid string) *controller {
	t.Helper()
	program := need(t, "ipmi_sim", "openipmi")
	dir, err := os.MkdirTemp("", "yg-ipmi")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	port := freePort(t)
	power := "0"
	if on {
		power = "1"
	}
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("power", power, 0o600)
	write("ledger", "", 0o600)
	script := write("chassis", control, 0o700)
	write("fru", string(inventory()), 0o600)
	conf := write("lan.conf", fmt.Sprintf(`name "bmc"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 %d
    priv_limit admin
    allowed_auths_operator md5
    allowed_auths_admin md5
    guid %s
  endlan
  chassis_control "%s %s 0x20"
  user 2 true "%s" "%s" admin 10 md5
`, port, guid, script, dir, user, password), 0o600)
	emu := write("sim.emu", fmt.Sprintf(`mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 0x12 0x9f 0x1291 0xf02
mc_set_guid 0x20 %s
mc_add_fru_data 0x20 0 %d file 0 "%s/fru"
mc_enable 0x20
`, guid, len(inventory()), dir), 0o600)
	state := filepath.Join(dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(dir, "out")) // a file, since a pipe would be held open by what the simulator starts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	c := &controller{dir: dir, address: fmt.Sprintf("127.0.0.1:%d", port), cmd: exec.Command(program, "-c", conf, "-f", emu, "-s", state, "-n")}
	c.cmd.Stdout, c.cmd.Stderr = out, out
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	})
	d := c.open(time.Second)
	for end := time.Now().Add(10 * time.Second); ; {
		if _, err = d.PowerState(context.Background(), "up"); err == nil {
			return c
		}
		if time.Now().After(end) {
			_ = c.cmd.Process.Kill()
			_ = c.cmd.Wait()
			said, _ := os.ReadFile(out.Name())
			t.Fatalf("ipmi_sim doesn't answer: %v\n%s", err, said)
		}
	}
}

// open makes a driver for this controller alone, whatever the machine's name.
func (c *controller) open(timeout time.Duration) *Driver {
	return New("bmc", func(string) (Machine, bool) {
		return Machine{Address: c.address, User: user, Password: password}, true
	}, timeout)
}

// freeze stops the controller's process: it is there and says nothing.
func (c *controller) freeze(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
}

// mark makes a file that changes how the machine behaves: crashed (nothing
// listens to a shutdown), hang (the controller freezes after its next act).
func (c *controller) mark(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(strconv.Itoa(c.cmd.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// effects counts what happened to the machine.
func (c *controller) effects(t *testing.T, op string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(c.dir, "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, line := range strings.Fields(string(b)) {
		if op == "" || line == op {
			n++
		}
	}
	return n
}

// ipmitool asks the controller with another implementation of the protocol.
func (c *controller) ipmitool(t *testing.T, args ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(c.address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	full := append([]string{"-I", "lanplus", "-C", "3", "-H", host, "-p", port, "-U", user, "-P", password}, args...)
	out, err := exec.CommandContext(ctx, need(t, "ipmitool", "ipmitool"), full...).CombinedOutput()
	if err != nil {
		t.Fatalf("ipmitool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func freePort(t *testing.T) int {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// inventory is a FRU image with a product area (Platform Management FRU
// Information Storage Definition v1.0, sections 8 and 12).
func inventory() []byte {
	field := func(s string) []byte { return append([]byte{0xc0 | byte(len(s))}, s...) }
	product := []byte{1, 0, 25}
	for _, s := range []string{"NEC", "Express5800/R120", "N8100-2557Y", "1", "SN0042"} {
		product = append(product, field(s)...)
	}
	product = append(product, 0xc0, 0xc0, 0xc1) // asset tag and file id empty, end
	for len(product)%8 != 7 {
		product = append(product, 0)
	}
	product[1] = byte((len(product) + 1) / 8)
	product = sealed(product)
	return append(sealed([]byte{1, 0, 0, 0, 1, 0, 0}), product...)
}

// sealed appends the checksum that makes the sum of all bytes zero.
func sealed(b []byte) []byte {
	var sum byte
	for _, x := range b {
		sum += x
	}
	return append(b, -sum)
}
