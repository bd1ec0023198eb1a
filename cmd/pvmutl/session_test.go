package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/apierr"
)

// TestLogin follows a session: login stores it, commands use it, logout ends it.
func TestLogin(t *testing.T) {
	f := newFake(t)
	f.loadCanned(t)
	c := consoleFor(t, f)
	c.tty, c.secrets = true, []string{"top secret"}
	if code := c.run("login", "--user", "admin"); code != 0 {
		t.Fatalf("exit code %d: %s", code, c.stderr.String())
	}
	if got := f.lastCall(t, "Login").request.(*api.LoginRequest); got.User != "admin" || got.Password != "top secret" {
		t.Errorf("login with %s", prototext.Format(got))
	}
	if !strings.Contains(c.stdout.String(), "admin is logged in as administrator until 2026-11-23") || strings.Contains(c.stdout.String()+c.stderr.String(), "secret") {
		t.Errorf("output %s%s", c.stdout.String(), c.stderr.String())
	}
	file := filepath.Join(c.configDir, "pvmutl", "session.json")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", info.Mode().Perm())
	}

	token := func(args ...string) string {
		t.Helper()
		if code := c.run(args...); code != 0 {
			t.Fatalf("%v: exit code %d: %s", args, code, c.stderr.String())
		}
		return strings.Join(f.lastCall(t, "GetJob").metadata.Get(api.KeyAuthorization), ",")
	}
	if got := token("job", "show", "11"); got != "Bearer token-1" {
		t.Errorf("with the session: %q", got)
	}
	if got := token("job", "show", "11", "--user", "admin"); got != "Bearer token-1" {
		t.Errorf("with the session's user: %q", got)
	}
	if got := token("job", "show", "11", "--user", "tanaka"); got != "" {
		t.Errorf("as another user: %q", got)
	}
	c.env["PVMUTL_SERVERS"] = strings.Replace(f.address, "127.0.0.1", "127.0.0.1:0,127.0.0.1", 1) // the same manager, listed with another
	if got := token("job", "show", "11"); got != "Bearer token-1" {
		t.Errorf("with another manager beside: %q", got)
	}

	other := newFake(t)
	other.loadCanned(t)
	c.env["PVMUTL_SERVERS"], c.env["PVMUTL_CA"] = other.address, other.ca
	if code := c.run("job", "show", "11"); code != 0 {
		t.Fatalf("exit code %d: %s", code, c.stderr.String())
	}
	if got := other.lastCall(t, "GetJob").metadata.Get(api.KeyAuthorization); got != nil {
		t.Errorf("another cluster was sent %q", got)
	}

	c.env["PVMUTL_SERVERS"], c.env["PVMUTL_CA"] = f.address, f.ca
	if code := c.run("logout"); code != 0 {
		t.Fatalf("exit code %d: %s", code, c.stderr.String())
	}
	if got := f.lastCall(t, "Logout").metadata.Get(api.KeyAuthorization); len(got) != 1 || got[0] != "Bearer token-1" {
		t.Errorf("logout of %q", got)
	}
	if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), "token-1") {
		t.Errorf("the file still holds %s (%v)", text, err)
	}
}

// TestPasswords holds where passwords come from.
func TestPasswords(t *testing.T) {
	f := newFake(t)
	f.loadCanned(t)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("from file\r\nmore"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := consoleFor(t, f)
	c.env["PVMUTL_USER"], c.env["PVMUTL_PASSWORD"] = "tanaka", "from variable"
	for _, test := range []struct{ args, want string }{
		{"job show 11", "from variable"},
		{"job show 11 --password-file " + file, "from file"},
	} {
		if code := c.run(strings.Fields(test.args)...); code != 0 {
			t.Fatalf("exit code %d: %s", code, c.stderr.String())
		}
		if got := f.lastCall(t, "Login").request.(*api.LoginRequest); got.User != "tanaka" || got.Password != test.want {
			t.Errorf("%s: login with %s", test.args, prototext.Format(got))
		}
		if got := f.lastCall(t, "GetJob").metadata.Get(api.KeyAuthorization); len(got) != 1 || got[0] != "Bearer token-1" {
			t.Errorf("call with %q", got)
		}
	}
	if code := c.run("job", "show", "11", "--password-file", file+".none"); code != 1 || !strings.Contains(c.stderr.String(), ".none: no such file") {
		t.Errorf("exit code %d: %s", code, c.stderr.String())
	}
}

// TestSetPassword holds where a new account's password comes from.
func TestSetPassword(t *testing.T) {
	f := newFake(t)
	f.loadCanned(t)
	c := consoleFor(t, f)
	c.tty, c.secrets = true, []string{"abc", "abd", "abc", "abc"}
	args := []string{"user", "set", "tanaka", "--role", "operator", "--ask-password"}
	if code := c.run(args...); code != 15 || !strings.Contains(c.stderr.String(), "the two passwords differ") {
		t.Errorf("exit code %d: %s", code, c.stderr.String())
	}
	if code := c.run(args...); code != 0 || f.lastCall(t, "SetUser").request.(*api.SetUserRequest).Password != "abc" {
		t.Errorf("exit code %d: %s", code, c.stderr.String())
	}
	c.tty = false
	if code := c.run(args...); code != 1 || !strings.Contains(c.stderr.String(), "no terminal") {
		t.Errorf("exit code %d: %s", code, c.stderr.String())
	}
	c.env["PVMUTL_NEW_PASSWORD"] = "from variable"
	if code := c.run("user", "set", "tanaka"); code != 0 || f.lastCall(t, "SetUser").request.(*api.SetUserRequest).Password != "from variable" {
		t.Errorf("exit code %d: %s", code, c.stderr.String())
	}
}

// TestExitCodes holds that an error of any kind ends with its code in the one
// table, and says object, message and hint.
func TestExitCodes(t *testing.T) {
	f := newFake(t)
	for _, kind := range apierr.Kinds() {
		if kind == schema.KindNoLeader || kind == schema.KindOutcomeUnknown {
			continue // the client asks again until its time is over
		}
		f.mu.Lock()
		f.errors["GetJob"] = schema.Errorf(kind, "job 00011", "so it is").WithHint("do that")
		f.mu.Unlock()
		c := consoleFor(t, f)
		if code := c.run("job", "show", "11"); code != apierr.Lookup(kind).Exit || code == 0 {
			t.Errorf("%s: exit code %d", kind, code)
		}
		hint := "do that"
		if kind == schema.KindUnauthenticated {
			hint = "run pvmutl login"
		}
		if got := c.stderr.String(); !strings.HasPrefix(got, "pvmutl: job 00011: so it is; "+hint) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: message %q", kind, got)
		}
	}
}

