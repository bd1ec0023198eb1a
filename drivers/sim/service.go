package sim

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// ServiceSpec describes a service of a host: it is on a volume, so the machine
// that the volume is connected to is that host. It answers at an address of its
// own while that machine is up and its port is in the VLAN.
type ServiceSpec struct {
	Name   string `yaml:"name"`
	Array  string `yaml:"array"`
	Volume string `yaml:"volume"`
	VLAN   int    `yaml:"vlan"`
}

// checkServices checks the services of a world.
func (w *World) checkServices() error {
	for _, s := range w.Services {
		has := slices.ContainsFunc(w.Arrays, func(a ArraySpec) bool {
			return a.Name == s.Array && slices.ContainsFunc(a.Volumes, func(v VolumeSpec) bool { return v.Name == s.Volume })
		})
		if !has {
			return fmt.Errorf("service %q: array %q has no volume %q", s.Name, s.Array, s.Volume)
		}
	}
	return nil
}

// servicePause is how soon a service follows a change of its machine.
const servicePause = 100 * time.Millisecond

// service listens while its host is there.
type service struct {
	sim  *Sim
	spec ServiceSpec
	addr string
}

// startServices starts all services, one address after the other. Without an
// address there are none.
func (s *Sim) startServices() error {
	if s.cfg.ServiceAddr == "" {
		return nil
	}
	first, err := netip.ParseAddrPort(s.cfg.ServiceAddr)
	if err != nil {
		return &UsageError{Msg: fmt.Sprintf("address %q of the services isn't IP:PORT", s.cfg.ServiceAddr)}
	}
	ip := first.Addr()
	for _, spec := range s.world.Services {
		v := &service{sim: s, spec: spec, addr: netip.AddrPortFrom(ip, first.Port()).String()}
		ip = ip.Next()
		var ln net.Listener
		if v.answers() {
			if ln, err = net.Listen("tcp", v.addr); err != nil {
				return fmt.Errorf("service %s: listen on %s: %w", spec.Name, v.addr, err)
			}
		}
		s.spawn(func() { v.run(ln) })
	}
	return nil
}

// run opens and closes the listener as the host comes and goes.
func (v *service) run(ln net.Listener) {
	served := make(chan struct{})
	serve := func() {
		served = make(chan struct{})
		go func(ln net.Listener, done chan struct{}) { // stop waits for it
			defer close(done)
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				_ = c.Close() // that it answers is all that it says
			}
		}(ln, served)
	}
	stop := func() {
		if ln != nil {
			_ = ln.Close()
			<-served
			ln = nil
		}
	}
	defer stop()
	if ln != nil {
		serve()
	}
	for pause(v.sim.ctx, servicePause) {
		switch is := v.answers(); {
		case is && ln == nil:
			var err error
			if ln, err = net.Listen("tcp", v.addr); err != nil {
				ln = nil
				continue
			}
			serve()
		case !is:
			stop()
		}
	}
}

// answers tells whether a machine is the host now.
func (v *service) answers() bool {
	a, err := v.sim.array(v.spec.Array)
	if err != nil {
		return false
	}
	v.sim.mu.RLock()
	a.mu.Lock()
	var up []string
	for _, x := range a.volumes {
		if x.name != v.spec.Volume {
			continue
		}
		for name, m := range v.sim.machines {
			if m.phase == phaseUp && slices.Contains(x.initiators, Initiator(name)) {
				up = append(up, name)
			}
		}
	}
	a.mu.Unlock()
	v.sim.mu.RUnlock()
	for _, w := range v.sim.switches {
		for n, m := range w.spec.Machines {
			if slices.Contains(up, m) && w.pvid(n) == v.spec.VLAN {
				return true
			}
		}
	}
	return false
}

// pvid is the port-based VLAN of a port, from 0.
func (w *netSwitch) pvid(port int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bridge.pvid[port]
}

// checkServiceAddr refuses an address that isn't loopback.
func (c *Config) checkServiceAddr() error {
	if c.ServiceAddr == "" {
		return nil
	}
	if err := loopbackOnly(c.ServiceAddr); err != nil {
		return errors.Join(&UsageError{Msg: "address of the services"}, err)
	}
	return nil
}
