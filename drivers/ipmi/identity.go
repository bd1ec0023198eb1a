package ipmi

import (
	"context"
	"strings"

	"github.com/bougou/go-ipmi/pkg/types"
	"github.com/google/uuid"

	"yagura/drivers"
	"yagura/drivers/internal/fault"
)

// confirm sees that the BMC's machine is the one that the settings mean (section
// 22.14). The GUID that the handshake tells for free isn't gone by: it need not be
// the one that a collection reads and an operator can ask for.
func (b bmc) confirm(ctx context.Context) error {
	if b.m.UUID == "" {
		return nil
	}
	g, err := b.client.GetSystemGUID(ctx)
	switch {
	case err != nil && without(err):
		return nil
	case err != nil:
		return err
	}
	if err := b.m.check(g.GUID); err != nil {
		return fault.New(drivers.KindWrongMachine, err)
	}
	return nil
}

// check compares a GUID, in whichever order its bytes came, with the machine's UUID.
func (m Machine) check(raw [16]byte) error {
	for _, order := range orders {
		if u, err := types.ParseGUID(raw[:], order); err == nil && drivers.SameSystem(m.UUID, u.String()) {
			return nil
		}
	}
	return drivers.CheckSystem(m.Address, m.UUID, guid(raw))
}

// orders are those in which BMCs send the bytes of a GUID. The specification
// (table 22-16) wants them reversed; most send them in that of SMBIOS, which is
// also what the operating system shows; some as they are written.
var orders = []types.GUIDMode{types.GUIDModeSMBIOS, types.GUIDModeIPMI, types.GUIDModeRFC4122}

// guid reads a system's GUID: the first order that gives a well-formed UUID
// counts. Placeholders and what is well-formed in none give nothing.
func guid(raw [16]byte) string {
	if raw == [16]byte{} || raw == [16]byte([]byte(strings.Repeat("\xff", 16))) {
		return ""
	}
	for _, order := range orders {
		if u, err := types.ParseGUID(raw[:], order); err == nil && u.Variant() == uuid.RFC4122 && u.Version() >= 1 && u.Version() <= 8 {
			return u.String()
		}
	}
	return ""
}
