package tgt

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"yagura/drivers/internal/command"
)

// DefaultTimeout bounds one run of tgtadm, which takes milliseconds.
const DefaultTimeout = 10 * time.Second

// Config says how to reach a tgtd on this machine.
type Config struct {
	// Name is the subsystem's, for errors.
	Name string
	// Address has to be empty: tgtadm works on its own machine. For another one
	// set option command to "ssh root@HOST tgtadm".
	Address string
	// Options are, all optional:
	//   control_port  number of tgtd's control port, when several run (tgtadm -C)
	//   socket        path of its control socket, without the port (TGT_IPC_SOCKET)
	//   prefix        what the names of targets begin with and those of volumes don't
	//   command       how to run tgtadm, such as "sudo -n tgtadm"
	Options map[string]string
}

// settings are options, checked.
type settings struct {
	words  []string // tgtadm with its options
	prefix string
	tool   command.Tool
}

func (c Config) settings() (settings, error) {
	s := settings{words: []string{"tgtadm"}, tool: command.Tool{Timeout: DefaultTimeout, Hint: "install tgt, or set option command"}}
	if c.Address != "" {
		return s, fmt.Errorf("address %q: tgtadm works on its own machine; for another one leave the address out and set option command to \"ssh root@HOST tgtadm\"", c.Address)
	}
	var port, socket []string
	for key, v := range c.Options {
		switch key {
		case "control_port":
			if n, err := strconv.Atoi(v); err != nil || n < 0 || n > 65535 {
				return s, fmt.Errorf("option control_port %q: write a number, 0 to 65535", v)
			}
			port = []string{"-C", v}
		case "socket":
			if !filepath.IsAbs(v) {
				return s, fmt.Errorf("option socket %q: the path has to be absolute", v)
			}
			socket = []string{"TGT_IPC_SOCKET=" + v}
		case "prefix":
			s.prefix = v
		case "command":
			if s.words = strings.Fields(v); len(s.words) == 0 {
				return s, errors.New("option command is empty")
			}
		default:
			return s, fmt.Errorf("there is no option %q; there are command, control_port, prefix, socket", key)
		}
	}
	s.words = append(append(s.words, port...), "--lld", "iscsi")
	s.tool.Env = command.Environ(socket...)
	return s, nil
}
