package node

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/fsm/seal"
	"yagura/node/tlsutil"
	"yagura/node/trap"
)

// Default ports (INTERFACE, "Addresses and ports").
const (
	APIPort    = 26102
	HTTPPort   = 26150
	RaftPort   = 26103
	GossipPort = 26104
)

// The Raft log stores.
const (
	LogWAL  = "wal"
	LogBolt = "bolt"
)

// Config is everything that a manager is started with: the file of
// `pvmd serve -c FILE`. Times are Go durations such as 300ms.
type Config struct {
	// NodeID names this manager for ever. Empty: the name in its certificate.
	NodeID string `yaml:"node_id"`
	// DataDir holds log, snapshots and spool. One manager only may use it.
	DataDir string `yaml:"data_dir"`
	// Bind is the address to listen on; Advertise the one under which the
	// others and clients reach this manager, Bind when empty.
	Bind      string `yaml:"bind"`
	Advertise string `yaml:"advertise"`

	APIPort    int `yaml:"api_port"`
	HTTPPort   int `yaml:"http_port"`
	RaftPort   int `yaml:"raft_port"`
	GossipPort int `yaml:"gossip_port"`

	// Join are gossip addresses (HOST or HOST:PORT) of managers; its own may be among them.
	Join []string `yaml:"join"`
	// BootstrapExpect is how many managers make a new cluster together, all
	// started with the same number; 0: this manager only joins.
	BootstrapExpect int `yaml:"bootstrap_expect"`

	// LeaveOnStop takes this manager out of the cluster when it is stopped in
	// good order. Its data are put aside; started again, it joins as a new one.
	LeaveOnStop bool `yaml:"leave_on_stop"`

	// ClusterKeyFile holds the 32-byte key that credentials of other systems
	// are sealed with, GossipKeyFile the 16, 24 or 32-byte key of gossip; both
	// in hex or base64, the same on all managers.
	ClusterKeyFile string `yaml:"cluster_key_file"`
	GossipKeyFile  string `yaml:"gossip_key_file"`

	TLS   tlsutil.Files `yaml:"tls"`
	Raft  RaftConfig    `yaml:"raft"`
	Admin AdminConfig   `yaml:"admin"`
	SNMP  trap.Config   `yaml:"snmp"`

	// LogLevel is debug, info, warn or error.
	LogLevel string `yaml:"log_level"`

	// Set by the program or a test, not by the file.

	Version string       `yaml:"-"` // of the program
	Log     *slog.Logger `yaml:"-"`
	// Dial replaces the network between managers in tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error) `yaml:"-"`
	// Drivers replaces the drivers in tests; it is asked anew in each term.
	Drivers func(*fsm.Store) DriverSource `yaml:"-"`
}

// RaftConfig are Raft's settings.
type RaftConfig struct {
	HeartbeatTimeout  time.Duration `yaml:"heartbeat_timeout"`
	ElectionTimeout   time.Duration `yaml:"election_timeout"`
	LeaderLease       time.Duration `yaml:"leader_lease"`
	Log               string        `yaml:"log"`                // wal | bolt; fixed once the manager has data
	SnapshotInterval  time.Duration `yaml:"snapshot_interval"`  // between looks whether so many entries have come
	SnapshotThreshold uint64        `yaml:"snapshot_threshold"` // log entries after which a snapshot is taken
	TrailingLogs      uint64        `yaml:"trailing_logs"`      // log entries kept behind a snapshot
}

// AdminConfig is the first administrator, made when the cluster is new.
type AdminConfig struct {
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"` // its first line is the password
}

// DefaultConfig gives all defaults.
func DefaultConfig() Config {
	return Config{
		Bind: "0.0.0.0", APIPort: APIPort, HTTPPort: HTTPPort, RaftPort: RaftPort, GossipPort: GossipPort,
		Raft: RaftConfig{
			HeartbeatTimeout: 300 * time.Millisecond, ElectionTimeout: 300 * time.Millisecond, LeaderLease: 250 * time.Millisecond,
			Log: LogWAL, SnapshotInterval: 10 * time.Second, SnapshotThreshold: 8192, TrailingLogs: 10240,
		},
		Admin:    AdminConfig{User: "admin"},
		SNMP:     trap.DefaultConfig(),
		LogLevel: "info",
	}
}

