package redfish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/common"
	"github.com/stmcginnis/gofish/redfish"

	"yagura/drivers"
)

var _ drivers.Hardware = (*Driver)(nil)

// maxNICs bounds how many network interfaces of a machine are read, one request each.
const maxNICs = 32

// reference is a link to another resource.
type reference struct {
	ID string `json:"@odata.id"`
}

// described is what a ComputerSystem says of itself (DSP0268; gofish leaves the
// count of cores out).
type described struct {
	Manufacturer, Model, SerialNumber, UUID, BiosVersion string
	Status                                               struct{ Health, HealthRollup common.Health }
	ProcessorSummary                                     struct{ Count, CoreCount, LogicalProcessorCount int }
	MemorySummary                                        struct{ TotalSystemMemoryGiB float64 }
	EthernetInterfaces                                   reference
	Links                                                struct{ ManagedBy []reference }
}

// Hardware implements drivers.Hardware. Firmware is the controller's own
// version, or else the BIOS's.
func (d *Driver) Hardware(ctx context.Context, machine string) (drivers.HardwareInfo, error) {
	var info drivers.HardwareInfo
	err := d.talk(ctx, drivers.Call{}, "read-hardware", machine, func(b bmc, s *redfish.ComputerSystem) error {
		var is described
		if err := get(b.client, s.ODataID, &is); err != nil {
			return err
		}
		nics, err := nics(b.client, is.EthernetInterfaces)
		if err != nil {
			return err
		}
		firmware, err := firmware(b.client, is)
		if err != nil {
			return err
		}
		info = drivers.HardwareInfo{
			UUID: strings.ToLower(is.UUID), Manufacturer: is.Manufacturer, Model: is.Model, Serial: is.SerialNumber, Firmware: firmware,
			CPUs: is.cores(), MemoryMiB: int64(is.MemorySummary.TotalSystemMemoryGiB * 1024), NICs: nics, Health: is.health(),
		}
		return nil
	})
	return info, err
}

// cores counts the processor cores, or what comes closest.
func (s described) cores() int {
	p := s.ProcessorSummary
	switch {
	case p.CoreCount > 0:
		return p.CoreCount
	case p.LogicalProcessorCount > 0:
		return p.LogicalProcessorCount
	}
	return p.Count
}

// health is the worst of the system and its parts, as the controller sums it up.
func (s described) health() string {
	h := s.Status.HealthRollup
	if h == "" {
		h = s.Status.Health
	}
	return map[common.Health]string{common.OKHealth: "normal", common.WarningHealth: "degraded", common.CriticalHealth: "failed"}[h]
}

// nics reads the network interfaces in the controller's order.
func nics(c *gofish.APIClient, of reference) ([]drivers.NIC, error) {
	if of.ID == "" {
		return nil, nil
	}
	var list struct{ Members []reference }
	if err := get(c, of.ID, &list); err != nil {
		return nil, unlessMissing(err)
	}
	var out []drivers.NIC
	for _, m := range list.Members[:min(len(list.Members), maxNICs)] {
		var nic struct{ PermanentMACAddress, MACAddress string }
		if err := get(c, m.ID, &nic); err != nil {
			return nil, err
		}
		text := nic.PermanentMACAddress
		if text == "" {
			text = nic.MACAddress
		}
		if mac, err := net.ParseMAC(text); err == nil && len(mac) == 6 {
			out = append(out, drivers.NIC{MAC: mac.String()})
		}
	}
	return out, nil
}

// firmware is the version of the controller that manages the system, or else of its BIOS.
func firmware(c *gofish.APIClient, s described) (string, error) {
	if len(s.Links.ManagedBy) == 0 {
		return s.BiosVersion, nil
	}
	var m struct{ FirmwareVersion string }
	if err := unlessMissing(get(c, s.Links.ManagedBy[0].ID, &m)); err != nil {
		return "", err
	}
	if m.FirmwareVersion == "" {
		return s.BiosVersion, nil
	}
	return m.FirmwareVersion, nil
}

// get reads one resource.
func get(c *gofish.APIClient, path string, into any) error {
	res, err := c.Get(path)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// unlessMissing forgives a controller that doesn't have what it links to.
func unlessMissing(err error) error {
	var said *common.Error
	if errors.As(err, &said) && said.HTTPReturnedStatusCode == http.StatusNotFound {
		return nil
	}
	return err
}
