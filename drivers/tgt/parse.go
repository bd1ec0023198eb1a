package tgt

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"yagura/drivers"
	"yagura/drivers/internal/command"
)

// target is a target as tgtadm shows it.
type target struct {
	tid, name string
	acl       []string // names of initiators, and addresses
	sessions  []session
}

// session is an I_T nexus with its connections.
type session struct {
	sid, initiator string
	cids           []string
}

var (
	reTarget     = regexp.MustCompile(`^Target (\d+): (\S+)$`)
	reSection    = regexp.MustCompile(`^    (\S.*) information:$`)
	reNexus      = regexp.MustCompile(`^        I_T nexus: (\d+)$`)
	reInitiator  = regexp.MustCompile(`^            Initiator: (\S+)`)
	reConnection = regexp.MustCompile(`^            Connection: (\d+)$`)
	reACL        = regexp.MustCompile(`^        (\S+)$`)
)

// parse reads the output of "--mode target --op show". Sections are told by
// their indentation, so that no path or name within one can look like another.
func parse(output string) ([]*target, error) {
	var all []*target
	var t *target
	section := ""
	for text := range strings.Lines(output) {
		text = strings.TrimRight(text, "\r\n")
		if m := reTarget.FindStringSubmatch(text); m != nil {
			t = &target{tid: m[1], name: m[2]}
			all = append(all, t)
			section = ""
			continue
		}
		if t == nil {
			return nil, errors.New("it doesn't read like tgtadm's: " + command.Clip(text))
		}
		if m := reSection.FindStringSubmatch(text); m != nil {
			section = m[1]
			continue
		}
		if err := t.take(section, text); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// take takes a line of a section in.
func (t *target) take(section, text string) error {
	switch section {
	case "ACL":
		if m := reACL.FindStringSubmatch(text); m != nil {
			t.acl = append(t.acl, m[1])
			return nil
		}
		return errors.New("its ACL can't be read: " + command.Clip(text))
	case "I_T nexus":
		if m := reNexus.FindStringSubmatch(text); m != nil {
			t.sessions = append(t.sessions, session{sid: m[1]})
			return nil
		}
		if len(t.sessions) == 0 {
			return errors.New("its sessions can't be read: " + command.Clip(text))
		}
		s := &t.sessions[len(t.sessions)-1]
		if m := reInitiator.FindStringSubmatch(text); m != nil {
			s.initiator = m[1]
		} else if m := reConnection.FindStringSubmatch(text); m != nil {
			s.cids = append(s.cids, m[1])
		}
	}
	return nil
}

// state is the target as a volume.
func (t *target) state(volume string) drivers.VolumeState {
	v := drivers.VolumeState{Name: volume, Initiators: slices.Clone(t.acl)}
	for _, s := range t.sessions {
		v.Sessions = append(v.Sessions, s.initiator)
	}
	slices.Sort(v.Initiators)
	slices.Sort(v.Sessions)
	v.Sessions = slices.Compact(v.Sessions)
	return v
}

// open are the entries of the ACL that let in whoever has the right address.
func (t *target) open() []string {
	return slices.DeleteFunc(slices.Clone(t.acl), func(a string) bool {
		return drivers.IsISCSI(a)
	})
}

// left says what of these initiators still gets at the target; "" when nothing does.
func (t *target) left(initiators []string) string {
	for _, i := range initiators {
		if slices.Contains(t.acl, i) {
			return fmt.Sprintf("it is still connected to %s", i)
		}
		if slices.ContainsFunc(t.sessions, func(s session) bool { return s.initiator == i }) {
			return fmt.Sprintf("the session of %s stays open", i)
		}
	}
	if open := t.open(); len(open) > 0 {
		return fmt.Sprintf("its ACL lets in by address whoever has %s: unbind that with tgtadm", strings.Join(open, ", "))
	}
	return ""
}
