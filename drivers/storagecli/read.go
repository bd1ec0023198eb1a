package storagecli

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"yagura/drivers"
	"yagura/drivers/internal/command"
)

// Facts that lines of output state.
const (
	factVolume    = "volume"
	factNumber    = "number"
	factMember    = "member"
	factGranted   = "granted"
	factConnected = "connected"
	factSession   = "session"
)

// maxRange bounds a range of device numbers.
const maxRange = 1 << 16

// array is what the tools told of an array.
type array struct {
	volumes   map[string]bool
	numbers   map[string]string          // number of a volume to its name
	sets      map[string][]string        // set to its initiators
	granted   map[string]map[string]bool // volume or "#number" to sets
	connected map[string]map[string]bool // volume to initiators
	sessions  map[string]map[string]bool // volume to initiators
}

func newArray() *array {
	return &array{
		volumes: map[string]bool{}, numbers: map[string]string{}, sets: map[string][]string{},
		granted: map[string]map[string]bool{}, connected: map[string]map[string]bool{}, sessions: map[string]map[string]bool{},
	}
}

// read takes the output of one command in.
func (a *array) read(lines []line, output string) error {
	known := map[string]string{}
	for text := range strings.Lines(output) {
		text = strings.TrimRight(text, "\r\n")
		for i := range lines {
			l := &lines[i]
			m := l.re.FindStringSubmatch(text)
			if m == nil || (l.If != "" && known[l.If] == "") {
				continue
			}
			for _, key := range l.Forget {
				delete(known, key)
			}
			for g, key := range l.re.SubexpNames() {
				if key != "" {
					known[key] = m[g]
				}
			}
			for key, v := range l.Let {
				known[key] = placeholder.ReplaceAllStringFunc(v, func(p string) string { return known[p[1:len(p)-1]] })
			}
			if err := a.state(l.Fact, known); err != nil {
				return fmt.Errorf("line %q: %w", command.Clip(text), err)
			}
			break
		}
	}
	return nil
}

// state takes a fact in.
func (a *array) state(fact string, known map[string]string) error {
	if fact == "" {
		return nil
	}
	volumes := []string{known["volume"]}
	if known["first"] != "" {
		var err error
		if volumes, err = numbersBetween(known["first"], known["last"]); err != nil {
			return err
		}
	}
	set, initiator := known["set"], canonical(known["initiator"])
	for _, v := range volumes {
		switch fact {
		case factVolume:
			a.volumes[v] = true
		case factNumber:
			a.volumes[v] = true
			a.numbers[known["number"]] = v
		case factMember:
			if !slices.Contains(a.sets[set], initiator) {
				a.sets[set] = append(a.sets[set], initiator)
			}
		case factGranted:
			if v == "" {
				v = "#" + known["number"]
			}
			put(a.granted, v, set)
		case factConnected:
			put(a.connected, v, initiator)
		case factSession:
			put(a.sessions, v, initiator)
		}
	}
	return nil
}

func put(m map[string]map[string]bool, key, value string) {
	if m[key] == nil {
		m[key] = map[string]bool{}
	}
	m[key][value] = true
}

// numbersBetween spells a range of hexadecimal numbers out, in the width of the first.
func numbersBetween(first, last string) ([]string, error) {
	from, err1 := strconv.ParseUint(first, 16, 32)
	to, err2 := strconv.ParseUint(last, 16, 32)
	if err1 != nil || err2 != nil || to < from || to-from >= maxRange {
		return nil, fmt.Errorf("%s to %s is no range", first, last)
	}
	var out []string
	for n := from; n <= to; n++ {
		out = append(out, fmt.Sprintf("%0*X", len(first), n))
	}
	return out, nil
}

// finish brings grants to sets and numbers together with volumes and initiators.
func (a *array) finish() {
	for key, sets := range a.granted {
		v := key
		if n, ok := strings.CutPrefix(key, "#"); ok {
			v = a.numbers[n]
		}
		for set := range sets {
			for _, i := range a.sets[set] {
				put(a.connected, v, i)
			}
		}
	}
}

// volume is the state of a volume.
func (a *array) volume(name string) drivers.VolumeState {
	sorted := func(m map[string]bool) (out []string) {
		for k := range m {
			out = append(out, k)
		}
		slices.Sort(out)
		return out
	}
	return drivers.VolumeState{Name: name, Initiators: sorted(a.connected[name]), Sessions: sorted(a.sessions[name])}
}

// setOf is the set that an initiator belongs to; "" when it is in none.
func (a *array) setOf(initiator string) string {
	for set, members := range a.sets {
		if slices.Contains(members, initiator) {
			return set
		}
	}
	return ""
}

// canonical brings what tools print as an initiator into the form of the
// machine's rows: a WWPN as pairs in lower case with colons, also when the WWNN
// is before it; an iSCSI name in lower case.
func canonical(s string) string {
	s = strings.ToLower(s)
	raw, err := hex.DecodeString(strings.NewReplacer(":", "", "-", "").Replace(s))
	if err != nil || (len(raw) != 8 && len(raw) != 16) {
		return s
	}
	raw = raw[len(raw)-8:]
	pairs := make([]string, len(raw))
	for i := range raw {
		pairs[i] = hex.EncodeToString(raw[i : i+1])
	}
	return strings.Join(pairs, ":")
}
