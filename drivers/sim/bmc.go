package sim

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// bmc is the management controller of one machine: a small Redfish service
// (DMTF DSP0266 protocol, DSP0268 schemas) with one system.
type bmc struct {
	sim      *Sim
	m        *machine
	srv      *server
	sessions *sessionTable
}

// The paths of the one system, chassis and manager that each BMC has.
const (
	rfRoot     = "/redfish/v1/"
	rfSystem   = "/redfish/v1/Systems/1"
	rfNICs     = rfSystem + "/EthernetInterfaces"
	rfReset    = rfSystem + "/Actions/ComputerSystem.Reset"
	rfChassis  = "/redfish/v1/Chassis/1"
	rfManager  = "/redfish/v1/Managers/1"
	rfSessions = "/redfish/v1/SessionService/Sessions"
)

// tokenHeader carries the caller's token of one attempt into the ledger.
const tokenHeader = "X-Yagura-Token"

func (s *Sim) startBMCs() error {
	for i, m := range s.order() {
		b := &bmc{sim: s, m: m, sessions: newSessionTable()}
		addr, err := s.bmcAddress(i)
		if err != nil {
			return err
		}
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return err
		}
		cert, err := s.ca.issue(net.ParseIP(host), "bmc-"+m.name)
		if err != nil {
			return err
		}
		conf := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
		if b.srv, err = serve(addr, conf, b.routes()); err != nil {
			return fmt.Errorf("BMC of %s: %w", m.name, err)
		}
		s.bmcs = append(s.bmcs, b)
	}
	return nil
}

func (b *bmc) url() string  { return b.srv.base }
func (b *bmc) close() error { return b.srv.close() }

// system is the name of the BMC in the ledger.
func (b *bmc) system() string { return "bmc-" + b.m.name }

func (b *bmc) routes() http.Handler {
	mux := http.NewServeMux()
	open := func(pattern string, f http.HandlerFunc) { mux.HandleFunc(pattern, f) }
	auth := func(pattern string, f http.HandlerFunc) { mux.HandleFunc(pattern, b.authenticated(f)) }

	open("GET /redfish", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, obj{"v1": rfRoot}) })
	open("GET /redfish/{$}", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, obj{"v1": rfRoot}) })
	open("GET /redfish/v1", b.root)
	open("GET /redfish/v1/{$}", b.root)
	open("GET /redfish/v1/odata", b.odata)
	open("GET /redfish/v1/$metadata", metadata)
	open("POST "+rfSessions, b.login)
	open("POST "+rfSessions+"/Members", b.login)

	auth("GET /redfish/v1/SessionService", b.sessionService)
	auth("GET "+rfSessions, b.listSessions)
	auth("GET "+rfSessions+"/{id}", b.getSession)
	auth("DELETE "+rfSessions+"/{id}", b.logout)
	auth("GET /redfish/v1/Systems", collection("ComputerSystemCollection", "/redfish/v1/Systems", "Computer systems", rfSystem))
	auth("GET "+rfSystem, b.computerSystem)
	auth("GET "+rfSystem+"/ResetActionInfo", b.resetInfo)
	auth("GET "+rfNICs, collection("EthernetInterfaceCollection", rfNICs, "Network interfaces", rfNICs+"/1"))
	auth("GET "+rfNICs+"/1", b.networkInterface)
	auth("POST "+rfReset, b.resetAction)
	auth("GET /redfish/v1/Chassis", collection("ChassisCollection", "/redfish/v1/Chassis", "Chassis", rfChassis))
	auth("GET "+rfChassis, b.chassis)
	auth("GET /redfish/v1/Managers", collection("ManagerCollection", "/redfish/v1/Managers", "Managers", rfManager))
	auth("GET "+rfManager, b.manager)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, 404, "Base.1.8.ResourceMissingAtURI", fmt.Sprintf("There is no resource at %s.", r.URL.Path))
	})
	return slashless(mux)
}

// slashless serves a path with a slash at its end as the one without
// (DSP0266, 6.3: a service shall accept both).
func slashless(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("OData-Version", "4.0")
		w.Header().Set("Cache-Control", "no-store")
		if p := r.URL.Path; len(p) > len(rfRoot) && p[len(p)-1] == '/' {
			r.URL.Path = p[:len(p)-1]
		}
		h.ServeHTTP(w, r)
	})
}

// obj is a JSON object.
type obj map[string]any

// link is a reference to another resource.
func link(path string) obj { return obj{"@odata.id": path} }

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

// fail answers with the error body of DSP0266, 8.6.
func fail(w http.ResponseWriter, code int, id, msg string) {
	reply(w, code, obj{"error": obj{
		"code": id, "message": msg,
		"@Message.ExtendedInfo": []obj{{
			"@odata.type": "#Message.v1_1_1.Message", "MessageId": id, "Message": msg,
			"MessageSeverity": "Critical", "Resolution": "See the message.",
		}},
	}})
}

func collection(kind, path, name string, members ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, collectionOf(kind, path, name, members)) }
}

