package runs

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"yagura/drivers"
	"yagura/drivers/nocloud"
)

// Where a run's files are, in its folder.
const (
	NoCloud = "nocloud" // folder of the identity's files
	Secret  = "secret"  // folder that goes at the end of the run
	Body    = "body"    // the script, when the software brings it along
)

// Variables of a run beside those of the manual.
const (
	VarNoCloud = "YAGURA_NOCLOUD" // folder with meta-data, user-data and network-config
	VarAddress = "YAGURA_ADDRESS" // where the machine's operating system is reached
	VarMachine = "YAGURA_MACHINE" // name of the machine
)

// IdentityFiles are the files of what the machine becomes.
func IdentityFiles(run drivers.Run) []File {
	machine := run.Vars["PVM_HOST_UUID"]
	if machine == "" {
		machine = run.Machine
	}
	files := nocloud.Files(machine, run.Identity)
	var out []File
	for _, name := range slices.Sorted(maps.Keys(files)) {
		out = append(out, File{Name: path.Join(NoCloud, name), Content: files[name]})
	}
	return out
}

// Variables are those of a run, with the product's own.
func Variables(run drivers.Run) map[string]string {
	v := maps.Clone(run.Vars)
	if v == nil {
		v = map[string]string{}
	}
	v[VarAddress], v[VarMachine] = run.Address, run.Machine
	return v
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Assignments are variables as words of a shell, NAME='VALUE', in order. A name
// that is none is an error: it would be a command.
func Assignments(vars map[string]string) ([]string, error) {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if !variable.MatchString(name) {
			return nil, fmt.Errorf("%q is no name of a variable", name)
		}
		out = append(out, name+"="+Quote(vars[name]))
	}
	return out, nil
}

// Script is a body as a file that can be executed: its lines end as on Unix, and
// without a first line that names an interpreter it is one for sh.
func Script(body string) string {
	body = strings.ReplaceAll(strings.TrimPrefix(body, "\ufeff"), "\r\n", "\n")
	if !strings.HasPrefix(body, "#!") {
		body = "#!/bin/sh\n" + body
	}
	if !strings.HasSuffix(body, "\n") {
		body += "\n"
	}
	return body
}
