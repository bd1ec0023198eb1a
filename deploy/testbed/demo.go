package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"yagura/deploy/demo"
	"yagura/drivers/sim"
)

// AwaitSim waits until the simulated datacenter answers.
func (b *Bed) AwaitSim(ctx context.Context) (sim.Endpoints, error) {
	for {
		e, err := sim.ReadEndpoints(b.Dir)
		if err == nil {
			return e, nil
		}
		if !b.Running("sim") {
			return e, fmt.Errorf("the simulated datacenter ended:\n%s", b.LogTail("sim", 5))
		}
		select {
		case <-ctx.Done():
			return e, fmt.Errorf("the simulated datacenter doesn't answer: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// LoadDemo declares the demo's inventory by ordinary pvmutl commands.
func (b *Bed) LoadDemo(ctx context.Context, out io.Writer) error {
	e, err := b.AwaitSim(ctx)
	if err != nil {
		return err
	}
	if err := b.shareTool(e); err != nil {
		return err
	}
	v, err := b.demoValues(e)
	if err != nil {
		return err
	}
	pvmutl := filepath.Join(filepath.Dir(b.Bin), "pvmutl")
	for _, name := range []string{demo.Base, demo.Machines, demo.Metal} {
		text, err := demo.Render(name, v)
		if err != nil {
			return err
		}
		if err := os.WriteFile(b.Path(name), text, 0o600); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"apply", "-f", b.Path(demo.Base)},
		{"collect"},
		{"apply", "-f", b.Path(demo.Machines)},
		{"apply", "-f", b.Path(demo.Metal)},
		{"collect"},
	} {
		cmd := exec.CommandContext(ctx, pvmutl, append([]string{"--reason", "load the demo"}, args...)...)
		cmd.Env = append(os.Environ(), b.Env()...)
		var buf bytes.Buffer
		cmd.Stdout, cmd.Stderr = &buf, &buf
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("pvmutl %s: %w\n%s", strings.Join(args, " "), err, buf.String())
		}
		fmt.Fprintf(out, "pvmutl %s: well\n", strings.Join(args, " "))
	}
	return nil
}

// shareTool lets managers that run as users of their own use the tool of the
// simulated array.
func (b *Bed) shareTool(e sim.Endpoints) error {
	if b.FirstUID == 0 {
		return nil
	}
	return errors.Join(os.Chown(e.Token, 0, b.FirstUID), os.Chmod(e.Token, 0o640))
}

func (b *Bed) demoValues(e sim.Endpoints) (demo.Values, error) {
	ca, err := os.ReadFile(b.Path("ca.pem"))
	if err != nil {
		return demo.Values{}, err
	}
	password, err := os.ReadFile(b.Path("sim.password"))
	if err != nil {
		return demo.Values{}, err
	}
	secret := strings.TrimSpace(string(password))
	v := demo.Values{
		VCenter: e.VCenter, VCenterUser: sim.DefaultUser, VCenterPassword: secret,
		BMC: e.BMCs, BMCUser: sim.DefaultBMCUser, BMCPassword: secret, CA: string(ca),
	}
	for i := 1; i <= 4; i++ {
		v.Servers = append(v.Servers, fmt.Sprintf("esx%02d", i))
	}
	for i := 1; i <= 16; i++ {
		name := fmt.Sprintf("web%02d", i)
		if i <= 12 {
			v.VMs = append(v.VMs, name)
		} else {
			v.Spares = append(v.Spares, name)
		}
	}
	b.metalValues(&v, e)
	return v, nil
}

// metalValues fills in the physical machines: db01 and db02 run on ph01 and
// ph02, ph03 waits in their pool, ph04 in the common pool.
func (b *Bed) metalValues(v *demo.Values, e sim.Endpoints) {
	v.Switch, v.SwitchCommunity, v.Balancer, v.VLAN = e.Switches["sw1"], sim.DefaultCommunity, e.Balancers["lb1"], sim.DemoVLAN
	v.ArrayTool = b.Bin + " sim array --state-dir " + b.Dir
	for i := 1; i <= 4; i++ {
		name := fmt.Sprintf("ph%02d", i)
		m := demo.Physical{
			Name: name, UUID: sim.MachineUUID(name), MAC: sim.MachineMAC(name), Port: fmt.Sprintf("p%d", i), Initiator: sim.Initiator(name), Pool: i <= 3,
		}
		if i <= 2 {
			m.Host = fmt.Sprintf("db%02d", i)
			v.Hosts = append(v.Hosts, demo.Host{Name: m.Host, Address: fmt.Sprintf("127.0.0.%d", 40+i), Volume: m.Host + "-data"})
		}
		v.Physical = append(v.Physical, m)
	}
}