// ParseConfig reads a configuration file over c's values. Unknown keys are refused.
func (c *Config) ParseConfig(data []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return configError("%s", plainYAML(err))
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return configError("it holds more than one YAML document")
	}
	return nil
}

var (
	unknownKey = regexp.MustCompile(`field (\S+) not found in type .*`)
	wrongType  = regexp.MustCompile("cannot unmarshal !!(\\S+) (?:`(.*)` )?into (\\S+)")
	typeNames  = map[string]string{"int": "a whole number", "int64": "a whole number", "uint64": "a whole number", "float64": "a number", "bool": "true or false", "string": "a text", "[]string": "a list", "time.Duration": "a time such as 300ms"}
)

// plainYAML says what is wrong with a file in the words of its reader instead
// of those of a programmer.
func plainYAML(err error) string {
	var bad *yaml.TypeError
	if !errors.As(err, &bad) {
		return "it is no YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")
	}
	list := make([]string, len(bad.Errors))
	for i, text := range bad.Errors {
		if m := wrongType.FindStringSubmatch(text); m != nil {
			want := typeNames[m[3]]
			if want == "" {
				want = "a group of keys"
			}
			text = wrongType.ReplaceAllLiteralString(text, strings.TrimSpace(m[2]+" must be "+want))
		}
		list[i] = unknownKey.ReplaceAllString(text, "there is no key $1")
	}
	return strings.Join(list, "; ")
}

// Set gives one key a value, both as text: "raft.heartbeat_timeout", "500ms".
// Flags and environment variables come in through it. A list is separated by commas.
func (c *Config) Set(key, value string) error {
	var node yaml.Node
	if err := node.Encode(value); err != nil {
		return configError("%s: %v", key, err)
	}
	node.Tag, node.Style = "", 0
	if key == "join" || key == "snmp.communities" {
		node = yaml.Node{Kind: yaml.SequenceNode}
		for v := range strings.SplitSeq(value, ",") {
			if v = strings.TrimSpace(v); v != "" {
				node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: v})
			}
		}
	}
	parts := strings.Split(key, ".")
	for i := len(parts) - 1; i >= 0; i-- {
		inner := node
		node = yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: parts[i]}, &inner}}
	}
	text, err := yaml.Marshal(&node)
	if err != nil {
		return configError("%s: %v", key, err)
	}
	return c.ParseConfig(text)
}

var validID = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

func configError(format string, args ...any) error {
	return schema.Errorf(schema.KindInvalid, "configuration", format, args...)
}

