package storagecli

import (
	_ "embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed families.yaml
var familiesYAML []byte

// family is the tools of one kind of array; families.yaml says what the fields mean.
type family struct {
	Options    map[string]string // with defaults; an empty one has to be given
	WWN        string
	Exclusive  bool
	Read       []reading
	Connect    string
	Disconnect string
	Commit     string // may be empty
}

type reading struct {
	Run   string
	Lines []line
}

// line acts on a line of output.
type line struct {
	Match   string
	Pattern string // the option that holds Match
	Forget  []string
	If      string // acts only if this value is known
	Let     map[string]string
	Fact    string

	re *regexp.Regexp
}

func families() (map[string]*family, error) {
	var all map[string]*family
	if err := yaml.Unmarshal(familiesYAML, &all); err != nil {
		return nil, fmt.Errorf("families.yaml: %w", err)
	}
	return all, nil
}

// Options of the driver itself, beside those of the family.
const (
	optFamily  = "family"
	optBin     = "bin"
	optVia     = "via"
	optTimeout = "timeout"
)

// settings are options, checked.
type settings struct {
	*family
	values  map[string]string // of the family's options
	bin     string
	via     []string
	timeout time.Duration
}

func (c Config) settings() (*settings, error) {
	if c.Address != "" {
		return nil, fmt.Errorf("address %q: leave it out; the options of the family say where the array is", c.Address)
	}
	all, err := families()
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(all))
	s := &settings{family: all[c.Options[optFamily]], values: map[string]string{}, timeout: DefaultTimeout}
	if s.family == nil {
		return nil, fmt.Errorf("option family %q: there are %s", c.Options[optFamily], strings.Join(names, ", "))
	}
	maps.Copy(s.values, s.Options)
	for key, v := range c.Options {
		switch key {
		case optFamily:
		case optBin:
			s.bin = v
		case optVia:
			s.via = strings.Fields(v)
		case optTimeout:
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 || n > 3600 {
				return nil, fmt.Errorf("option timeout %q: write a number of seconds, 1 to 3600", v)
			}
			s.timeout = time.Duration(n) * time.Second
		default:
			if _, ok := s.Options[key]; !ok {
				return nil, fmt.Errorf("there is no option %q; there are %s", key, strings.Join(append(
					slices.Sorted(maps.Keys(s.Options)), optBin, optFamily, optTimeout, optVia), ", "))
			}
			s.values[key] = v
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.values)) {
		if s.values[key] == "" {
			return nil, fmt.Errorf("option %s is missing", key)
		}
	}
	return s, s.compile()
}

// compile compiles the patterns and tries the commands.
func (s *settings) compile() error {
	for i := range s.Read {
		for j := range s.Read[i].Lines {
			l := &s.Read[i].Lines[j]
			if l.Pattern != "" {
				l.Match = s.values[l.Pattern]
			}
			var err error
			if l.re, err = regexp.Compile(l.Match); err != nil {
				return fmt.Errorf("option %s: %w", l.Pattern, err)
			}
			if l.Pattern != "" && l.re.SubexpIndex("volume") < 0 {
				return fmt.Errorf("option %s: the pattern has no group (?P<volume>...)", l.Pattern)
			}
			if l.Pattern != "" && l.Fact != factVolume && l.re.SubexpIndex("initiator") < 0 {
				return fmt.Errorf("option %s: the pattern has no group (?P<initiator>...)", l.Pattern)
			}
		}
	}
	for _, c := range []string{s.Connect, s.Disconnect} {
		if _, err := s.words(c, map[string]string{"volume": "v", "initiator": "i", "set": "s"}); err != nil {
			return err
		}
	}
	others := []string{s.Commit}
	for _, r := range s.Read {
		others = append(others, r.Run)
	}
	for _, c := range others {
		if _, err := s.words(c, nil); err != nil && c != "" {
			return err
		}
	}
	return nil
}

var placeholder = regexp.MustCompile(`\{([a-z]+)\}`)

// words makes the words of a command. Options that are words by themselves are
// split; then the values of the call replace their placeholders, in place.
func (s *settings) words(command string, call map[string]string) ([]string, error) {
	var words []string
	for _, w := range strings.Fields(command) {
		m := placeholder.FindStringSubmatch(w)
		if m != nil && m[0] == w && s.values[m[1]] != "" {
			words = append(words, strings.Fields(s.values[m[1]])...)
			continue
		}
		words = append(words, w)
	}
	var err error
	for i, w := range words {
		words[i] = placeholder.ReplaceAllStringFunc(w, func(p string) string {
			key := p[1 : len(p)-1]
			if v := call[key]; v != "" {
				return v
			}
			if v := s.values[key]; v != "" {
				return v
			}
			err = fmt.Errorf("the command %q names {%s}, which isn't known there", command, key)
			return p
		})
	}
	if err == nil && len(words) == 0 {
		err = fmt.Errorf("the command %q is empty", command)
	}
	return words, err
}
