package trap

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"

	"yagura/fsm/schema"
)

// DefaultPort is the port of SNMP notifications (RFC 3417).
const DefaultPort = 162

// Config are the settings of a trap sink.
type Config struct {
	// Bind is the address of the UDP socket, empty: that of the manager.
	Bind string `yaml:"bind"`
	// Port is its port; 0 receives nothing.
	Port int `yaml:"port"`
	// Communities that v1 and v2c notifications may carry; none: any.
	Communities []string `yaml:"communities"`
	// Users of SNMPv3. Without users v3 notifications are refused.
	Users []User `yaml:"users"`
	// Rate and Burst limit the notifications of one sender, a second and at
	// once; what is above is counted and dropped. A sender of informs that gets no
	// answer sends again.
	Rate  float64 `yaml:"rate"`
	Burst int     `yaml:"burst"`
	// TotalRate limits the notifications of all senders together, a second; 0:
	// nothing but the machine does.
	TotalRate float64 `yaml:"total_rate"`
	// SpoolBytes bounds what is kept on disk until the leader has recorded it.
	SpoolBytes int64 `yaml:"spool_bytes"`
}

// User is a user of SNMPv3 (USM, RFC 3414). Without Auth it is noAuthNoPriv,
// without Priv authNoPriv.
type User struct {
	Name    string `yaml:"name"`
	Auth    string `yaml:"auth"` // md5 | sha | sha224 | sha256 | sha384 | sha512
	AuthKey string `yaml:"auth_key"`
	Priv    string `yaml:"priv"` // des | aes | aes192 | aes256
	PrivKey string `yaml:"priv_key"`
	// EngineID is that of the only engine whose traps it may sign, in hexadecimal
	// digits; empty: any. Informs are signed for the engine of the manager.
	EngineID string `yaml:"engine_id"`
}

// DefaultConfig gives all defaults.
func DefaultConfig() Config {
	return Config{Port: DefaultPort, Rate: 5000, Burst: 20000, SpoolBytes: 256 << 20}
}

// Off tells whether the sink is switched off.
func (c *Config) Off() bool { return c.Port == 0 }

// minKey is the least length of a v3 key.
const minKey = schema.MinSNMPKey

// Validate checks the settings.
func (c *Config) Validate() error {
	if c.Off() {
		return nil
	}
	if c.Port < 0 || c.Port > 65535 {
		return fmt.Errorf("port: %d is no port (0 receives nothing)", c.Port)
	}
	if c.Bind != "" && net.ParseIP(c.Bind) == nil {
		return fmt.Errorf("bind: %q is no IP address", c.Bind)
	}
	if c.Rate <= 0 || c.Burst < 1 {
		return errors.New("rate: rate and burst must be greater than 0")
	}
	if c.TotalRate < 0 {
		return errors.New("total_rate: 0 (no limit) or more")
	}
	if c.SpoolBytes < 1<<20 {
		return errors.New("spool_bytes: 1048576 at least")
	}
	seen := map[string]bool{}
	for _, u := range c.Users {
		if seen[u.Name] {
			return fmt.Errorf("users: %s is named twice", u.Name)
		}
		seen[u.Name] = true
		if err := u.Validate(); err != nil {
			return fmt.Errorf("users: %w", err)
		}
	}
	return nil
}

// Validate checks a user.
func (u *User) Validate() error {
	if u.Name == "" || len(u.Name) > 32 {
		return fmt.Errorf("a name has 1 to 32 bytes, %q hasn't", u.Name)
	}
	if _, ok := authProtocols[strings.ToLower(u.Auth)]; !ok {
		return fmt.Errorf("%s: auth %q; use md5, sha, sha224, sha256, sha384 or sha512", u.Name, u.Auth)
	}
	if _, ok := privProtocols[strings.ToLower(u.Priv)]; !ok {
		return fmt.Errorf("%s: priv %q; use des, aes, aes192 or aes256", u.Name, u.Priv)
	}
	if u.Auth == "" && u.Priv != "" {
		return fmt.Errorf("%s: priv needs auth", u.Name)
	}
	if (u.Auth != "" && len(u.AuthKey) < minKey) || (u.Priv != "" && len(u.PrivKey) < minKey) {
		return fmt.Errorf("%s: a key has %d characters at least", u.Name, minKey)
	}
	if _, err := hex.DecodeString(u.EngineID); err != nil {
		return fmt.Errorf("%s: engine_id %q isn't made of hexadecimal digits", u.Name, u.EngineID)
	}
	return nil
}
