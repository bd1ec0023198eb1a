package ipmi

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/types"
	"github.com/google/uuid"

	"yagura/drivers"
)

// Hardware implements drivers.Hardware. IPMI knows neither processors nor
// memory nor the machine's own NICs: they stay empty. What a BMC doesn't have
// (an inventory, a GUID) stays empty, too.
func (d *Driver) Hardware(ctx context.Context, machine string) (drivers.HardwareInfo, error) {
	var info drivers.HardwareInfo
	err := d.talk(ctx, "read-hardware", machine, func(ctx context.Context, c *client.Client) error {
		id, err := c.GetDeviceID(ctx)
		if err != nil {
			return err
		}
		s, err := c.GetChassisStatus(ctx)
		if err != nil {
			return err
		}
		got := drivers.HardwareInfo{Firmware: fmt.Sprintf("%d.%02d", id.MajorFirmwareRevision, id.MinorFirmwareRevision), Health: "normal"}
		if s.PowerFault || s.PowerControlFault || s.PowerOverload || s.CollingFanFault || s.DriveFault {
			got.Health = "degraded"
		}
		switch g, err := c.GetSystemGUID(ctx); {
		case err == nil:
			got.UUID = guid(g.GUID)
		case !without(err):
			return err
		}
		switch fru, err := c.GetFRU(ctx, 0, ""); {
		case err == nil:
			identify(&got, fru)
		case !without(err):
			return err
		}
		info = got
		return nil
	})
	return info, err
}

// without tells whether a BMC answered that it doesn't have what was asked for.
func without(err error) bool {
	var code *types.ResponseError
	return errors.As(err, &code) && code.CompletionCode() != types.CodeOK
}

// identify takes what the inventory says of the product, or else of the board.
func identify(info *drivers.HardwareInfo, fru *types.FRU) {
	if p := fru.ProductInfoArea; p != nil {
		info.Manufacturer, info.Model, info.Serial = text(p.ManufacturerTypeLength, p.Manufacturer), text(p.NameTypeLength, p.Name), text(p.SerialNumberTypeLength, p.SerialNumber)
	}
	if b := fru.BoardInfoArea; b != nil {
		if info.Manufacturer == "" {
			info.Manufacturer = text(b.ManufacturerTypeLength, b.Manufacturer)
		}
		if info.Model == "" {
			info.Model = text(b.ProductNameTypeLength, b.ProductName)
		}
		if info.Serial == "" {
			info.Serial = text(b.SerialNumberTypeLength, b.SerialNumber)
		}
	}
}

// text is a field of the inventory in plain words.
func text(form types.TypeLength, raw []byte) string {
	b, err := form.Chars(raw)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.Trim(string(b), "\x00"))
}

// guid reads a system's GUID. The specification (table 22-16) wants its bytes
// in the reverse order; most BMCs send them in that of SMBIOS, which is also
// what the operating system shows; some as they are written. The first order
// that gives a well-formed UUID counts. Placeholders give nothing.
func guid(raw [16]byte) string {
	if raw == [16]byte{} || raw == [16]byte([]byte(strings.Repeat("\xff", 16))) {
		return ""
	}
	for _, mode := range []types.GUIDMode{types.GUIDModeSMBIOS, types.GUIDModeIPMI, types.GUIDModeRFC4122} {
		if u, err := types.ParseGUID(raw[:], mode); err == nil && u.Variant() == uuid.RFC4122 && u.Version() >= 1 && u.Version() <= 8 {
			return u.String()
		}
	}
	return ""
}
