package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

// defaultTimeout bounds one answer of the cluster: an election takes less than
// two seconds, and nobody waits half a minute to read that all managers are
// down.
const defaultTimeout = 15 * time.Second

// options are the global options. Each has an environment variable; the
// command line wins.
type options struct {
	servers      []string
	user         string
	passwordFile string
	cert         string
	key          string
	ca           string
	output       string
	timeout      time.Duration
	timeoutSet   bool // given: bounds waiting for jobs as well
	consistency  string
	reason       string
	verbose      bool
}

// globalVariables are the environment variables of the global options.
var globalVariables = map[string]string{
	"server":        "PVMUTL_SERVERS",
	"user":          "PVMUTL_USER",
	"password-file": "PVMUTL_PASSWORD_FILE",
	"cert":          "PVMUTL_CERT",
	"key":           "PVMUTL_KEY",
	"ca":            "PVMUTL_CA",
	"output":        "PVMUTL_OUTPUT",
	"timeout":       "PVMUTL_TIMEOUT",
	"consistency":   "PVMUTL_CONSISTENCY",
	"reason":        "PVMUTL_REASON",
}

// addGlobalOptions declares the global options on the root command.
func (a *app) addGlobalOptions(root *cobra.Command) {
	o, f := &a.options, root.PersistentFlags()
	f.StringSliceVar(&o.servers, "server", nil, "managers as `HOST:PORT`,...; any of them serves any command (PVMUTL_SERVERS)")
	f.StringVar(&o.user, "user", "", "user `name` (PVMUTL_USER)")
	f.StringVar(&o.passwordFile, "password-file", "", "`file` with the user's password; else PVMUTL_PASSWORD, else the session of pvmutl login")
	f.StringVar(&o.cert, "cert", "", "client certificate, PEM `file` (PVMUTL_CERT)")
	f.StringVar(&o.key, "key", "", "key of the client certificate, PEM `file` (PVMUTL_KEY)")
	f.StringVar(&o.ca, "ca", "", "authority of the managers' certificates, PEM `file` (PVMUTL_CA)")
	f.StringVarP(&o.output, "output", "o", formatTable, "output `format`: table, json or yaml (PVMUTL_OUTPUT)")
	f.DurationVar(&o.timeout, "timeout", defaultTimeout, "how long to wait for an answer; when given, for the end of jobs too (PVMUTL_TIMEOUT)")
	f.StringVar(&o.consistency, "consistency", "", "read `level`: stale (any manager's state), leader (default), linear (proven newest)")
	f.StringVar(&o.reason, "reason", "", "why; `text` for the audit trail (PVMUTL_REASON)")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "tell each change of a job while waiting for it")
}

// readOptions completes the global options from the environment and checks
// them. It runs before every command.
func (a *app) readOptions(cmd *cobra.Command, _ []string) error {
	for name, variable := range globalVariables {
		f := cmd.Flag(name)
		value := a.getenv(variable)
		if f == nil || f.Changed || value == "" {
			continue
		}
		if err := f.Value.Set(value); err != nil {
			return usagef(cmd, "%s: %v", variable, err)
		}
		f.Changed = true
	}
	o := &a.options
	for i, server := range o.servers {
		o.servers[i] = withPort(server)
	}
	o.timeoutSet = cmd.Flag("timeout").Changed
	if o.timeout <= 0 {
		return usagef(cmd, "--timeout must be more than 0")
	}
	switch o.output {
	case formatTable, formatJSON, formatYAML:
	default:
		return usagef(cmd, "unknown output format %q; known are table, json and yaml", o.output)
	}
	switch o.consistency {
	case "", api.Stale, api.LeaderRead, api.Linear:
	default:
		return usagef(cmd, "unknown read level %q; known are stale, leader and linear", o.consistency)
	}
	if len(o.reason) > api.MaxReason {
		return usagef(cmd, "--reason is longer than %d bytes", api.MaxReason)
	}
	a.started = true
	return nil
}

// withPort completes a server's address by the port of the API, so that one
// server has one spelling.
func withPort(server string) string {
	server = strings.TrimSpace(server)
	if _, _, err := net.SplitHostPort(server); err == nil || server == "" {
		return server
	}
	return net.JoinHostPort(strings.Trim(server, "[]"), api.DefaultPort)
}

// withTimeout ends ctx after --timeout, if that was given.
func (a *app) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if !a.options.timeoutSet {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, a.options.timeout)
}

// ended is what became of following something: Ctrl-C and --timeout are the ways
// to end it, and no errors.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// dial makes a client of the options. It connects at the first call.
func (a *app) dial() (*client.Client, error) {
	o := a.options
	if len(o.servers) == 0 {
		return nil, schema.Errorf(schema.KindInvalid, "servers", "no manager named").
			WithHint("give --server HOST:PORT,... or set PVMUTL_SERVERS")
	}
	password, err := a.password()
	if err != nil {
		return nil, err
	}
	co := client.Options{
		Servers: o.servers, CA: o.ca, Cert: o.cert, Key: o.key,
		User: o.user, Password: password,
		Consistency: o.consistency, Reason: o.reason, Timeout: o.timeout,
	}
	if password == "" && o.cert == "" {
		session, err := a.loadSession()
		if err != nil {
			return nil, err
		}
		if session.serves(o.servers, o.user) {
			co.Token = session.Token
		}
	}
	return client.Dial(co)
}

// password is the password given by file or variable, "" for none.
func (a *app) password() (string, error) {
	if file := a.options.passwordFile; file != "" {
		return passwordFromFile(file)
	}
	return a.getenv("PVMUTL_PASSWORD"), nil
}

// passwordFromFile is the first line of a file.
func passwordFromFile(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fileError(file, err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", schema.Errorf(schema.KindInvalid, file, "its first line, the password, is empty")
	}
	return line, nil
}

// handler carries out a command over a connection.
type handler func(ctx context.Context, c *client.Client, args []string) error

// online makes a command's run function of a handler: it connects before and
// closes after.
func (a *app) online(h handler) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.dial()
		if err != nil {
			return err
		}
		defer c.Close()
		return a.explain(h(cmd.Context(), c, args))
	}
}

// explain adds to an error what this end of the connection knows.
func (a *app) explain(err error) error {
	var e *schema.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Kind {
	case schema.KindUnauthenticated:
		var untrusted *tls.CertificateVerificationError
		if errors.As(err, &untrusted) {
			e.Hint = "name the CA that signed it (--ca, PVMUTL_CA), and an address that stands in it (--server, PVMUTL_SERVERS)"
			break
		}
		e.Hint = "run pvmutl login, or give --user and --password-file, or --cert and --key"
	case schema.KindOutcomeUnknown:
		e.Hint = "look whether it was done before giving it again: pvmutl audit list, pvmutl job list"
	case schema.KindNoLeader, schema.KindTimeout:
		e.Hint = strings.TrimPrefix(e.Hint+"; tried "+strings.Join(a.options.servers, ", "), "; ")
	}
	return err
}
