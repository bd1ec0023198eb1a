package schema

import (
	"encoding/hex"
	"regexp"
	"strings"
)

// iscsiName is an iSCSI name (RFC 7143, section 4.2.7): iqn.YYYY-MM.DOMAIN, with
// anything after a colon; or eui. and naa. with hexadecimal digits.
var iscsiName = regexp.MustCompile(`^(iqn\.\d{4}-\d{2}\.[a-z0-9][a-z0-9.-]*(:[^\s,]+)?|eui\.[0-9a-f]{16}|naa\.([0-9a-f]{16}|[0-9a-f]{32}))$`)

// NormalInitiator gives a storage initiator in the form that arrays are asked
// with: an iSCSI name in lower case, a Fibre Channel WWPN as eight pairs of
// hexadecimal digits in lower case with colons. "" when it is neither.
func NormalInitiator(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if iscsiName.MatchString(s) && len(s) <= 223 {
		return s
	}
	raw, err := hex.DecodeString(strings.NewReplacer(":", "", "-", "").Replace(strings.TrimPrefix(s, "0x")))
	if err != nil || len(raw) != 8 {
		return ""
	}
	pairs := make([]string, len(raw))
	for i, b := range raw {
		pairs[i] = hex.EncodeToString([]byte{b})
	}
	return strings.Join(pairs, ":")
}