func collectionOf(kind, path, name string, members []string) obj {
	links := make([]obj, 0, len(members))
	for _, m := range members {
		links = append(links, link(m))
	}
	return obj{
		"@odata.type": "#" + kind + "." + kind, "@odata.id": path,
		"@odata.context": "/redfish/v1/$metadata#" + kind + "." + kind,
		"Name":           name, "Members": links, "Members@odata.count": len(links),
	}
}

func (b *bmc) root(w http.ResponseWriter, _ *http.Request) {
	reply(w, 200, obj{
		"@odata.type": "#ServiceRoot.v1_5_0.ServiceRoot", "@odata.id": rfRoot,
		"@odata.context": "/redfish/v1/$metadata#ServiceRoot.ServiceRoot",
		"Id":             "RootService", "Name": "Root Service", "RedfishVersion": "1.8.0",
		"UUID": nameUUID("bmc", b.m.name), "Vendor": "Yagura", "Product": "Simulated BMC",
		"Systems": link("/redfish/v1/Systems"), "Chassis": link("/redfish/v1/Chassis"),
		"Managers": link("/redfish/v1/Managers"), "SessionService": link("/redfish/v1/SessionService"),
		"Links": obj{"Sessions": link(rfSessions)},
	})
}

func (b *bmc) odata(w http.ResponseWriter, _ *http.Request) {
	entry := func(name, url string) obj { return obj{"name": name, "kind": "Singleton", "url": url} }
	reply(w, 200, obj{"@odata.context": "/redfish/v1/$metadata", "value": []obj{
		entry("Service", rfRoot), entry("Systems", "/redfish/v1/Systems"), entry("Chassis", "/redfish/v1/Chassis"),
		entry("Managers", "/redfish/v1/Managers"), entry("SessionService", "/redfish/v1/SessionService"),
		entry("Sessions", rfSessions),
	}})
}

// metadataDoc names the schemas that the resources are of (DSP0266, 8.4.2). The
// schemas are DMTF's published ones.
var metadataDoc = func() string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0">` + "\n")
	for _, s := range []string{
		"ServiceRoot", "ComputerSystemCollection", "ComputerSystem", "ChassisCollection", "Chassis",
		"ManagerCollection", "Manager", "SessionService", "SessionCollection", "Session", "ActionInfo",
		"EthernetInterfaceCollection", "EthernetInterface",
	} {
		fmt.Fprintf(&b, `  <edmx:Reference Uri="http://redfish.dmtf.org/schemas/v1/%[1]s_v1.xml"><edmx:Include Namespace="%[1]s"/></edmx:Reference>`+"\n", s)
	}
	b.WriteString("</edmx:Edmx>\n")
	return b.String()
}()

func metadata(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/xml; charset=utf-8")
	_, _ = io.WriteString(w, metadataDoc)
}

// resetTypes are the values of ResetType that the system allows.
var resetTypes = []string{"On", "ForceOff", "GracefulShutdown", "ForceRestart", "GracefulRestart"}

func (b *bmc) computerSystem(w http.ResponseWriter, _ *http.Request) {
	b.sim.mu.RLock()
	phase, on, spec := b.m.phase, b.m.powered(), b.m.spec
	b.sim.mu.RUnlock()
	power := "Off"
	status := obj{"State": "Disabled", "Health": "OK", "HealthRollup": "OK"}
	if on {
		power = "On"
		status["State"] = "Enabled"
	}
	if phase == phaseBooting {
		status["State"] = "Starting"
	}
	reply(w, 200, obj{
		"@odata.type": "#ComputerSystem.v1_13_0.ComputerSystem", "@odata.id": rfSystem,
		"@odata.context": "/redfish/v1/$metadata#ComputerSystem.ComputerSystem",
		"Id":             "1", "Name": b.m.name, "HostName": b.m.name, "SystemType": "Physical",
		"Manufacturer": "Yagura", "Model": "Simulated server", "SerialNumber": "SIM-" + b.m.name,
		"UUID": b.m.uuid, "PowerState": power, "Status": status, "IndicatorLED": "Off",
		"Boot": obj{
			"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None",
			"BootSourceOverrideTarget@Redfish.AllowableValues": []string{"None"},
		},
		"ProcessorSummary": obj{"Count": 2, "CoreCount": spec.CPUs, "Status": obj{"State": "Enabled", "Health": "OK"}},
		"BiosVersion":      "1.0", "EthernetInterfaces": link(rfNICs),
		"MemorySummary": obj{"TotalSystemMemoryGiB": spec.MemoryGiB, "Status": obj{"State": "Enabled", "Health": "OK"}},
		"Links":         obj{"Chassis": []obj{link(rfChassis)}, "ManagedBy": []obj{link(rfManager)}},
		"Actions": obj{"#ComputerSystem.Reset": obj{
			"target":                            rfReset,
			"@Redfish.ActionInfo":               rfSystem + "/ResetActionInfo",
			"ResetType@Redfish.AllowableValues": resetTypes,
		}},
	})
}

func (b *bmc) resetInfo(w http.ResponseWriter, _ *http.Request) {
	reply(w, 200, obj{
		"@odata.type": "#ActionInfo.v1_1_2.ActionInfo", "@odata.id": rfSystem + "/ResetActionInfo",
		"Id": "ResetActionInfo", "Name": "Reset Action Info",
		"Parameters": []obj{{"Name": "ResetType", "Required": true, "DataType": "String", "AllowableValues": resetTypes}},
	})
}

