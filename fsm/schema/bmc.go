package schema

import (
	"net"
)

// Kinds of management controllers.
const (
	BMCRedfish = "redfish"
	BMCIPMI    = "ipmi"
	BMCWoL     = "wol" // no controller: Wake-on-LAN, and SSH to the operating system
)

// validate checks a management controller by itself: what its kind has, and
// nothing of another.
func (b *Bmc) validate(o string) error {
	if b == nil {
		return nil
	}
	if err := firstError(
		oneOf(o, "bmc.kind", b.Kind, false, BMCRedfish, BMCIPMI, BMCWoL),
		checkText(o, "bmc.user", b.User, MaxName),
		checkText(o, "bmc.system", b.System, MaxName),
		checkThumbprint(o, "bmc.thumbprint", b.Thumbprint),
		checkCA(o, "bmc.ca", b.Ca),
		checkHostKey(o, "bmc.host_key", b.HostKey),
	); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		set  bool
		kind string
	}{
		{"bmc.thumbprint", b.Thumbprint != "", BMCRedfish}, {"bmc.ca", b.Ca != "", BMCRedfish},
		{"bmc.key", len(b.Key) > 0, BMCWoL}, {"bmc.host_key", b.HostKey != "", BMCWoL}, {"bmc.mac", b.Mac != "", BMCWoL}, {"bmc.broadcast", b.Broadcast != "", BMCWoL},
	} {
		if f.set && f.kind != b.Kind {
			return Errorf(KindInvalid, o, "%s is for a BMC of kind %s, this one is %s", f.name, f.kind, b.Kind).WithHint("leave it out, or clear it: null")
		}
	}
	if err := b.checkSystem(o); err != nil {
		return err
	}
	if b.Kind == BMCRedfish {
		return checkAddress(o, "bmc.address", b.Address)
	}
	switch {
	case b.Kind == BMCWoL && b.System != "":
		return Errorf(KindInvalid, o, "bmc.system is for a BMC of kind redfish or ipmi, this one is wol").WithHint("leave it out, or clear it: null")
	case b.Kind == BMCIPMI && b.System != "" && b.System != "3" && b.System != "17":
		return Errorf(KindInvalid, o, "bmc.system is %q", b.System).WithHint("for IPMI it is the cipher suite: 17, 3, or empty for 17 with 3 where a controller doesn't have it")
	}
	if b.Address != "" {
		if err := checkHostPort(o, "bmc.address", b.Address, false); err != nil {
			return err
		}
	}
	if b.Mac != "" && NormalMAC(b.Mac) != b.Mac {
		return Errorf(KindInvalid, o, "bmc.mac is %q", b.Mac).WithHint("write it in lower case with colons, such as 52:54:00:12:34:56")
	}
	if b.Broadcast == "" {
		return nil
	}
	if host, _, err := net.SplitHostPort(b.Broadcast); err != nil || net.ParseIP(host) == nil {
		return Errorf(KindInvalid, o, "bmc.broadcast is %q", b.Broadcast).WithHint("write it as ADDRESS:PORT, such as 192.0.2.255:9")
	}
	return checkHostPort(o, "bmc.broadcast", b.Broadcast, true)
}

// checkSystem looks at the field that says what of the controller is meant: the
// id of a Redfish system, or the cipher suite of an IPMI session.
func (b *Bmc) checkSystem(o string) error {
	switch {
	case b.Kind == BMCIPMI && b.System != "" && b.System != "3" && b.System != "17":
		return Errorf(KindInvalid, o, "bmc.system is %q", b.System).WithHint("of an IPMI controller it is the cipher suite: 17, 3, or nothing for the best that it has")
	case b.Kind == BMCWoL && b.System != "":
		return Errorf(KindInvalid, o, "bmc.system is for the kinds redfish and ipmi").WithHint("leave it out, or clear it: null")
	}
	return nil
}

// CheckComplete refuses a management controller that can't be reached as it is.
func (b *Bmc) CheckComplete() error {
	switch {
	case b.Address == "" && b.Kind == BMCRedfish:
		return Errorf(KindInvalid, "", "bmc.address is missing").WithHint("give a URL or HOST:PORT")
	case b.Address == "":
		return Errorf(KindInvalid, "", "bmc.address is missing").WithHint("give HOST or HOST:PORT")
	case b.Kind == BMCWoL && b.HostKey == "":
		return Errorf(KindInvalid, "", "bmc.host_key is missing").WithHint("give the host key of the machine's SSH server, as ssh-keyscan prints it, so that nobody else can answer for it")
	case b.Kind == BMCWoL && (b.User == "" || len(b.Key) == 0 && len(b.Password) == 0):
		return Errorf(KindInvalid, "", "bmc.user, or bmc.key and bmc.password, are missing").WithHint("give the SSH account that may shut the machine down")
	}
	return nil
}
