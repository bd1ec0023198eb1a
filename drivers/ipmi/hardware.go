package ipmi

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bougou/go-ipmi/pkg/types"

	"yagura/drivers"
)

// Hardware implements drivers.Hardware. IPMI knows neither processors nor
// memory nor the machine's own NICs: they stay empty. What a BMC doesn't have
// (an inventory, a GUID) stays empty, too.
func (d *Driver) Hardware(ctx context.Context, machine string) (drivers.HardwareInfo, error) {
	var info drivers.HardwareInfo
	err := d.talk(ctx, "read-hardware", machine, func(ctx context.Context, b bmc) error {
		c := b.client
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