// networkInterface is the primary NIC, with the address that vCenter shows of a
// VM server's.
func (b *bmc) networkInterface(w http.ResponseWriter, _ *http.Request) {
	mac := nameMAC("machine", b.m.name, 0)
	reply(w, 200, obj{
		"@odata.type": "#EthernetInterface.v1_6_0.EthernetInterface", "@odata.id": rfNICs + "/1",
		"@odata.context": "/redfish/v1/$metadata#EthernetInterface.EthernetInterface",
		"Id":             "1", "Name": "NIC 1", "MACAddress": mac, "PermanentMACAddress": mac, "InterfaceEnabled": true,
		"Status": obj{"State": "Enabled", "Health": "OK"},
	})
}

func (b *bmc) chassis(w http.ResponseWriter, _ *http.Request) {
	reply(w, 200, obj{
		"@odata.type": "#Chassis.v1_14_0.Chassis", "@odata.id": rfChassis,
		"@odata.context": "/redfish/v1/$metadata#Chassis.Chassis",
		"Id":             "1", "Name": "Chassis of " + b.m.name, "ChassisType": "RackMount",
		"Manufacturer": "Yagura", "SerialNumber": "SIM-" + b.m.name,
		"Status": obj{"State": "Enabled", "Health": "OK"},
		"Links":  obj{"ComputerSystems": []obj{link(rfSystem)}, "ManagedBy": []obj{link(rfManager)}},
	})
}

func (b *bmc) manager(w http.ResponseWriter, _ *http.Request) {
	reply(w, 200, obj{
		"@odata.type": "#Manager.v1_10_0.Manager", "@odata.id": rfManager,
		"@odata.context": "/redfish/v1/$metadata#Manager.Manager",
		"Id":             "1", "Name": "BMC of " + b.m.name, "ManagerType": "BMC", "FirmwareVersion": "1.0",
		"UUID": nameUUID("bmc", b.m.name), "PowerState": "On",
		"DateTime": time.Now().UTC().Format(time.RFC3339), "DateTimeLocalOffset": "+00:00",
		"Status": obj{"State": "Enabled", "Health": "OK"},
		"Links":  obj{"ManagerForServers": []obj{link(rfSystem)}, "ManagerForChassis": []obj{link(rfChassis)}},
	})
}

// poweredOff is why a restart is refused.
const poweredOff = "the power is off"

// resetAction carries out ComputerSystem.Reset. A real controller answers as
// soon as it has understood; the machine follows in its own time, so a delay
// put in for the operation is spent after the answer.
func (b *bmc) resetAction(w http.ResponseWriter, r *http.Request) {
	var req struct{ ResetType string }
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil {
		fail(w, 400, "Base.1.8.MalformedJSON", "The request body is not a JSON object with the property ResetType.")
		return
	}
	s, m := b.sim, b.m
	var op Op
	var act func() (done bool, why string) // Sim.mu held for writing
	switch req.ResetType {
	case "On":
		op, act = OpHostPowerOn, func() (bool, string) { return s.powerOn(m), "" }
	case "ForceOff":
		op, act = OpHostPowerOff, func() (bool, string) { return s.forceOff(m), "" }
	case "ForceRestart":
		op, act = OpHostReset, func() (bool, string) { return s.reset(m), poweredOff }
	case "GracefulShutdown", "GracefulRestart":
		op = OpHostShutdown
		again := req.ResetType == "GracefulRestart"
		if again {
			op = OpHostReboot
		}
		act = func() (bool, string) {
			switch {
			case !m.powered() && again:
				return false, poweredOff
			case !m.powered():
				return false, ""
			}
			return s.stop(m, types.HostSystemPowerStateUnknown, again), "the operating system doesn't answer"
		}
	default:
		fail(w, 400, "Base.1.8.ActionParameterNotSupported",
			fmt.Sprintf("ResetType %q is not supported; %v are.", req.ResetType, resetTypes))
		return
	}
	entry := Entry{System: b.system(), Op: op, Object: m.name, Token: r.Header.Get(tokenHeader)}
	if s.rules.takeFailure(op) {
		entry.Result = resultFailed + "put in by ctl"
		s.ledger.add(entry)
		fail(w, 500, "Base.1.8.InternalError", "The request failed due to an internal service error.")
		return
	}
	carryOut := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		entry.Detail = "was " + string(m.phase)
		done, why := act()
		switch {
		case done:
			entry.Result = ResultOK
		case why == "":
			entry.Result = ResultNoop
		default:
			entry.Result = resultFailed + why
		}
		s.ledger.add(entry)
		return done || why != poweredOff
	}
	if d := s.rules.delayOf(op); d > 0 {
		s.spawn(func() {
			if pause(s.ctx, d) {
				carryOut()
			}
		})
	} else if !carryOut() {
		fail(w, 409, "Base.1.8.ActionNotSupported", "The system is off and can't be restarted.")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
