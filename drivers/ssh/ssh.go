// Package ssh runs scripts on the machines themselves, by SSH (RFC 4251 to
// 4254). It implements drivers.Distributor.
//
// A script, its variables and the identity's files are put into a folder of
// their own on the machine, and a supervisor that stays there runs it (package
// runs). So a run needs no connection: any manager finds it again and follows
// it, also across a restart of the machine's network or of the manager.
package ssh

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"yagura/drivers"
	"yagura/drivers/internal/sshto"
	"yagura/drivers/runs"
)

// Config says how machines are reached.
type Config struct {
	Name       string // of the subsystem, in errors
	User       string
	Password   string // or
	Key        string // private key, PEM
	KnownHosts string // lines of a known_hosts file, or
	KnownFile  string // such a file on each manager
	Insecure   bool   // any host key is taken
	Port       string // where an address has none; default 22
	Folder     string // of the runs on the machines; default .yagura/runs in the user's home
	Sudo       bool   // scripts run as root by "sudo -n"
	// Options are those of the subsystem: known_hosts, known_hosts_file, port, folder, sudo, see
	// the fields of these names.
	Options map[string]string
}

// Driver runs scripts on machines.
type Driver struct {
	c    Config
	dial *sshto.Dialer

	mu    sync.Mutex // guards conns; nil once closed
	conns map[string]*ssh.Client
}

var _ drivers.Distributor = (*Driver)(nil)

// Open checks the configuration; nothing is contacted.
func Open(c Config) (*Driver, error) {
	if err := runs.Options(c.Options, map[string]any{"known_hosts": &c.KnownHosts, "known_hosts_file": &c.KnownFile, "port": &c.Port, "folder": &c.Folder, "sudo": &c.Sudo}); err != nil {
		return nil, err
	}
	d, err := sshto.New(sshto.Config{System: c.Name, User: c.User, Password: c.Password, Key: c.Key, KnownHosts: c.KnownHosts, KnownHostsFile: c.KnownFile, Insecure: c.Insecure})
	if err != nil {
		return nil, err
	}
	if c.Port == "" {
		c.Port = "22"
	}
	if c.Folder == "" {
		c.Folder = ".yagura/runs"
	}
	return &Driver{c: c, dial: d, conns: map[string]*ssh.Client{}}, nil
}

// Scenarios implements drivers.Distributor: software brings its script along,
// or names a program of the machines.
func (d *Driver) Scenarios(context.Context) ([]drivers.Scenario, error) { return nil, nil }

// at is the folder of the runs on a machine.
func (d *Driver) at(address string) *runs.Folder {
	return &runs.Folder{Shell: machine{d, address}, Base: d.c.Folder, System: d.c.Name}
}

func (d *Driver) address(op string, run drivers.Run) (string, error) {
	if run.Address == "" {
		return "", d.errorf(drivers.KindRefused, op, run.Machine, "it has no address: set one on its host setting, or the machine's own")
	}
	return sshto.HostPort(run.Address, d.c.Port), nil
}

// Start implements drivers.Distributor. The id of a run is its token and where
// it is: TOKEN@HOST:PORT.
func (d *Driver) Start(ctx context.Context, call drivers.Call, run drivers.Run) (drivers.Task, error) {
	object := run.Name + " " + run.Machine
	address, err := d.address("start", run)
	if err != nil {
		return drivers.Task{}, err
	}
	if call.Expired(time.Now()) {
		return drivers.Task{}, d.errorf(drivers.KindExpired, "start", object, "%w", call.Late())
	}
	folder, files := d.at(address), runs.IdentityFiles(run)
	program := `"$run"/` + runs.Body
	if run.Body != "" {
		files = append(files, runs.File{Name: runs.Body, Content: runs.Script(run.Body), Executable: true})
	} else {
		if err := d.there(ctx, folder, object, run.Object); err != nil {
			return drivers.Task{}, err
		}
		program = runs.Quote(run.Object)
	}
	words, err := runs.Assignments(runs.Variables(run))
	if err != nil {
		return drivers.Task{}, d.errorf(drivers.KindRefused, "start", object, "%w", err)
	}
	command := fmt.Sprintf("run=$PWD\nexport %s=\"$run\"/%s\n", runs.VarNoCloud, runs.NoCloud)
	for _, w := range words {
		command += "export " + w + "\n"
	}
	command += "cd || exit 126\nexec " + program + "\n"
	files = append(files, runs.File{Name: "command", Content: command})
	if err := folder.Start(ctx, call, runs.Spec{Token: call.Token, Files: files, Limit: run.Limit()}); err != nil {
		return drivers.Task{}, err
	}
	return d.task(ctx, call.Token, address, object)
}

// there tells whether the machine has a program.
func (d *Driver) there(ctx context.Context, f *runs.Folder, object, program string) error {
	if program == "" {
		return d.errorf(drivers.KindNotFound, "start", object, "the software has neither a body nor an object that names a program of the machine")
	}
	_, code, err := f.Shell.Run(ctx, "command -v "+runs.Quote(program)+" >/dev/null || exit 44\n")
	switch {
	case err != nil && drivers.KindOf(err) == drivers.KindUnknown: // nothing was to be done
		return d.errorf(drivers.KindUnreachable, "start", object, "%w", errors.Unwrap(err))
	case err != nil:
		return err
	case code != 0:
		return d.errorf(drivers.KindNotFound, "start", object, "the machine has no program %s, or it isn't executable", program)
	}
	return nil
}

func (d *Driver) task(ctx context.Context, token, address, object string) (drivers.Task, error) {
	f := d.at(address)
	look, err := f.Look(ctx, token)
	if err != nil {
		return drivers.Task{}, err
	}
	return f.Task(token+"@"+address, object, look), nil
}

// Find implements drivers.Distributor.
func (d *Driver) Find(ctx context.Context, token string, run drivers.Run) (string, error) {
	address, err := d.address("find", run)
	if err != nil {
		return "", err
	}
	look, err := d.at(address).Look(ctx, token)
	switch {
	case err != nil:
		return "", err
	case look.State == runs.Absent:
		return "", nil
	case look.State == runs.Lost:
		return "", d.errorf(drivers.KindUnknown, "find", run.Name+" "+run.Machine, "it was begun, and ended with the machine or was killed there: nobody knows how")
	}
	return token + "@" + address, nil
}

// Task implements drivers.Distributor.
func (d *Driver) Task(ctx context.Context, id string) (drivers.Task, error) {
	token, address, ok := strings.Cut(id, "@")
	if !ok {
		return drivers.Task{ID: id, State: drivers.TaskUnknown}, nil
	}
	return d.task(ctx, token, address, id)
}

// Cancel implements drivers.Distributor.
func (d *Driver) Cancel(ctx context.Context, call drivers.Call, id string) error {
	token, address, ok := strings.Cut(id, "@")
	if !ok {
		return d.errorf(drivers.KindNotFound, "cancel", id, "there is no such run")
	}
	return d.at(address).Cancel(ctx, call, token)
}

// Close implements drivers.Distributor. Runs go on.
func (d *Driver) Close(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		c.Close()
	}
	d.conns = nil
	return nil
}

func (d *Driver) errorf(k drivers.Kind, op, object, format string, args ...any) error {
	return &drivers.Error{Kind: k, System: d.c.Name, Op: op, Object: object, Err: fmt.Errorf(format, args...)}
}
