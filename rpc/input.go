package rpc

import (
	"cmp"
	"errors"
	"net/netip"
	"strings"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// names are the names of objects that a command gives; empty ones are left to
// the verb, which knows what may be left out.
type names struct {
	groups   []string // paths of categories, groups and models
	hosts    []string // host settings
	machines []string
	software []string
	vm       string // name of a VM to create
	netinfo  string // host name or IP address of a host setting
}

// check refuses names that no object can have, because they are too long or
// have forbidden characters [3.2.1, 15]: KindText. Whether there is such an
// object is the verb's to find out.
func (n names) check(r fsm.Reader) error {
	for _, s := range n.software {
		if strings.ContainsRune(s, ',') {
			return schema.Errorf(schema.KindText, "software "+s, "a name can't have a comma in it").WithHint("give each name for itself")
		}
	}
	return cmp.Or(
		firstBad(n.groups, func(path string) error { return checkGroupPath(r, path) }),
		firstBad(n.hosts, func(name string) error { return schema.CheckHostName("host", name) }),
		firstBad(n.machines, func(name string) error { return schema.CheckName("machine", "the name", name) }),
		firstBad(n.software, func(name string) error { return schema.CheckName("software", "the name", name) }),
		firstBad([]string{n.vm}, func(name string) error { return schema.CheckVMName("VM", name) }),
		firstBad([]string{n.netinfo}, checkNetInfo),
	)
}

// firstBad gives the first error of a check, as one of the kind KindText.
func firstBad(names []string, check func(string) error) error {
	for _, name := range names {
		if name == "" {
			continue
		}
		var e *schema.Error
		if errors.As(check(name), &e) {
			text := *e
			text.Kind = schema.KindText
			return &text
		}
	}
	return nil
}

// checkGroupPath checks the path of a category, group or model. What a group's
// name can't have, a category's may.
func checkGroupPath(r fsm.Reader, path string) error {
	if len(path) > schema.MaxPath {
		return schema.Errorf(schema.KindText, "group", "its path has %d bytes, the limit is %d", len(path), schema.MaxPath)
	}
	_, unknown := fsm.ResolveGroup(r, path)
	if unknown == nil {
		return nil
	}
	for _, part := range schema.SplitPath(path) {
		if part == "" {
			continue // an empty part is no name at all
		}
		if err := schema.CheckGroupName("group", part); err != nil {
			return err
		}
	}
	return nil
}

func checkNetInfo(text string) error {
	if _, err := netip.ParseAddr(text); err == nil {
		return nil
	}
	return schema.CheckHostName("host setting", text)
}
