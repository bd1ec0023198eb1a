package haproxy

import (
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"yagura/drivers"
)

// Bits of srv_admin_state (management guide, "show servers state").
const (
	adminMaint = 0x01 | 0x02 | 0x20 | 0x40 // forced, inherited, by name resolution
	adminDrain = 0x08 | 0x10               // forced, inherited
)

// Servers that the driver added have ids of this range; HAProxy numbers those
// of its configuration from 1.
const (
	firstID = 1_500_000_000
	countID = 500_000_000
)

// server is a server of a backend.
type server struct {
	drivers.MemberState
	id int
}

// added tells whether the driver added it, and may delete it.
func (s server) added() bool { return s.id >= firstID && s.id < firstID+countID }

// commands that read the servers of a backend. The list of backends comes
// last: an answer without it was cut off.
func readCommands(pool string) []string {
	return []string{"show servers state " + pool, "show stat " + pool + " 4 -1", "show backend"}
}

// parseBackends reads the answer to "show backend".
func parseBackends(answer []byte) ([]string, error) {
	lines := strings.Split(string(answer), "\n")
	if lines[0] != "# name" || !strings.HasSuffix(string(answer), "\n\n") {
		return nil, errors.New("it doesn't answer like the runtime API of HAProxy: " + message(answer))
	}
	names := slices.DeleteFunc(lines[1:], func(s string) bool { return s == "" })
	slices.Sort(names)
	return names, nil
}

// parsePool reads the answer to readCommands; there is false when the backend doesn't exist.
func parsePool(pool string, answer []byte) (servers []server, there bool, err error) {
	text := string(answer)
	cut := strings.LastIndex(text, "# name\n")
	if cut < 0 {
		return nil, false, errors.New("it doesn't answer like the runtime API of HAProxy: " + message(answer))
	}
	backends, err := parseBackends([]byte(text[cut:]))
	if err != nil {
		return nil, false, err
	}
	if !slices.Contains(backends, pool) {
		return nil, false, nil
	}
	state, stat, _ := strings.Cut(text[:cut], "\n\n")
	if servers, err = parseState(pool, state); err != nil {
		return nil, false, err
	}
	connections, err := parseStat(strings.TrimSpace(stat))
	if err != nil {
		return nil, false, err
	}
	for i := range servers {
		servers[i].Connections = connections[servers[i].Name]
	}
	slices.SortFunc(servers, func(a, b server) int { return strings.Compare(a.Name, b.Name) })
	return servers, true, nil
}

// parseState reads the answer to "show servers state": a version, the names of
// the columns, a server a line.
func parseState(pool, text string) ([]server, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 2 || !strings.HasPrefix(lines[1], "# ") {
		return nil, errors.New("show servers state: " + message([]byte(text)))
	}
	at, err := columns(strings.Fields(lines[1][2:]), "be_name", "srv_id", "srv_name", "srv_addr", "srv_port", "srv_op_state", "srv_admin_state")
	if err != nil {
		return nil, err
	}
	var all []server
	for _, line := range lines[2:] {
		f := strings.Fields(line)
		if len(f) <= slices.Max(at) {
			return nil, errors.New("show servers state: a line lacks columns: " + message([]byte(line)))
		}
		if f[at[0]] != pool {
			continue
		}
		var n [4]int
		for i, c := range []int{at[1], at[4], at[5], at[6]} {
			if n[i], err = strconv.Atoi(f[c]); err != nil {
				return nil, errors.New("show servers state: a number can't be read: " + message([]byte(line)))
			}
		}
		s := server{id: n[0], MemberState: drivers.MemberState{
			Member: drivers.Member{Name: f[at[2]], Address: f[at[3]], Port: n[1]}, Mode: drivers.MemberReady, Up: n[2] != 0,
		}}
		switch {
		case n[3]&adminMaint != 0:
			s.Mode = drivers.MemberOff
		case n[3]&adminDrain != 0:
			s.Mode = drivers.MemberDraining
		}
		all = append(all, s)
	}
	return all, nil
}

// parseStat reads the current sessions of servers out of the answer to "show stat".
func parseStat(text string) (map[string]int, error) {
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "# ")))
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, errors.New("show stat: " + message([]byte(text)))
	}
	at, err := columns(rows[0], "svname", "scur")
	if err != nil {
		return nil, err
	}
	all := map[string]int{}
	for _, row := range rows[1:] {
		if len(row) <= slices.Max(at) {
			return nil, errors.New("show stat: a line lacks columns")
		}
		n, err := strconv.Atoi(row[at[1]])
		if err != nil {
			return nil, errors.New("show stat: the sessions of " + row[at[0]] + " can't be read")
		}
		all[row[at[0]]] = n
	}
	return all, nil
}

// columns finds columns by name.
func columns(header []string, names ...string) ([]int, error) {
	at := make([]int, len(names))
	for i, n := range names {
		if at[i] = slices.Index(header, n); at[i] < 0 {
			return nil, fmt.Errorf("the answer has no column %s: this isn't HAProxy 2.5 or newer", n)
		}
	}
	return at, nil
}
