package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

// session is a login that later commands use. It lies in a file that only its
// user can read.
type session struct {
	Servers []string  `json:"servers"` // it is never sent to others
	User    string    `json:"user"`
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// serves tells whether the session is for one of the servers, and for the user
// when one is named.
func (s session) serves(servers []string, user string) bool {
	if s.Token == "" || user != "" && user != s.User {
		return false
	}
	return slices.ContainsFunc(servers, func(server string) bool { return slices.Contains(s.Servers, server) })
}

func (a *app) sessionFile() (string, error) {
	dir, err := a.configDir()
	if err != nil {
		return "", schema.Errorf(schema.KindInvalid, "session", "no folder for it: %v", err).WithHint("set HOME or XDG_CONFIG_HOME")
	}
	return filepath.Join(dir, "pvmutl", "session.json"), nil
}

// loadSession gives the stored session; an empty one when there is none.
func (a *app) loadSession() (session, error) {
	var s session
	file, err := a.sessionFile()
	if err != nil {
		return s, nil // no home folder: no session
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fileError(file, err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, schema.Errorf(schema.KindCorrupt, file, "it is damaged").WithHint("run pvmutl login again")
	}
	return s, nil
}

func (a *app) storeSession(s session) error {
	file, err := a.sessionFile()
	if err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fileError(file, err)
	}
	return replaceFile(file, func(f *os.File) error {
		_, err := f.Write(text)
		return err
	})
}

// replaceFile writes a file of mode 0600 whole or not at all.
func replaceFile(file string, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".pvmutl-*") // mode 0600
	if err != nil {
		return fileError(file, err)
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fileError(file, err)
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return fileError(file, err)
	}
	return nil
}

func loginCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "login",
		Short: "Log in; later commands need no password",
		Long: `Log in with --user and a password (--password-file, PVMUTL_PASSWORD, or asked
for on a terminal). The session lies in a file that only you can read; commands
that are given no password and no certificate use it until it expires.`,
		Example: "pvmutl login --user admin",
		Args:    positional(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.login(cmd) },
	}
}

func (a *app) login(cmd *cobra.Command) error {
	if a.options.user == "" {
		return usagef(cmd, "--user is missing")
	}
	password, err := a.password()
	if err != nil {
		return err
	}
	if password == "" {
		if password, err = a.askSecret("password of " + a.options.user); err != nil {
			return err
		}
	}
	c, err := client.Dial(client.Options{Servers: a.options.servers, CA: a.options.ca, Timeout: a.options.timeout})
	if err != nil {
		return err
	}
	defer c.Close()
	reply, err := c.Auth.Login(cmd.Context(), &api.LoginRequest{User: a.options.user, Password: password})
	if err != nil {
		return a.explain(err)
	}
	s := session{Servers: a.options.servers, User: a.options.user, Token: reply.Token, Expires: reply.Expires.AsTime()}
	if err := a.storeSession(s); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s is logged in as %s until %s\n", s.User, reply.Role, localTime(reply.Expires))
	return nil
}

// askSecret asks for a secret on the terminal.
func (a *app) askSecret(what string) (string, error) {
	if !a.stdinTTY {
		return "", schema.Errorf(schema.KindInvalid, what, "not given, and this is no terminal to ask on").
			WithHint("give it in a file")
	}
	fmt.Fprintf(a.stderr, "%s: ", what)
	secret, err := a.readSecret()
	fmt.Fprintln(a.stderr)
	if err != nil {
		return "", schema.Errorf(schema.KindInvalid, what, "%v", err)
	}
	return secret, nil
}

func logoutCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "logout",
		Short:   "End the session of login",
		Example: "pvmutl logout",
		Args:    positional(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.loadSession()
			if err != nil {
				return err
			}
			if s.Token == "" {
				return schema.Errorf(schema.KindUnauthenticated, "session", "nobody is logged in")
			}
			return a.logout(cmd.Context(), s)
		},
	}
}

// logout forgets the session here first: a cluster that is down must not keep
// a token on disk.
func (a *app) logout(ctx context.Context, s session) error {
	if err := a.storeSession(session{}); err != nil {
		return err
	}
	c, err := client.Dial(client.Options{Servers: s.Servers, CA: a.options.ca, Token: s.Token, Timeout: a.options.timeout})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Auth.Logout(ctx, &api.Empty{}); err != nil && schema.KindOf(err) != schema.KindUnauthenticated {
		return a.explain(err)
	}
	return nil
}
