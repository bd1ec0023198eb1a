// Package ansible runs Ansible playbooks on a manager against one machine. It
// implements drivers.Distributor.
//
// A playbook is the body of the software, or a file in the subsystem's folder
// of playbooks, which each manager has. The run has an inventory of that one
// machine, the variables of the manual as extra variables, and a known_hosts file:
// a machine that can't prove who it is isn't touched. It takes place on the
// manager that leads when its step begins, outlives that manager's process, and
// any other manager follows it to its end (package runs).
package ansible

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"yagura/drivers"
	"yagura/drivers/internal/sshto"
	"yagura/drivers/runs"
)

// Config says how machines are reached and where runs take place.
type Config struct {
	Name       string // of the subsystem, in errors
	User       string
	Key        string // private key, PEM; a passphrase isn't possible
	KnownHosts string // lines of a known_hosts file, or
	KnownFile  string // such a file on each manager
	Insecure   bool   // any host key is taken
	Port       string // where an address has none; default 22
	Become     bool   // tasks run as root by sudo
	Folder     string // of playbooks; empty: software brings its playbook along
	Runs       string // absolute folder of this manager in which runs have theirs
	Manager    string // name of this manager
	Peers      runs.Peers
	// Options are those of the subsystem: known_hosts, known_hosts_file, port, folder, become, see
	// the fields of these names.
	Options map[string]string
}

// Driver is a manager's way to playbooks.
type Driver struct {
	c              Config
	dial           *sshto.Dialer
	*runs.Managers // follows and ends runs, wherever they are
}

var _ drivers.Distributor = (*Driver)(nil)

// program is what runs playbooks.
const program = "ansible-playbook"

// Open checks the configuration; nothing is contacted.
func Open(c Config) (*Driver, error) {
	err := runs.Options(c.Options, map[string]any{"known_hosts": &c.KnownHosts, "known_hosts_file": &c.KnownFile, "port": &c.Port, "folder": &c.Folder, "become": &c.Become})
	if err != nil {
		return nil, err
	}
	if c.Key == "" {
		return nil, errors.New("a private key is needed (key); Ansible has no passwords by itself")
	}
	dial, err := sshto.New(sshto.Config{System: c.Name, User: c.User, Key: c.Key, KnownHosts: c.KnownHosts, KnownHostsFile: c.KnownFile, Insecure: c.Insecure})
	if err != nil {
		return nil, err
	}
	if c.Runs == "" || c.Manager == "" {
		return nil, errors.New("playbooks need a folder for their runs and the manager's name")
	}
	if c.Runs, err = filepath.Abs(c.Runs); err != nil { // the inventory names files in it
		return nil, err
	}
	if c.Folder != "" && !filepath.IsAbs(c.Folder) {
		return nil, fmt.Errorf("option folder: %s is no absolute path", c.Folder)
	}
	if c.Port == "" {
		c.Port = "22"
	}
	folder := &runs.Folder{Shell: runs.Local{System: c.Name}, Base: c.Runs, System: c.Name}
	return &Driver{c, dial, &runs.Managers{Folder: folder, Manager: c.Manager, Peers: c.Peers}}, nil
}

// extensions of playbooks.
var extensions = []string{".yml", ".yaml"}

// Scenarios implements drivers.Distributor: the playbooks directly in the
// folder, without their extension.
func (d *Driver) Scenarios(context.Context) ([]drivers.Scenario, error) {
	if d.c.Folder == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(d.c.Folder)
	if err != nil {
		return nil, d.errorf(drivers.KindRefused, "list", d.c.Folder, "the folder of playbooks on manager %s can't be read: %w", d.c.Manager, err)
	}
	var out []drivers.Scenario
	for _, e := range entries {
		for _, ext := range extensions {
			name, ok := strings.CutSuffix(e.Name(), ext)
			info, err := e.Info()
			if ok && err == nil && !e.IsDir() && name != "" && !strings.HasPrefix(name, ".") {
				out = append(out, drivers.Scenario{Name: name, Content: info.ModTime()})
			}
		}
	}
	return out, nil
}

// playbook is the file that a run names, below the folder.
func (d *Driver) playbook(run drivers.Run) (string, error) {
	name := run.Object
	if name == "" {
		name = run.Name
	}
	if d.c.Folder == "" {
		return "", d.errorf(drivers.KindNotFound, "start", name, "the software has no body, and the subsystem no folder of playbooks (option folder)")
	}
	if !filepath.IsLocal(name) {
		return "", d.errorf(drivers.KindNotFound, "start", name, "a playbook is named by its path below %s", d.c.Folder)
	}
	for _, ext := range append([]string{""}, extensions...) {
		file := filepath.Join(d.c.Folder, name+ext)
		info, err := os.Stat(file)
		switch {
		case err == nil && info.Mode().IsRegular():
			return file, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return "", d.errorf(drivers.KindRefused, "start", name, "on manager %s: %w", d.c.Manager, err)
		}
	}
	return "", d.errorf(drivers.KindNotFound, "start", name, "there is no such playbook in %s of manager %s", d.c.Folder, d.c.Manager)
}

