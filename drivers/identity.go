package drivers

import (
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// CheckSystem compares the system UUID that the management controller at address
// reports with the one that is known of a machine. It returns an error, for
// KindWrongMachine, when they can't be of the same one.
func CheckSystem(address, known, reported string) error {
	if SameSystem(known, reported) {
		return nil
	}
	return fmt.Errorf("the management controller at %s is another machine's: it reports the system UUID %s, known is %s; "+
		"correct the address, or the machine's uuid if its board was exchanged", address, parseUUID(reported), parseUUID(known))
}

// SameSystem tells whether two system UUIDs may be of one machine: unless both
// are UUIDs and differ. One that is empty, a placeholder of zeros or ones, or no
// UUID tells nothing. SMBIOS keeps the first three fields in the other byte order
// than RFC 9562 (DSP0134, 7.2.1), and not all software swaps them: both are equal.
func SameSystem(a, b string) bool {
	u, v := parseUUID(a), parseUUID(b)
	return u == uuid.Nil || v == uuid.Nil || u == v || u == swapFields(v)
}

// parseUUID reads a UUID; uuid.Nil when it tells nothing.
func parseUUID(s string) uuid.UUID {
	u, err := uuid.Parse(s)
	if err != nil || u == uuid.Max {
		return uuid.Nil
	}
	return u
}

// swapFields reverses the bytes of the first three fields, of 4, 2 and 2 bytes.
func swapFields(u uuid.UUID) uuid.UUID {
	slices.Reverse(u[0:4])
	slices.Reverse(u[4:6])
	slices.Reverse(u[6:8])
	return u
}
