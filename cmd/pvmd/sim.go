package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"yagura/drivers/sim"
)

// newSimCmd is `pvmd sim`, the simulated datacenter in a process of its own.
func newSimCmd() *cobra.Command {
	cfg := sim.Config{
		StateDir: sim.DemoStateDir, VCenterAddr: sim.DemoVCenterAddr, ControlAddr: sim.DemoControlAddr,
		BMCAddr: sim.DemoBMCAddr, BMCPort: sim.DemoBMCPort, SwitchAddr: sim.DemoSwitchAddr, BalancerAddr: sim.DemoBalancerAddr,
		ServiceAddr: sim.DemoServiceAddr,
	}
	var world, passwordFile, bmcPasswordFile string
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "the simulated datacenter: a vCenter, BMCs, a switch, a balancer, an array, a ledger of effects, faults on demand",
		Long: `Serves a simulated datacenter on loopback addresses until it is interrupted.
When everything answers, sim.json in the state directory says where it is.
Passwords come from the files named by flags, else from PVMD_SIM_PASSWORD and
PVMD_SIM_BMC_PASSWORD, else they are made up; the state directory has them in
sim.password and sim.bmc-password.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if world != "" {
				w, err := sim.LoadWorld(world)
				if err != nil {
					return usageError{err}
				}
				cfg.World = &w
			}
			if cfg.Password, err = simSecret(passwordFile, "PVMD_SIM_PASSWORD"); err != nil {
				return err
			}
			if cfg.BMCPassword, err = simSecret(bmcPasswordFile, "PVMD_SIM_BMC_PASSWORD"); err != nil {
				return err
			}
			s, err := sim.Start(cmd.Context(), cfg)
			if err != nil {
				return simError(err)
			}
			e := s.Endpoints()
			fmt.Fprintf(cmd.OutOrStdout(), "vCenter %s, %d BMCs, %d switches, control %s, ledger %s\n",
				e.VCenter, len(e.BMCs), len(e.Switches), e.Control, e.Ledger)
			<-cmd.Context().Done()
			return s.Close()
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.StateDir, "state-dir", cfg.StateDir, "where the ledger, certificates and endpoints are kept")
	f.StringVar(&cfg.VCenterAddr, "address", cfg.VCenterAddr, "where the vCenter listens, IP:PORT")
	f.StringVar(&cfg.ControlAddr, "control", cfg.ControlAddr, "where the control endpoint listens, IP:PORT")
	f.StringVar(&cfg.BMCAddr, "bmc-address", cfg.BMCAddr, "address of the first BMC; the others follow, one address each")
	f.IntVar(&cfg.BMCPort, "bmc-port", cfg.BMCPort, "port of every BMC")
	f.StringVar(&cfg.SwitchAddr, "switch-address", cfg.SwitchAddr, "where the SNMP agent of the first switch listens, IP:PORT; the others follow, one port each")
	f.StringVar(&cfg.BalancerAddr, "balancer-address", cfg.BalancerAddr, "where the stats socket of the first balancer listens, IP:PORT; the others follow, one port each")
	f.StringVar(&cfg.ServiceAddr, "service-address", cfg.ServiceAddr, "where the first service of a host answers, IP:PORT; the others follow, one address each")
	f.StringVar(&cfg.SwitchCommunity, "switch-community", sim.DefaultCommunity, "SNMP community of the switches")
	f.StringVar(&world, "world", "", "YAML file that describes the world (default: the demo world)")
	f.StringVar(&cfg.Ledger, "ledger", "", "file that effects are appended to (default: sim.ledger.jsonl in the state directory)")
	f.StringVar(&cfg.User, "user", sim.DefaultUser, "account of the vCenter")
	f.StringVar(&passwordFile, "password-file", "", "file that holds the vCenter's password")
	f.StringVar(&cfg.BMCUser, "bmc-user", sim.DefaultBMCUser, "account of the BMCs")
	f.StringVar(&bmcPasswordFile, "bmc-password-file", "", "file that holds the BMCs' password (default: the vCenter's)")
	f.StringVar(&cfg.CertFile, "cert", "", "certificate of the vCenter (default: issued by the CA)")
	f.StringVar(&cfg.KeyFile, "key", "", "key of the vCenter's certificate")
	f.StringVar(&cfg.CACertFile, "ca-cert", "", "CA that issues certificates (default: one made in the state directory)")
	f.StringVar(&cfg.CAKeyFile, "ca-key", "", "key of that CA")
	f.DurationVar(&cfg.BootTime, "boot-time", 1500*time.Millisecond, "how long a machine takes to boot")
	cmd.AddCommand(newSimCtlCmd(), newSimArrayCmd())
	return cmd
}

func simSecret(file, env string) (string, error) {
	if file == "" {
		return os.Getenv(env), nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	secret := strings.TrimSpace(string(data))
	if secret == "" {
		return "", usageError{fmt.Errorf("password file %s is empty", file)}
	}
	return secret, nil
}

// simError makes a wrong request exit with 2.
func simError(err error) error {
	var usage *sim.UsageError
	if errors.As(err, &usage) {
		return usageError{err}
	}
	return err
}

// simDo is what a command asks of the running simulator; it returns what to print.
type simDo func(cmd *cobra.Command, c *sim.Client, args []string) (string, error)

// newSimSubCmd is a command with so many arguments for the simulator. stateDir,
// the simulator's state directory, is read when the command runs.
func newSimSubCmd(stateDir *string, use, short string, args int, do simDo) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short,
		Args: func(cmd *cobra.Command, given []string) error {
			if len(given) != args {
				return usageError{fmt.Errorf("want %s; see %s --help", cmd.UseLine(), cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := sim.Dial(*stateDir)
			if err != nil {
				return err
			}
			msg, err := do(cmd, c, args)
			if err != nil {
				return simError(err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), msg)
			return nil
		},
	}
}

// newSimCtlCmd is `pvmd sim ctl`, which puts faults into the simulator.
func newSimCtlCmd() *cobra.Command {
	var stateDir string
	ctl := &cobra.Command{
		Use:   "ctl",
		Short: "put faults into the running simulator, or look at it",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	ctl.PersistentFlags().StringVar(&stateDir, "state-dir", sim.DemoStateDir, "state directory of the simulator")

	sub := func(use, short string, args int, do simDo) *cobra.Command {
		cmd := newSimSubCmd(&stateDir, use, short, args, do)
		ctl.AddCommand(cmd)
		return cmd
	}

	var bmcToo bool
	sub("host-down NAME", "crash a machine: it hangs with its power on; a switch, balancer or array falls silent", 1,
		func(cmd *cobra.Command, c *sim.Client, a []string) (string, error) {
			return c.HostDown(cmd.Context(), a[0], bmcToo)
		}).Flags().BoolVar(&bmcToo, "bmc-too", false, "its BMC doesn't answer either")
	sub("host-up NAME", "repair a machine and wait until it is up, or a switch, balancer or array", 1,
		func(cmd *cobra.Command, c *sim.Client, a []string) (string, error) {
			return c.HostUp(cmd.Context(), a[0])
		})
	sub("delay OP DURATION", "make each task of an operation take that long (0 ends it)", 2,
		func(cmd *cobra.Command, c *sim.Client, a []string) (string, error) {
			d, err := time.ParseDuration(a[1])
			if err != nil {
				return "", usageError{fmt.Errorf("duration %q: want a number and a unit, such as 2s or 500ms", a[1])}
			}
			return c.Delay(cmd.Context(), a[0], d)
		}).Long = "OP is one of: " + strings.Join(sim.Ops(), ", ")
	var times int
	fail := sub("fail OP", "make the next calls of an operation fail", 1,
		func(cmd *cobra.Command, c *sim.Client, a []string) (string, error) {
			return c.Fail(cmd.Context(), a[0], times)
		})
	fail.Long = "OP is one of: " + strings.Join(sim.Ops(), ", ")
	fail.Flags().IntVar(&times, "times", 1, "how many calls fail (0 ends it)")
	sub("load NAME PERCENT", "set the CPU and memory load of a VM server (its VMs bear it) or VM", 2,
		func(cmd *cobra.Command, c *sim.Client, a []string) (string, error) {
			p, err := strconv.Atoi(strings.TrimSuffix(a[1], "%"))
			if err != nil {
				return "", usageError{fmt.Errorf("load %q: want a number of percent", a[1])}
			}
			return c.Load(cmd.Context(), a[0], p)
		})
	sub("alarm NAME ALARM FROM TO", "let an alarm of a VM server or VM change its colour in vCenter", 4,
		func(cmd *cobra.Command, c *sim.Client, a []string) (string, error) {
			return c.Alarm(cmd.Context(), a[0], a[1], a[2], a[3])
		}).Long = sim.AlarmUsage
	sub("clear", "end all delays, failures and loads, and repair what hangs", 0,
		func(cmd *cobra.Command, c *sim.Client, _ []string) (string, error) {
			return c.Clear(cmd.Context())
		})
	var format string
	sub("status", "show machines, VMs and faults as they really are", 0,
		func(cmd *cobra.Command, c *sim.Client, _ []string) (string, error) {
			if format != "table" && format != "json" {
				return "", usageError{fmt.Errorf("output %q: want table or json", format)}
			}
			st, err := c.Status(cmd.Context())
			if err != nil {
				return "", err
			}
			if format == "json" {
				data, err := json.MarshalIndent(st, "", "  ")
				return string(data), err
			}
			var b strings.Builder
			printSimStatus(&b, st)
			printSimStorage(&b, st)
			return strings.TrimSuffix(b.String(), "\n"), nil
		}).Flags().StringVarP(&format, "output", "o", "table", "table or json")
	return ctl
}

func printSimStatus(out io.Writer, st sim.Status) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer w.Flush()
	yes := func(b bool, is, isNot string) string {
		if b {
			return is
		}
		return isNot
	}
	fmt.Fprintln(w, "MACHINE\tPHASE\tPOWER\tBMC\tVCENTER\tMAINTENANCE\tRUNNING")
	for _, m := range st.Machines {
		vc, mm, n := "-", "-", "-"
		if m.VMServer {
			vc, mm, n = m.VCenter, yes(m.Maintenance, "on", "off"), strconv.Itoa(m.Running)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Name, m.Phase, m.Power, yes(m.BMCAnswers, m.BMC, "no answer"), vc, mm, n)
	}
	fmt.Fprintln(w, "\nVM\tSERVER\tPOWER\tRUNNING\tCONNECTED\tTEMPLATE")
	for _, v := range st.VMs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", v.Name, v.Server, v.Power,
			yes(v.Running, "yes", "no"), yes(v.Connected, "yes", "no"), yes(v.Template, "yes", "no"))
	}
	fmt.Fprintln(w, "\nSWITCH\tADDRESS\tVLAN\tNAME\tUNTAGGED\tTAGGED")
	for _, x := range st.Switches {
		for _, v := range x.VLANs {
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", x.Name, yes(x.Answers, x.Address, "no answer"), v.ID, v.Name,
				strings.Join(v.Untagged, ","), strings.Join(v.Tagged, ","))
		}
	}
	if len(st.Rules) > 0 {
		fmt.Fprintln(w, "\nOPERATION\tDELAY\tFAILS")
		for _, r := range st.Rules {
			fmt.Fprintf(w, "%s\t%s\t%d\n", r.Op, r.Delay, r.Fail)
		}
	}
}
