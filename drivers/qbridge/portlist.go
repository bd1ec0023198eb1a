package qbridge

// portList is a PortList (RFC 4363): a bit a bridge port, the most significant
// one of the first octet for port 1. It is as long as the agent has it; ports
// beyond its end aren't in it.
type portList []byte

func (l portList) has(port int) bool {
	i := (port - 1) / 8
	return i < len(l) && l[i]&bit(port) != 0
}

// with returns the list with the port in it or not, at least size octets long.
// l stays as it is.
func (l portList) with(port int, in bool, size int) portList {
	out := make(portList, max(len(l), size, (port+7)/8))
	copy(out, l)
	if in {
		out[(port-1)/8] |= bit(port)
	} else {
		out[(port-1)/8] &^= bit(port)
	}
	return out
}

func bit(port int) byte { return 0x80 >> ((port - 1) % 8) }
