package schema

import (
	"cmp"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxCA bounds a PEM bundle, bytes.
const maxCA = 64 << 10

// checkAddress accepts a URL with http or https and a host, HOST or HOST:PORT,
// without a password in it: that one has a field of its own. Empty passes: it is
// missing, which is for others to tell.
func checkAddress(o, field, addr string) error {
	if addr == "" {
		return nil
	}
	if err := checkText(o, field, addr, MaxPath); err != nil {
		return err
	}
	bad := Errorf(KindInvalid, o, "%s isn't a URL or HOST:PORT", field).WithHint("write it as https://HOST:PORT or HOST:PORT")
	if strings.Contains(addr, "://") {
		u, err := url.Parse(addr)
		if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
			return bad
		}
		if u.User != nil {
			return Errorf(KindInvalid, o, "%s has a user or a password in it", field).WithHint("use the fields user and password")
		}
		return nil
	}
	host := addr
	if h, _, err := net.SplitHostPort(addr); err == nil {
		host = h
	}
	if host == "" || strings.ContainsAny(host, "/@ ") {
		return bad
	}
	return nil
}

func checkThumbprint(o, field, s string) error {
	if s == "" {
		return nil
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(raw) != 32 {
		return Errorf(KindInvalid, o, "%s is no SHA-256 of a certificate", field).WithHint("write it as 64 hexadecimal digits, with or without colons")
	}
	return nil
}

func checkCA(o, field, text string) error {
	if text == "" {
		return nil
	}
	if len(text) > maxCA {
		return Errorf(KindInvalid, o, "%s has %d bytes, the limit is %d", field, len(text), maxCA)
	}
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(text)) {
		return Errorf(KindInvalid, o, "%s holds no certificate", field).WithHint("give the CA's certificate in PEM form")
	}
	for rest := []byte(text); len(rest) > 0; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			return Errorf(KindInvalid, o, "%s holds a %s; only certificates belong there", field, strings.ToLower(b.Type))
		}
	}
	return nil
}

// Validate checks the row by itself, see Category.Validate.
func (s *Subsystem) Validate() error {
	o := "subsystem " + s.GetName()
	return firstError(
		CheckName(o, "the subsystem's name", s.Name),
		oneOf(o, "kind", s.Kind, false, slices.Sorted(maps.Keys(subsystemKinds))...),
		s.checkAddress(o),
		s.checkOptions(o),
		checkText(o, "user", s.User, MaxName),
		checkThumbprint(o, "thumbprint", s.Thumbprint),
		checkCA(o, "ca", s.Ca),
		between(o, "max_operations", int64(s.MaxOperations), 0, 1000),
		between(o, "max_operations_per_server", int64(s.MaxOperationsPerServer), 0, 1000),
		checkText(o, "description", s.Description, MaxText),
	)
}

// Validate checks the row by itself, see Category.Validate.
func (s *Software) Validate() error {
	o := "software " + s.GetName()
	if err := firstError(
		CheckSoftwareName(o, s.Name),
		oneOf(o, "kind", s.Kind, false, SoftwareTemplate, SoftwareScenario, SoftwareScript),
		checkText(o, "description", s.Description, MaxText),
		checkText(o, "licence", s.Licence, MaxName),
		checkText(o, "object", s.Object, MaxName),
		between(o, "cost", s.Cost, 0, maxAmount),
		oneOf(o, "os", s.Os, true, "linux", "windows"),
	); err != nil {
		return err
	}
	type use struct {
		name string
		set  bool
	}
	foreign, of := []use{{"cost", s.Cost != 0}, {"licence", s.Licence != ""}, {"os", s.Os != ""}}, SoftwareTemplate
	if s.Kind == SoftwareTemplate {
		foreign, of = []use{{"body", s.Body != ""}, {"repeatable", s.Repeatable}, {"timeout_seconds", s.TimeoutSeconds != 0}}, "scenario or script"
	}
	for _, f := range foreign {
		if f.set {
			return Errorf(KindInvalid, o, "%s is for software of kind %s, this one is %s", f.name, of, s.Kind)
		}
	}
	if s.Kind == SoftwareTemplate {
		return CheckVMName(o, cmp.Or(s.Object, s.Name)) // the same rule as for VMs [5.2.19]
	}
	return firstError(s.checkBody(o), between(o, "timeout_seconds", int64(s.TimeoutSeconds), 0, maxTimeout))
}

