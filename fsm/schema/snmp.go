package schema

import (
	"encoding/hex"
	"slices"
	"strings"
)

// Limits of what is received by SNMP.
const (
	// MinSNMPKey is the least length of a passphrase (RFC 3414, section 11.2).
	MinSNMPKey  = 8
	maxSNMPUser = 32      // bytes of a user's name (RFC 3414, section 5, usmUserName)
	maxTrapRate = 1000000 // notifications a second
	minEngineID = 5       // bytes (RFC 3411, section 5, SnmpEngineID)
	maxEngineID = 32
)

// Protocols of SNMPv3 (RFC 3414, RFC 3826, RFC 7860; AES of 192 and 256 bits as
// net-snmp has them). Empty is none.
var (
	snmpAuth = []string{"", "md5", "sha", "sha224", "sha256", "sha384", "sha512"}
	snmpPriv = []string{"", "des", "aes", "aes192", "aes256"}
)

// Validate checks the row by itself, see Category.Validate.
func (u *SnmpUser) Validate() error {
	o := "SNMP user " + u.GetName()
	if len(u.Name) > maxSNMPUser {
		return Errorf(KindInvalid, o, "the user's name has %d bytes, the limit is %d", len(u.Name), maxSNMPUser)
	}
	if !slices.Contains(snmpAuth, u.Auth) {
		return Errorf(KindInvalid, o, "auth is %q", u.Auth).WithHint("use %s", strings.Join(snmpAuth[1:], ", "))
	}
	if !slices.Contains(snmpPriv, u.Priv) {
		return Errorf(KindInvalid, o, "priv is %q", u.Priv).WithHint("use %s", strings.Join(snmpPriv[1:], ", "))
	}
	if u.Priv != "" && u.Auth == "" {
		return Errorf(KindInvalid, o, "priv needs auth")
	}
	if (u.Auth == "") != (len(u.AuthKey) == 0) {
		return Errorf(KindInvalid, o, "of auth and auth_key one is missing")
	}
	if (u.Priv == "") != (len(u.PrivKey) == 0) {
		return Errorf(KindInvalid, o, "of priv and priv_key one is missing")
	}
	if id, err := hex.DecodeString(u.EngineId); err != nil || u.EngineId != "" && (len(id) < minEngineID || len(id) > maxEngineID) {
		return Errorf(KindInvalid, o, "engine_id is %q", u.EngineId).WithHint("give its %d to %d bytes in hexadecimal digits", minEngineID, maxEngineID)
	}
	return firstError(
		CheckName(o, "the user's name", u.Name),
		checkText(o, "description", u.Description, MaxText),
	)
}
