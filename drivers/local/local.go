// Package local runs local scripts (manual 1.7): executables on the managers.
// It implements drivers.Distributor.
//
// A script is a file directly in the Script folder, which each manager has, or
// the body of the software. It runs in the Script folder, without arguments,
// with the variables of the manual, PATH and a few more as its environment, on
// the manager that leads when its step begins. It outlives that manager's
// process, and any other one follows it to its end (package runs).
package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"yagura/drivers"
	"yagura/drivers/runs"
)

// Suffix of a script's name where it stands beside scenarios (manual 1.7.1).
const Suffix = "/<localhost>"

// Config says where scripts are and where they run.
type Config struct {
	Name    string     // of the subsystem, in errors
	Folder  string     // Script folder; empty: software brings its body along
	Runs    string     // folder of this manager in which runs have theirs
	Manager string     // name of this manager
	Peers   runs.Peers // the other managers
	// Options are those of the subsystem: folder, see Folder.
	Options map[string]string
}

// Driver is a manager's way to local scripts.
type Driver struct {
	c              Config
	*runs.Managers // follows and ends runs, wherever they are
}

var _ drivers.Distributor = (*Driver)(nil)

// Open checks the configuration. Nothing is touched.
func Open(c Config) (*Driver, error) {
	if err := runs.Options(c.Options, map[string]any{"folder": &c.Folder}); err != nil {
		return nil, err
	}
	if c.Runs == "" || c.Manager == "" {
		return nil, fmt.Errorf("local scripts need a folder for their runs and the manager's name")
	}
	if c.Folder != "" && !filepath.IsAbs(c.Folder) {
		return nil, fmt.Errorf("option folder: %s is no absolute path", c.Folder)
	}
	folder := &runs.Folder{Shell: runs.Local{System: c.Name}, Base: c.Runs, System: c.Name}
	return &Driver{c, &runs.Managers{Folder: folder, Manager: c.Manager, Peers: c.Peers}}, nil
}

// Scenarios implements drivers.Distributor: the executables in the Script folder.
func (d *Driver) Scenarios(context.Context) ([]drivers.Scenario, error) {
	if d.c.Folder == "" {
		return nil, nil
	}
	entries, err := d.entries()
	if err != nil {
		return nil, err
	}
	var out []drivers.Scenario
	for _, e := range entries {
		if e.executable {
			out = append(out, drivers.Scenario{Name: e.name() + Suffix, Content: e.changed})
		}
	}
	return out, nil
}

// entry is a file in the Script folder.
type entry struct {
	file       string
	changed    time.Time
	executable bool
}

func (e entry) name() string { return strings.TrimSuffix(e.file, filepath.Ext(e.file)) }

func (d *Driver) entries() ([]entry, error) {
	list, err := os.ReadDir(d.c.Folder)
	if err != nil {
		return nil, d.errorf(drivers.KindRefused, "list", d.c.Folder, "the Script folder of manager %s can't be read: %w", d.c.Manager, err)
	}
	var out []entry
	for _, e := range list {
		info, err := os.Stat(filepath.Join(d.c.Folder, e.Name()))
		if err == nil && info.Mode().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, entry{e.Name(), info.ModTime(), info.Mode()&0o111 != 0})
		}
	}
	return out, nil
}

// script is the file that a run names.
func (d *Driver) script(run drivers.Run) (string, error) {
	want := strings.TrimSuffix(run.Object, Suffix)
	if want == "" {
		want = strings.TrimSuffix(run.Name, Suffix)
	}
	if d.c.Folder == "" {
		return "", d.errorf(drivers.KindNotFound, "start", want, "the software has no body, and the subsystem no Script folder (option folder)")
	}
	entries, err := d.entries()
	if err != nil {
		return "", err
	}
	fits := slices.DeleteFunc(entries, func(e entry) bool { return e.file != want && e.name() != want })
	if i := slices.IndexFunc(fits, func(e entry) bool { return e.file == want }); i >= 0 {
		fits = fits[i : i+1]
	}
	switch {
	case len(fits) == 0:
		return "", d.errorf(drivers.KindNotFound, "start", want, "there is no such script in %s of manager %s", d.c.Folder, d.c.Manager)
	case len(fits) > 1:
		return "", d.errorf(drivers.KindRefused, "start", want, "%s holds several files of this name: name one with its extension", d.c.Folder)
	case !fits[0].executable:
		return "", d.errorf(drivers.KindRefused, "start", want, "%s on manager %s is not executable: chmod +x", filepath.Join(d.c.Folder, fits[0].file), d.c.Manager)
	}
	return filepath.Join(d.c.Folder, fits[0].file), nil
}

// Start implements drivers.Distributor. The run takes place on this manager.
func (d *Driver) Start(ctx context.Context, call drivers.Call, run drivers.Run) (drivers.Task, error) {
	object := run.Name + " " + run.Machine
	files := runs.IdentityFiles(run)
	script := `"$run"/` + runs.Body
	if run.Body != "" {
		files = append(files, runs.File{Name: runs.Body, Content: runs.Script(run.Body), Executable: true})
	} else {
		file, err := d.script(run)
		if err != nil {
			return drivers.Task{}, err
		}
		script = runs.Quote(file)
	}
	words, err := runs.Assignments(runs.Variables(run))
	if err != nil {
		return drivers.Task{}, d.errorf(drivers.KindRefused, "start", object, "%w", err)
	}
	command := "run=$PWD\n"
	if d.c.Folder != "" {
		command += "cd " + runs.Quote(d.c.Folder) + " || exit 126\n"
	}
	command += fmt.Sprintf("exec env -i PATH=%s LANG=C.UTF-8 HOME=\"$run\" %s=\"$run\"/%s \\\n  %s \\\n  %s\n",
		runs.Path, runs.VarNoCloud, runs.NoCloud, strings.Join(words, " \\\n  "), script)
	files = append(files, runs.File{Name: "command", Content: command})
	return d.Begin(ctx, call, runs.Spec{Token: call.Token, Files: files, Limit: run.Limit()}, object)
}

func (d *Driver) errorf(k drivers.Kind, op, object, format string, args ...any) error {
	return &drivers.Error{Kind: k, System: d.c.Name, Op: op, Object: object, Err: fmt.Errorf(format, args...)}
}
