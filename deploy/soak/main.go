// Command soak runs the long fault campaigns against real processes: three
// managers and a simulated datacenter in a network namespace of its own, whose
// managers are killed, paused and cut off while they work. It ends with an
// error when an acknowledged write is lost, an effect happens twice, a job
// doesn't end, or replicas differ.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// campaigns is THE list of campaigns, in the order in which they run.
var campaigns = []struct {
	name string
	run  func(context.Context, *soak) error
}{
	{"two-of-three-down", twoDown},
	{"each-manager-faulted", eachManager},
	{"next-step-after-kill", nextStep},
	{"replacement-at-each-step", replacements},
	{"informs-under-kills", informsUnderKills}, // changes the policy of the web servers
}

func main() {
	bin := flag.String("bin", "bin", "directory of pvmd and pvmutl")
	dir := flag.String("dir", ".soak", "directory of the managers' data and logs; it is replaced")
	only := flag.String("run", "", "regular expression: only campaigns with such a name")
	inner := flag.Bool("inner", false, "this process is in the namespace already")
	trials := flag.Int("trials", 20, "trials of next-step-after-kill")
	pause := flag.Duration("pause", 30*time.Second, "how long a manager is paused or cut off")
	informs := flag.Duration("informs", 5*time.Minute, "length of informs-under-kills")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var err error
	if *inner {
		err = campaign(ctx, &soak{bin: *bin, dir: *dir, trials: *trials, pause: *pause, informs: *informs}, *only)
	} else {
		err = inNamespace(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// inNamespace runs this program again in a network namespace made for it, in
// which all of the demo's addresses are free and packets may be dropped.
func inNamespace(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("the campaigns make a network namespace, which takes root")
	}
	for _, p := range []string{"ip", "iptables"} {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("%s is missing: apt-get install --no-install-recommends iproute2 iptables", p)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ns := "yagura-soak-" + strconv.Itoa(os.Getpid())
	if err := command("ip", "netns", "add", ns); err != nil {
		return err
	}
	defer command("ip", "netns", "del", ns)
	if err := command("ip", "-n", ns, "link", "set", "lo", "up"); err != nil {
		return err
	}
	args := append([]string{"netns", "exec", ns, self, "-inner"}, os.Args[1:]...)
	cmd := exec.CommandContext(ctx, "ip", args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return cmd.Run()
}

func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return nil
}

func campaign(ctx context.Context, s *soak, only string) error {
	want, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	defer s.stop()
	ran := 0
	for _, c := range campaigns {
		if !want.MatchString(c.name) {
			continue
		}
		fmt.Printf("== %s\n", c.name)
		from := time.Now()
		if err := c.run(ctx, s); err != nil {
			return fmt.Errorf("%s: %w\nthe logs are in %s", c.name, err, s.bed.Dir)
		}
		if err := s.check(ctx); err != nil {
			return fmt.Errorf("%s: %w\nthe logs are in %s", c.name, err, s.bed.Dir)
		}
		fmt.Printf("== %s: well, %v\n", c.name, time.Since(from).Round(time.Second))
		ran++
	}
	fmt.Printf("soak: %d campaigns passed, 0 failed\n", ran)
	return nil
}
