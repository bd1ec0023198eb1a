package drivers

import (
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// CheckSystem compares the system UUID that a machine's management controller
// reports with the one that is known of the machine. It returns an error, for
// KindWrongMachine, when both are UUIDs and differ. One that is empty, a
// placeholder of zeros or ones, or no UUID tells nothing. address is the
// controller's, for the error.
//
// SMBIOS keeps the first three fields of a UUID in the other byte order than
// RFC 9562 (DSP0134, 7.2.1), and not all software swaps them: both count as equal.
func CheckSystem(address, known, reported string) error {
	k, r := parseUUID(known), parseUUID(reported)
	if k == uuid.Nil || r == uuid.Nil || k == r || k == swapFields(r) {
		return nil
	}
	return fmt.Errorf("the management controller at %s is another machine's: it reports the system UUID %s, known is %s; "+
		"correct the address, or the machine's uuid if its board was exchanged", address, r, k)
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