// Start implements drivers.Distributor. The machine is contacted first: one
// that doesn't answer, or doesn't take the key, is told as such, and nothing is run.
func (d *Driver) Start(ctx context.Context, call drivers.Call, run drivers.Run) (drivers.Task, error) {
	object := run.Name + " " + run.Machine
	if call.Expired(time.Now()) {
		return drivers.Task{}, d.errorf(drivers.KindExpired, "start", object, "%w", call.Late())
	}
	if run.Address == "" {
		return drivers.Task{}, d.errorf(drivers.KindRefused, "start", run.Machine, "it has no address: set one on its host setting, or the machine's own")
	}
	if _, err := lookPath(); err != nil {
		return drivers.Task{}, d.errorf(drivers.KindRefused, "start", object, "manager %s has no %s: install Ansible there", d.c.Manager, program)
	}
	address := sshto.HostPort(run.Address, d.c.Port)
	files := runs.IdentityFiles(run)
	playbook := filepath.Join(d.c.Runs, call.Token, "playbook.yml")
	if run.Body != "" {
		files = append(files, runs.File{Name: "playbook.yml", Content: strings.ReplaceAll(strings.TrimPrefix(run.Body, "\ufeff"), "\r\n", "\n")})
	} else {
		var err error
		if playbook, err = d.playbook(run); err != nil {
			return drivers.Task{}, err
		}
	}
	more, err := d.files(call.Token, address, run)
	if err != nil {
		return drivers.Task{}, d.errorf(drivers.KindRefused, "start", object, "%w", err)
	}
	files = append(append(files, more...), runs.File{Name: "command", Content: d.command(playbook)})
	conn, err := d.dial.Dial(ctx, address)
	if err != nil {
		return drivers.Task{}, err
	}
	_ = conn.Close()
	return d.Begin(ctx, call, runs.Spec{Token: call.Token, Files: files, Limit: run.Limit()}, object)
}

// lookPath finds the program where a run will.
func lookPath() (string, error) {
	for _, dir := range filepath.SplitList(runs.Path) {
		file := filepath.Join(dir, program)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", exec.ErrNotFound
}

// command is what sh runs in the folder of the run. Its connections end with
// it: no shared one lingers.
func (d *Driver) command(playbook string) string {
	cd := ""
	if d.c.Folder != "" {
		cd = "cd " + runs.Quote(d.c.Folder) + " || exit 126\n" // for roles and an ansible.cfg there
	}
	become := ""
	if d.c.Become {
		become = " --become"
	}
	return fmt.Sprintf(`run=$PWD
%sexec env -i PATH=%s LANG=C.UTF-8 HOME="$run" PYTHONUNBUFFERED=1 ANSIBLE_LOCAL_TEMP="$run"/tmp ANSIBLE_RETRY_FILES_ENABLED=False \
  ANSIBLE_NOCOLOR=1 ANSIBLE_NOCOWS=1 ANSIBLE_HOST_KEY_CHECKING=%v ANSIBLE_SSH_ARGS='-o ControlMaster=no -o ControlPersist=no' \
  %s --inventory "$run"/inventory.yml --extra-vars @"$run"/vars.json%s %s
`, cd, runs.Path, !d.c.Insecure, program, become, runs.Quote(playbook))
}

// files are the inventory of the one machine, the variables, and how it is reached.
func (d *Driver) files(token, address string, run drivers.Run) ([]runs.File, error) {
	dir := filepath.Join(d.c.Runs, token)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "known_hosts")
	if d.c.KnownFile != "" {
		file = d.c.KnownFile
	}
	known := "-o UserKnownHostsFile=" + runs.Quote(file) + " -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes"
	if d.c.Insecure {
		known = "-o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=no"
	}
	inventory, err := json.Marshal(map[string]any{"all": map[string]any{"hosts": map[string]any{run.Machine: map[string]any{
		"ansible_host": host, "ansible_port": port, "ansible_user": d.c.User, "ansible_ssh_common_args": known,
		"ansible_ssh_private_key_file": filepath.Join(dir, runs.Secret, "key"),
	}}}})
	if err != nil {
		return nil, err
	}
	vars, err := json.Marshal(variables(run, filepath.Join(dir, runs.NoCloud)))
	if err != nil {
		return nil, err
	}
	return []runs.File{
		{Name: "inventory.yml", Content: string(inventory) + "\n"}, // JSON is YAML, too
		{Name: "vars.json", Content: string(vars) + "\n"},
		{Name: "known_hosts", Content: strings.TrimSpace(d.c.KnownHosts) + "\n"},
		{Name: filepath.Join(runs.Secret, "key"), Content: strings.TrimSpace(d.c.Key) + "\n"},
	}, nil
}

// Variables of a playbook beside those of the manual.
const (
	varIdentity = "yagura_identity"
	varNoCloud  = "yagura_nocloud" // folder of the identity's files on the manager
)

// variables are the extra variables of a run: those of the manual under their
// names, and what the machine becomes.
func variables(run drivers.Run, nocloud string) map[string]any {
	out := map[string]any{varNoCloud: nocloud}
	for k, v := range runs.Variables(run) {
		out[k] = plain(v)
	}
	id := run.Identity
	nics := []map[string]any{}
	for _, n := range id.NICs {
		addresses := []map[string]any{}
		for _, a := range append([]drivers.NICAddress{{Address: n.Address, Prefix: n.Prefix, Gateway: n.Gateway}}, n.More...) {
			if a.Address != "" {
				addresses = append(addresses, map[string]any{"address": a.Address, "prefix": a.Prefix, "gateway": a.Gateway})
			}
		}
		nics = append(nics, map[string]any{"mac": n.MAC, "network": plain(n.Network), "addresses": addresses})
	}
	out[varIdentity] = map[string]any{"hostname": plain(id.Hostname), "domain": plain(id.Domain), "dns": append([]string{}, id.DNS...), "nics": nics}
	return out
}

// plain marks a text that rows hold as one that is no template: braces of a tag
// would run as code of the playbook.
func plain(text string) map[string]string { return map[string]string{"__ansible_unsafe": text} }

func (d *Driver) errorf(k drivers.Kind, op, object, format string, args ...any) error {
	return &drivers.Error{Kind: k, System: d.c.Name, Op: op, Object: object, Err: fmt.Errorf(format, args...)}
}