// Validate checks the configuration and fills in what follows from it.
func (c *Config) Validate() error {
	if c.Advertise == "" {
		c.Advertise = c.Bind
	}
	if ip := net.ParseIP(c.Bind); ip == nil {
		return configError("bind: %q is no IP address", c.Bind)
	}
	if ip := net.ParseIP(c.Advertise); ip == nil {
		return configError("advertise: %q is no IP address", c.Advertise)
	} else if ip.IsUnspecified() {
		return configError("advertise: give the address under which the other managers reach this one; %s stands for all", c.Advertise)
	}
	if c.DataDir == "" {
		return configError("data_dir: give the directory of this manager's data")
	}
	if c.NodeID != "" && !validID.MatchString(c.NodeID) {
		return configError("node_id: %q isn't 1 to 63 letters, digits, points, hyphens or underscores", c.NodeID)
	}
	for name, p := range map[string]int{"api_port": c.APIPort, "http_port": c.HTTPPort, "raft_port": c.RaftPort, "gossip_port": c.GossipPort} {
		if p < 1 || p > 65535 {
			return configError("%s: %d is no port", name, p)
		}
	}
	if c.BootstrapExpect < 0 || c.BootstrapExpect > 9 {
		return configError("bootstrap_expect: %d; a cluster begins with 1 to 9 managers, 3 or 5 are usual", c.BootstrapExpect)
	}
	if c.BootstrapExpect == 0 && len(c.Join) == 0 {
		return configError("join: name at least one other manager, or give bootstrap_expect to make a new cluster")
	}
	if c.BootstrapExpect > 1 && len(c.Join) == 0 {
		return configError("join: name the other managers of the new cluster")
	}
	for _, f := range []struct{ key, value string }{
		{"tls.ca", c.TLS.CA}, {"tls.cert", c.TLS.Cert}, {"tls.key", c.TLS.Key}, {"cluster_key_file", c.ClusterKeyFile}, {"gossip_key_file", c.GossipKeyFile},
	} {
		if f.value == "" {
			return configError("%s: give the file; `pvmd tls init` and `pvmd tls issue` make all of them", f.key)
		}
	}
	if c.BootstrapExpect > 0 && c.Admin.PasswordFile == "" {
		return configError("admin.password_file: a new cluster needs its first administrator's password")
	}
	if err := c.Raft.validate(); err != nil {
		return err
	}
	if err := c.SNMP.Validate(); err != nil {
		return configError("snmp.%v", err)
	}
	if _, err := ParseLevel(c.LogLevel); err != nil {
		return err
	}
	return nil
}

func (r *RaftConfig) validate() error {
	switch {
	case r.Log != LogWAL && r.Log != LogBolt:
		return configError("raft.log: %q; use wal or bolt", r.Log)
	case r.HeartbeatTimeout < 50*time.Millisecond || r.ElectionTimeout < 50*time.Millisecond || r.LeaderLease < 30*time.Millisecond:
		return configError("raft: heartbeat_timeout and election_timeout must be 50ms or more, leader_lease 30ms or more")
	case r.LeaderLease > r.HeartbeatTimeout:
		return configError("raft.leader_lease: %s must not be longer than heartbeat_timeout, %s", r.LeaderLease, r.HeartbeatTimeout)
	case r.ElectionTimeout < r.HeartbeatTimeout:
		return configError("raft.election_timeout: %s must not be shorter than heartbeat_timeout, %s", r.ElectionTimeout, r.HeartbeatTimeout)
	case r.SnapshotInterval < 5*time.Millisecond || r.SnapshotThreshold == 0:
		return configError("raft: snapshot_interval and snapshot_threshold must be greater than 0")
	}
	return nil
}

// ParseLevel reads a log level.
func ParseLevel(s string) (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(s)); err != nil {
		return 0, configError("log_level: %q; use debug, info, warn or error", s)
	}
	return l, nil
}

func (c *Config) hostPort(host string, port int) string {
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// readKey reads a key file: hex or base64 of one of the sizes, bytes.
func readKey(name, file string, sizes ...int) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, configError("%s: %v", name, err)
	}
	text := strings.TrimSpace(string(data))
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString} {
		key, err := decode(text)
		if err != nil {
			continue
		}
		for _, n := range sizes {
			if len(key) == n {
				return key, nil
			}
		}
	}
	return nil, configError("%s: %s must hold a key of %s bytes in hex or base64", name, file, strings.Trim(fmt.Sprint(sizes), "[]"))
}

// password reads the first administrator's password.
func (a *AdminConfig) password() (string, error) {
	data, err := os.ReadFile(a.PasswordFile)
	if err != nil {
		return "", configError("admin.password_file: %v", err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if line = strings.TrimRight(line, "\r"); line == "" {
		return "", configError("admin.password_file: %s is empty", a.PasswordFile)
	}
	return line, nil
}

// sealer makes the sealer of the cluster key.
func (c *Config) sealer() (*seal.Sealer, error) {
	key, err := readKey("cluster_key_file", c.ClusterKeyFile, seal.KeySize)
	if err != nil {
		return nil, err
	}
	return seal.New(key)
}
