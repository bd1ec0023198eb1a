package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"yagura/node/tlsutil"
)

// newTLSCmd makes what the managers trust each other by.
func newTLSCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tls",
		Short: "make the cluster's certificate authority, keys and certificates",
		Long: `Make the cluster's certificate authority, keys and certificates.

Run "init" once, keep the directory safe, run "issue" for each manager and user,
and bring to each manager: ca.pem, its own NAME.pem and NAME.key, cluster.key
and gossip.key. The authority's key (ca.key) stays where it was made.`,
	}
	var dir, name string
	initCmd := &cobra.Command{
		Use:     "init",
		Short:   "make a new authority, cluster key and gossip key",
		Example: "  pvmd tls init --dir /etc/yagura/tls --name \"datacenter 1\"",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := tlsutil.InitDir(dir, name); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "made %s, %s, %s and %s in %s\n", tlsutil.CAFile, tlsutil.CAKeyFile, tlsutil.ClusterKeyFile, tlsutil.GossipKeyFile, dir)
			return nil
		},
	}
	initCmd.Flags().StringVar(&name, "name", "Yagura", "name of the authority, for people")

	var hosts []string
	var user bool
	var days int
	issue := &cobra.Command{
		Use:     "issue NAME",
		Short:   "issue a manager's or, with --user, a user's certificate",
		Example: "  pvmd tls issue node1 --host 192.0.2.11 --host node1.example.org\n  pvmd tls issue --user operator1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := tlsutil.Request{Role: tlsutil.Manager, Name: args[0], Hosts: hosts, Lifetime: time.Duration(days) * 24 * time.Hour}
			if filepath.Base(args[0]) != args[0] {
				return usageError{fmt.Errorf("%q can't name a file", args[0])}
			}
			switch {
			case user:
				req.Role = tlsutil.User
				if len(hosts) > 0 {
					return usageError{errors.New("--host goes with a manager's certificate")}
				}
			case len(hosts) == 0:
				return usageError{errors.New("give the manager's addresses with --host, or --user for a user's certificate")}
			}
			files, err := tlsutil.IssueInto(dir, req)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "issued %s and %s\n", files.Cert, files.Key)
			return nil
		},
	}
	issue.Flags().StringSliceVar(&hosts, "host", nil, "IP address or DNS name of the manager; may be given more than once")
	issue.Flags().BoolVar(&user, "user", false, "a user's certificate: who holds its key is logged in as NAME")
	issue.Flags().IntVar(&days, "days", int(tlsutil.LeafLifetime.Hours()/24), "lifetime, days")
	cmd.PersistentFlags().StringVar(&dir, "dir", "tls", "directory of the authority")
	cmd.AddCommand(initCmd, issue)
	return cmd
}
