package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

// maxCapture bounds a capture file.
const maxCapture = 64 << 20

var trapTestView = view[*api.TestTrapReply]{json: rowJSON[*api.TestTrapReply]}

func trapCommand(a *app) *cobra.Command {
	return family("trap", "Test what SNMP notifications become", trapTestCommand(a))
}

func trapTestCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test FILE.pcap|HEX [--from ADDRESS] [--port N]",
		Short: "Tell what a trap or inform would become",
		Long: `Tell what an SNMP trap or inform would become now: its varbinds, which rule maps
it and why the others don't, the event, and what policy would decide. Nothing is
recorded and nothing is done.

It is given as the payload's bytes in hex (spaces and colons are left out), or as
a capture in pcap or pcapng format, of which all UDP packets that look like SNMP
are taken; --port takes those to one port only. Informs of SNMPv3 are bound to
the manager that they were sent to, and can't be tested.`,
		Example: "pvmutl trap test traps.pcap --port 162\npvmutl trap test 302602010104067075626c6963... --from 192.0.2.7",
		Args:    positional("FILE.pcap|HEX"),

		Annotations: map[string]string{takesFiles: "yes"},
	}
	from := cmd.Flags().String("from", "", "sender's `address` of bytes in hex")
	port := cmd.Flags().Uint16("port", 0, "only packets of a capture to this `port`; 0: any")
	cmd.RunE = a.online(func(ctx context.Context, c *client.Client, args []string) error {
		list, err := datagrams(args[0], *from, *port)
		if err != nil {
			return err
		}
		var replies []*api.TestTrapReply
		for i, d := range list {
			req := &api.TestTrapRequest{Datagram: d.data}
			if d.from.IsValid() {
				req.From = d.from.String()
			}
			reply, err := c.Events.TestTrap(ctx, req)
			if err != nil {
				return err
			}
			replies = append(replies, reply)
			if a.options.output != formatTable {
				continue
			}
			if i > 0 {
				fmt.Fprintln(a.stdout)
			}
			if err := writeTrapTest(a.stdout, reply); err != nil {
				return err
			}
		}
		if a.options.output != formatTable {
			return printList(a, trapTestView, replies)
		}
		return nil
	})
	return cmd
}

// datagrams reads what the command was given: a capture file, or bytes in hex.
func datagrams(arg, from string, port uint16) ([]datagram, error) {
	b, err := readLimited(arg)
	switch {
	case err == nil && !isCapture(b):
		return nil, schema.Errorf(schema.KindInvalid, "file "+arg, "it is no capture in pcap or pcapng format").WithHint("tcpdump -w FILE udp port 162 makes one")
	case err == nil:
		all, err := readCapture(b)
		if err != nil {
			return nil, err
		}
		var out []datagram
		for _, d := range all {
			if len(d.data) > 0 && d.data[0] == 0x30 && (port == 0 || d.port == port) { // SNMP messages are BER sequences
				out = append(out, d)
			}
		}
		if len(out) == 0 {
			return nil, schema.Errorf(schema.KindNotFound, "file "+arg, "none of its %d UDP packets is one of SNMP to that port", len(all)).WithHint("without --port those to any port are taken")
		}
		return out, nil
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) && !isHex(arg):
		return nil, err
	}
	data, err := hex.DecodeString(strings.Map(func(r rune) rune {
		if r == ':' || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, strings.TrimPrefix(arg, "0x")))
	if err != nil || len(data) == 0 {
		return nil, schema.Errorf(schema.KindInvalid, "datagram "+shorten(arg), "there is no such file, and it isn't bytes in hex").WithHint("give a capture file, or two hex digits a byte")
	}
	d := datagram{data: data}
	if from != "" {
		addr, err := netip.ParseAddr(from)
		if err != nil {
			return nil, schema.Errorf(schema.KindInvalid, "--from "+from, "it is no IP address")
		}
		d.from = netip.AddrPortFrom(addr, 162)
	}
	return []datagram{d}, nil
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdefABCDEFx: \t\n") == ""
}

func shorten(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

// readLimited reads a file that isn't larger than a capture may be.
func readLimited(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCapture+1))
	if err == nil && len(b) > maxCapture {
		return nil, schema.Errorf(schema.KindTooLarge, "file "+name, "it is larger than %d bytes", maxCapture).WithHint("capture less: tcpdump -w FILE -c 100 udp port 162")
	}
	return b, err
}

// writeTrapTest writes what one datagram would become.
func writeTrapTest(w io.Writer, r *api.TestTrapReply) error {
	if r.Version == "" {
		_, err := fmt.Fprintf(w, "dropped: %s\n", clean(r.Why))
		return err
	}
	kind := "trap"
	if r.Inform {
		kind = "inform"
	}
	fmt.Fprintf(w, "%s %s %s, agent %s%s\n", r.Version, kind, r.TrapOid, r.Agent, clean(because(r.User, ", user ")))
	if len(r.Varbinds) > 0 {
		fmt.Fprintln(w)
		if err := writeTable(w, []column[*api.Varbind]{{"OID", (*api.Varbind).GetOid}, {"VALUE", (*api.Varbind).GetValue}}, r.Varbinds); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	err := writeTable(w, []column[*api.RuleVerdict]{
		{"RULE", (*api.RuleVerdict).GetRule},
		{"MATCHES", func(v *api.RuleVerdict) string {
			if v.Matches {
				return "yes"
			}
			return "no"
		}},
		{"WHY", (*api.RuleVerdict).GetWhy},
	}, r.Rules)
	if err != nil {
		return err
	}
	fmt.Fprintln(w)
	e := r.Event
	if e == nil {
		_, err := fmt.Fprintf(w, "dropped: %s\n", clean(r.Why))
		return err
	}
	fmt.Fprintf(w, "event %s, notifier %s, severity %s%s\n", clean(eventName(e.Source, e.EventId)), clean(e.Notifier), e.Severity, clean(because(e.Category, ", category ")))
	fmt.Fprintf(w, "  target: %s\n", clean(cmp.Or(e.Target, "none is known as "+e.TargetHint)))
	fmt.Fprintf(w, "  text: %s\n", cell(e.Text))
	writePolicyDecision(w, "", r.Decision)
	if r.Then != nil {
		writePolicyDecision(w, fmt.Sprintf("after %d s without a recovery: ", r.Decision.GetWaitSeconds()), r.Then)
	}
	return nil
}