// Limits of a scenario or script.
const (
	MaxBody    = 256 << 10    // bytes of its text
	maxTimeout = 24 * 60 * 60 // seconds
)

func (s *Software) checkBody(o string) error {
	switch {
	case len(s.Body) > MaxBody:
		return Errorf(KindTooLarge, o, "body has %d bytes, the limit is %d", len(s.Body), MaxBody).WithHint("put the text into a file of the subsystem, and name that in object")
	case !utf8.ValidString(s.Body):
		return Errorf(KindInvalid, o, "body isn't valid UTF-8")
	case strings.ContainsRune(s.Body, 0):
		return Errorf(KindInvalid, o, "body has a NUL character in it")
	}
	return nil
}

// CheckSoftwareName holds the rules of the name of distribution software. A
// local script is shown as name/<localhost> [1.7.1], so a slash may be in it; a
// comma separates names on the command line.
func CheckSoftwareName(object, name string) error {
	if name == "" || strings.TrimSpace(name) != name || strings.ContainsAny(name, `,"`) {
		return Errorf(KindInvalid, object, "the software's name %q is empty, has a comma or a quote in it, or a space at its ends", name)
	}
	return checkText(object, "the software's name", name, MaxName)
}

var userName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// Validate checks the row by itself, see Category.Validate. KindPassword for a
// name that is too long or has forbidden characters (exit code 15).
func (u *User) Validate() error {
	o := "user " + u.GetName()
	if !userName.MatchString(u.Name) {
		return Errorf(KindPassword, "user", "%q can't be a user's name", u.Name).WithHint("take up to 64 letters, digits and . _ @ -")
	}
	if len(u.PasswordHash) == 0 || len(u.PasswordHash) > 1024 {
		return Errorf(KindPassword, o, "it has no password").WithHint("a new account needs one")
	}
	return firstError(
		oneOf(o, "role", u.Role, false, RoleAdministrator, RoleOperator, RoleObserver),
		checkText(o, "description", u.Description, MaxText),
	)
}

// Validate checks the row by itself, see Category.Validate.
func (t *Token) Validate() error {
	if raw, err := hex.DecodeString(t.Hash); err != nil || len(raw) != 32 {
		return Errorf(KindInvalid, "token", "its hash is no SHA-256")
	}
	if t.User == "" || t.Created == nil || t.Expires == nil {
		return Errorf(KindInvalid, "token", "it has no user or no times")
	}
	return nil
}

// Validate checks the row by itself, see Category.Validate.
func (m *Manager) Validate() error {
	o := "manager " + m.GetId()
	if err := CheckHostName(o, m.Id); err != nil {
		return Errorf(KindInvalid, "manager", "%q can't be a manager's id", m.Id).WithHint("take letters and digits, with . - _ inside")
	}
	for _, a := range []struct{ field, addr string }{{"api_address", m.ApiAddress}, {"http_address", m.HttpAddress}, {"raft_address", m.RaftAddress}} {
		if a.addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(a.addr); err != nil {
			return Errorf(KindInvalid, o, "%s is %q, which isn't HOST:PORT", a.field, a.addr)
		}
	}
	return nil
}

// Validate checks the row by itself, see Category.Validate.
func (s *Settings) Validate() error {
	const o = "settings"
	if s.Key != SettingsKey {
		return Errorf(KindInvalid, o, "there is one Settings object, named %s", SettingsKey)
	}
	return firstError(
		between(o, "max_events", int64(s.MaxEvents), 0, 10000000),
		between(o, "max_jobs", int64(s.MaxJobs), 0, 1000000),
		between(o, "max_audit", int64(s.MaxAudit), 0, 10000000),
		between(o, "max_age_days", int64(s.MaxAgeDays), 0, 36500),
		between(o, "brake_jobs", int64(s.BrakeJobs), 0, 100000),
		between(o, "brake_jobs_per_group", int64(s.BrakeJobsPerGroup), 0, 100000),
		between(o, "brake_replacements", int64(s.BrakeReplacements), 0, 100000),
		between(o, "storm_machines", int64(s.StormMachines), 0, 100000),
		between(o, "storm_seconds", int64(s.StormSeconds), 0, 3600),
		between(o, "replace_hold_seconds", int64(s.ReplaceHoldSeconds), 0, 86400),
		between(o, "trap_rate", int64(s.TrapRate), 0, maxTrapRate),
		between(o, "trap_source_rate", int64(s.TrapSourceRate), 0, maxTrapRate),
	)
}