// TestEmptyLists holds what a list without entries looks like in each format.
func TestEmptyLists(t *testing.T) {
	f := newFake(t)
	f.answers["List Group"] = &api.ListReply{}
	for format, want := range map[string]string{"table": "NAME  CATEGORY  KIND  PRIORITY  POLICY  DESCRIPTION\n", "json": "[]\n", "yaml": ""} {
		c := consoleFor(t, f)
		if code := c.run("get", "group", "-o", format); code != 0 || c.stdout.String() != want {
			t.Errorf("%s: exit code %d, %q %s", format, code, c.stdout.String(), c.stderr.String())
		}
	}
}

// TestNobodyAnswers holds what is said when no manager can be reached.
func TestNobodyAnswers(t *testing.T) {
	f := newFake(t)
	c := consoleFor(t, f)
	c.env["PVMUTL_SERVERS"] = "127.0.0.1:1,127.0.0.1:2"
	code := c.run("node", "list", "--timeout", "1s")
	if got := c.stderr.String(); code != 27 || !strings.Contains(got, "connection refused") || !strings.Contains(got, "127.0.0.1:2 (") {
		t.Errorf("exit code %d: %s", code, got)
	}
}

// TestEnvironment holds that variables set options and the command line wins.
func TestEnvironment(t *testing.T) {
	f := newFake(t)
	f.loadCanned(t)
	c := consoleFor(t, f)
	c.env["PVMUTL_OUTPUT"], c.env["PVMUTL_CONSISTENCY"] = "json", "stale"
	if code := c.run("job", "list"); code != 0 || !strings.HasPrefix(c.stdout.String(), "[\n") {
		t.Errorf("exit code %d: %s", code, c.stdout.String())
	}
	if got := f.lastCall(t, "ListJobs").metadata.Get(api.KeyConsistency); len(got) != 1 || got[0] != "stale" {
		t.Errorf("consistency %q", got)
	}
	c.stdout.Reset()
	if code := c.run("job", "list", "-o", "table", "--consistency", "linear"); code != 0 || !strings.HasPrefix(c.stdout.String(), "JOB") {
		t.Errorf("exit code %d: %s", code, c.stdout.String())
	}
	if got := f.lastCall(t, "ListJobs").metadata.Get(api.KeyConsistency); len(got) != 1 || got[0] != "linear" {
		t.Errorf("consistency %q", got)
	}
	c.env["PVMUTL_TIMEOUT"] = "soon"
	if code := c.run("job", "list"); code != 1 || !strings.Contains(c.stderr.String(), "PVMUTL_TIMEOUT") {
		t.Errorf("exit code %d: %s", code, c.stderr.String())
	}
}

// TestSnapshotFiles holds that a backup is written whole and private, and read back.
func TestSnapshotFiles(t *testing.T) {
	f := newFake(t)
	c := consoleFor(t, f)
	file := filepath.Join(t.TempDir(), "yagura.snap")
	if code := c.run("snapshot", "save", file); code != 0 {
		t.Fatalf("exit code %d: %s", code, c.stderr.String())
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != int64(len("snapshot")) {
		t.Errorf("file %v, %v", info, err)
	}
	if code := c.run("snapshot", "restore", file); code != 0 || string(f.saved) != "snapshot" {
		t.Errorf("exit code %d: %s", code, c.stderr.String())
	}
	c.tty, c.stdin = true, "n\n"
	if code := c.run("snapshot", "restore", file); code != 1 || !strings.Contains(c.stderr.String(), "not confirmed") {
		t.Errorf("exit code %d: %s", code, c.stderr.String())
	}
	if code := c.run("snapshot", "save", filepath.Join(file, "x")); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if code := c.run("snapshot", "restore", file+".none"); code != 1 || !strings.Contains(c.stderr.String(), "no such file") {
		t.Errorf("exit code %d: %s", code, c.stderr.String())
	}
}

// TestUnknownOutcomeSaysWhereToLook holds what is said of a write whose answer
// never came: pvmutl gives each call a request id of its own, so that of the
// lost one is of no use.
func TestUnknownOutcomeSaysWhereToLook(t *testing.T) {
	f := newFake(t)
	f.errors["SetMaintenance"] = schema.Errorf(schema.KindOutcomeUnknown, "write", "leadership was lost")
	c := consoleFor(t, f)
	code := c.run("maintenance", "on", "web", "--timeout", "300ms")
	if got := c.stderr.String(); code != apierr.Lookup(schema.KindOutcomeUnknown).Exit || !strings.Contains(got, "pvmutl audit list") || strings.Contains(got, "request id") {
		t.Errorf("exit code %d: %s", code, got)
	}
}
