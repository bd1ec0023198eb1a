package schema

import (
	"encoding/base64"
	"encoding/binary"
	"maps"
	"net"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What a subsystem does for us; the texts complete "it is ...".
const (
	DoesVMs          = "a manager of VM servers"
	DoesVLANs        = "a switch"
	DoesBalancing    = "a load balancer"
	DoesStorage      = "storage"
	DoesDistribution = "a system that distributes software"
)

// addressForm is how a subsystem's address is written.
type addressForm int

const (
	formURL      addressForm = iota // https://HOST:PORT/PATH
	formHost                        // HOST or HOST:PORT; the port has a default
	formEndpoint                    // HOST:PORT or unix:PATH
	formAny                         // one of these, or none at all
	formNone                        // none: it is reached from the manager itself, by options
)

// subsystemKinds is THE list of kinds of subsystems, beside that of the drivers.
var subsystemKinds = map[string]struct {
	does string
	form addressForm
	path string // of the URL, when the address has none
}{
	"vcenter":     {DoesVMs, formURL, "/sdk"},
	"qbridge":     {DoesVLANs, formHost, ""},
	"ovs":         {DoesVLANs, formEndpoint, ""},
	"haproxy":     {DoesBalancing, formEndpoint, ""},
	"bigip":       {DoesBalancing, formURL, ""},
	"tgt":         {DoesStorage, formNone, ""},
	"storage-cli": {DoesStorage, formNone, ""},
	"ansible":     {DoesDistribution, formAny, ""},
	"ssh":         {DoesDistribution, formAny, ""},
	"local":       {DoesDistribution, formNone, ""},
}

// SubsystemDoes tells what a subsystem of a kind does; "" for an unknown kind.
func SubsystemDoes(kind string) string { return subsystemKinds[kind].does }

// NormalAddress completes a subsystem's address to the form that its kind has.
func (s *Subsystem) NormalAddress() string {
	k := subsystemKinds[s.Kind]
	if k.form != formURL || s.Address == "" || strings.Contains(s.Address, "://") {
		return s.Address
	}
	return "https://" + s.Address + k.path
}

func (s *Subsystem) checkAddress(o string) error {
	if s.Address == "" {
		return nil // CheckComplete tells
	}
	if err := checkText(o, "address", s.Address, MaxPath); err != nil {
		return err
	}
	switch subsystemKinds[s.Kind].form {
	case formURL:
		return checkAddress(o, "address", s.Address)
	case formHost:
		return checkHostPort(o, "address", s.Address, false)
	case formEndpoint:
		return checkEndpoint(o, "address", s.Address, true)
	case formNone:
		return Errorf(KindInvalid, o, "address is for other kinds; a subsystem of kind %s works on the leading manager", s.Kind).
			WithHint("leave it out; options say the rest")
	}
	if strings.Contains(s.Address, "://") {
		return checkAddress(o, "address", s.Address)
	}
	return checkEndpoint(o, "address", s.Address, false)
}

// CheckComplete refuses a subsystem without an address whose kind needs one.
func (s *Subsystem) CheckComplete() error {
	if s.Address != "" {
		return nil
	}
	e := Errorf(KindInvalid, "subsystem "+s.Name, "address is missing")
	switch k := subsystemKinds[s.Kind]; k.form {
	case formURL:
		return e.WithHint("give a URL such as https://%s.example.com%s", s.Kind, k.path)
	case formHost:
		return e.WithHint("give HOST or HOST:PORT")
	case formEndpoint:
		return e.WithHint("give HOST:PORT, or unix:PATH")
	}
	return nil
}

// checkEndpoint accepts HOST:PORT or unix:PATH.
func checkEndpoint(o, field, addr string, port bool) error {
	if p, ok := strings.CutPrefix(addr, "unix:"); ok {
		if !path.IsAbs(p) {
			return Errorf(KindInvalid, o, "%s is %q", field, addr).WithHint("the path of the socket must be absolute, as in unix:/run/service.sock")
		}
		return nil
	}
	return checkHostPort(o, field, addr, port)
}

// checkHostPort accepts HOST:PORT, and HOST unless the port is needed.
func checkHostPort(o, field, addr string, port bool) error {
	want := "HOST or HOST:PORT"
	if port {
		want = "HOST:PORT"
	}
	bad := Errorf(KindInvalid, o, "%s is %q", field, addr).WithHint("write it as %s", want)
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		if host = addr; port || strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return bad
		}
	} else if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
		return bad
	}
	if host == "" || strings.ContainsAny(host, "/@?# ") {
		return bad
	}
	return nil
}

var optionName = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)

// maxOptions bounds a subsystem's options.
const maxOptions = 100

func (s *Subsystem) checkOptions(o string) error {
	if len(s.Options) > maxOptions {
		return Errorf(KindInvalid, o, "options has %d entries, the limit is %d", len(s.Options), maxOptions)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Options)) {
		if !optionName.MatchString(name) {
			return Errorf(KindInvalid, o, "options: %q can't be an option's name", name).WithHint("take small letters, digits and _ . -")
		}
		if len(s.Options[name]) > MaxText {
			return Errorf(KindInvalid, o, "options.%s has %d bytes, the limit is %d", name, len(s.Options[name]), MaxText)
		}
	}
	return nil
}

// checkHostKey accepts an SSH host key as in an authorized_keys line (RFC 4253,
// section 6.6): type and base64, perhaps with a comment.
func checkHostKey(o, field, line string) error {
	if line == "" {
		return nil
	}
	parts := strings.Fields(line)
	bad := Errorf(KindInvalid, o, "%s is no SSH host key", field).WithHint("give a line as ssh-keyscan prints it, without the host: ssh-ed25519 AAAA...")
	if len(parts) < 2 || len(line) > MaxText {
		return bad
	}
	raw, err := base64.StdEncoding.DecodeString(parts[1])
	if err != nil || len(raw) < 4 {
		return bad
	}
	if n := binary.BigEndian.Uint32(raw); uint64(n) > uint64(len(raw)-4) || string(raw[4:4+n]) != parts[0] {
		return bad
	}
	return nil
}
