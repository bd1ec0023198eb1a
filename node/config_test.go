package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yagura/fsm/schema"
	"yagura/node/tlsutil"
)

func valid() Config {
	c := DefaultConfig()
	c.DataDir, c.Bind, c.Join, c.BootstrapExpect = "/var/lib/yagura", "192.0.2.11", []string{"192.0.2.12"}, 3
	c.TLS = tlsutil.Files{CA: "ca.pem", Cert: "n.pem", Key: "n.key"}
	c.ClusterKeyFile, c.GossipKeyFile, c.Admin.PasswordFile = "cluster.key", "gossip.key", "password"
	return c
}

func TestConfigFile(t *testing.T) {
	c := DefaultConfig()
	if err := c.ParseConfig([]byte("node_id: n1\nbind: 192.0.2.11\nraft:\n  heartbeat_timeout: 500ms\nsnmp:\n  port: 10162\n  users:\n  - name: u\n    auth: sha\n    auth_key: longenough\n")); err != nil {
		t.Fatal(err)
	}
	if c.NodeID != "n1" || c.Raft.HeartbeatTimeout != 500*time.Millisecond || c.Raft.ElectionTimeout != 300*time.Millisecond || c.SNMP.Users[0].Auth != "sha" {
		t.Errorf("read as %+v", c)
	}
	for text, want := range map[string]string{
		"nod_id: n1\n":                      "configuration: line 1: there is no key nod_id",
		"raft:\n  heartbeat: 1s\n":          "configuration: line 2: there is no key heartbeat",
		"api_port: many\n":                  "configuration: line 1: many must be a whole number",
		"raft:\n  election_timeout: soon\n": "configuration: line 2: soon must be a time such as 300ms",
		"raft: fast\n":                      "configuration: line 1: fast must be a group of keys",
		"join: {a: b}\n":                    "configuration: line 1: must be a list",
		"node_id: a\n---\nnode_id: b\n":     "configuration: it holds more than one YAML document",
		"{{{":                               "configuration: it is no YAML: line 1: did not find expected node content",
	} {
		if err := c.ParseConfig([]byte(text)); schema.KindOf(err) != schema.KindInvalid || err.Error() != want {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if err := c.ParseConfig(nil); err != nil {
		t.Errorf("an empty file: %v", err)
	}
}

func TestConfigSet(t *testing.T) {
	c := DefaultConfig()
	for key, value := range map[string]string{
		"node_id": "7", "raft.election_timeout": "2s", "join": "a, b:1,", "bootstrap_expect": "5", "leave_on_stop": "true", "snmp.communities": "x", "tls.ca": "/a: b",
	} {
		if err := c.Set(key, value); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	if c.NodeID != "7" || c.Raft.ElectionTimeout != 2*time.Second || strings.Join(c.Join, "|") != "a|b:1" || c.BootstrapExpect != 5 || !c.LeaveOnStop ||
		c.SNMP.Communities[0] != "x" || c.TLS.CA != "/a: b" {
		t.Errorf("set to %+v", c)
	}
	for key, value := range map[string]string{"no.such": "1", "api_port": "x", "raft": "fast"} {
		if err := c.Set(key, value); schema.KindOf(err) != schema.KindInvalid {
			t.Errorf("%s=%s: %v", key, value, err)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	good := valid()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	if good.Advertise != good.Bind {
		t.Errorf("advertise is %q", good.Advertise)
	}
	for name, change := range map[string]func(*Config){
		"bind":                func(c *Config) { c.Bind = "host.example" },
		"unspecified address": func(c *Config) { c.Bind = "0.0.0.0" },
		"data dir":            func(c *Config) { c.DataDir = "" },
		"id":                  func(c *Config) { c.NodeID = "a b" },
		"port":                func(c *Config) { c.RaftPort = 0 },
		"expect":              func(c *Config) { c.BootstrapExpect = -1 },
		"nobody to join":      func(c *Config) { c.BootstrapExpect, c.Join = 0, nil },
		"alone of three":      func(c *Config) { c.Join = nil },
		"certificate":         func(c *Config) { c.TLS.Cert = "" },
		"gossip key":          func(c *Config) { c.GossipKeyFile = "" },
		"password":            func(c *Config) { c.Admin.PasswordFile = "" },
		"log":                 func(c *Config) { c.Raft.Log = "paper" },
		"lease":               func(c *Config) { c.Raft.LeaderLease = time.Second },
		"election":            func(c *Config) { c.Raft.ElectionTimeout = 100 * time.Millisecond },
		"trap port":           func(c *Config) { c.SNMP.Port = -1 },
		"level":               func(c *Config) { c.LogLevel = "loud" },
	} {
		c := valid()
		change(&c)
		if err := c.Validate(); schema.KindOf(err) != schema.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeyFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	for text, ok := range map[string]bool{
		strings.Repeat("ab", 32) + "\n":                true,
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=": true,
		strings.Repeat("ab", 31):                       false,
		"secret":                                       false,
		"":                                             false,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := readKey("cluster_key_file", file, 32)
		if ok != (err == nil) || (ok && len(key) != 32) {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && strings.Contains(err.Error(), strings.Repeat("ab", 4)) {
			t.Errorf("the key is in the error: %v", err)
		}
	}
}

// TestLogKindIsKept starts a manager's files with one kind of log and then
// with the other, which would begin an empty log beside the old one.
func TestLogKindIsKept(t *testing.T) {
	for first, second := range map[string]string{LogWAL: LogBolt, LogBolt: LogWAL} {
		dir := t.TempDir()
		log := raftLogger{discard()}
		s, err := openStores(dir, first, log)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.log.StoreLog(entry(1)); err != nil {
			t.Fatal(err)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		if _, err := openStores(dir, second, log); schema.KindOf(err) != schema.KindInvalid {
			t.Errorf("%s after %s: %v", second, first, err)
		}
		again, err := openStores(dir, first, log)
		if err != nil {
			t.Fatal(err)
		}
		if fresh, err := again.fresh(); fresh || err != nil {
			t.Errorf("with an entry the state is fresh: %t, %v", fresh, err)
		}
		if err := again.close(); err != nil {
			t.Fatal(err)
		}
	}
}
