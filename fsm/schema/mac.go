package schema

import (
	"encoding/hex"
	"net"
	"strings"
)

// NormalMAC gives a MAC address in lower case with colons; "" when it is none
// of 48 bits, and for the all-zero address that unconnected NICs show.
func NormalMAC(s string) string {
	hw, err := net.ParseMAC(strings.TrimSpace(s))
	if err != nil || len(hw) != 6 {
		return ""
	}
	mac := hw.String()
	if mac == "00:00:00:00:00:00" {
		return ""
	}
	return mac
}

// NormalUUID gives a UUID in lower case with hyphens; "" when it is none, and
// for the all-zero and all-one ones that firmware without an identity shows.
func NormalUUID(s string) string {
	raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(s), "-", ""))
	if err != nil || len(raw) != 16 {
		return ""
	}
	zero, one := true, true
	for _, b := range raw {
		zero, one = zero && b == 0, one && b == 0xff
	}
	if zero || one {
		return ""
	}
	h := hex.EncodeToString(raw)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
