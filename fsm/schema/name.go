package schema

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on names and texts. Those with a section come from the manual.
const (
	MaxVMName    = 80  // characters of a VM's or template's name [5.2.19]
	MaxGroupName = 64  // characters of a group's name [5.2.16]
	MaxName      = 255 // bytes of any other name
	MaxPath      = 1024
	MaxText      = 4096 // bytes of a description or another free text
)

// separators are what may stand between category, group and model: the yen
// sign and the backslash are one key on Japanese keyboards, the slash is ours.
const separators = `/\¥￥`

// NormalPath makes a path of category, group and model uniform: every
// separator becomes a slash, and those at the ends go away.
func NormalPath(path string) string {
	return strings.Join(SplitPath(path), "/")
}

// SplitPath cuts a path at its separators. Empty parts stay only in the
// middle, where they are an error for CheckPath to find.
func SplitPath(path string) []string {
	path = strings.Map(func(r rune) rune {
		if strings.ContainsRune(separators, r) {
			return '/'
		}
		return r
	}, strings.TrimSpace(path))
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// checkText refuses a text that is too long, isn't UTF-8 or has control characters.
func checkText(object, field, s string, limit int) error {
	switch {
	case len(s) > limit:
		return Errorf(KindInvalid, object, "%s has %d bytes, the limit is %d", field, len(s), limit)
	case !utf8.ValidString(s):
		return Errorf(KindInvalid, object, "%s isn't valid UTF-8", field)
	case strings.ContainsFunc(s, unicode.IsControl):
		return Errorf(KindInvalid, object, "%s has a control character", field)
	}
	return nil
}

// CheckName holds the rules that all names share: not empty, at most MaxName
// bytes, no control characters, none that turn the direction of text (a name
// would look like another one), no separators, no space at the ends.
func CheckName(object, field, name string) error {
	if name == "" {
		return Errorf(KindInvalid, object, "%s is empty", field)
	}
	if err := checkText(object, field, name, MaxName); err != nil {
		return err
	}
	if strings.ContainsFunc(name, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }) {
		return Errorf(KindInvalid, object, "%s %q has a character that turns the direction of text", field, name)
	}
	if strings.ContainsAny(name, separators) {
		return Errorf(KindInvalid, object, "%s %q has a separator (/ \\ ¥) in it", field, name)
	}
	if strings.TrimSpace(name) != name {
		return Errorf(KindInvalid, object, "%s %q begins or ends with a space", field, name)
	}
	return nil
}

// CheckGroupName holds the rules of a group's name: at most 64 characters,
// without ; # and separators [5.2.16].
func CheckGroupName(object, name string) error {
	if err := CheckName(object, "the group's name", name); err != nil {
		return err
	}
	if n := utf8.RuneCountInString(name); n > MaxGroupName {
		return Errorf(KindInvalid, object, "the group's name has %d characters, the limit is %d", n, MaxGroupName)
	}
	if i := strings.IndexAny(name, ";#"); i >= 0 {
		return Errorf(KindInvalid, object, "the group's name %q has a %q in it", name, name[i])
	}
	return nil
}

// CheckPath holds the rules of a category's path: each part a name, at most MaxPath bytes.
func CheckPath(object, path string) error {
	if path == "" {
		return Errorf(KindInvalid, object, "the category's path is empty")
	}
	if len(path) > MaxPath {
		return Errorf(KindInvalid, object, "the category's path has %d bytes, the limit is %d", len(path), MaxPath)
	}
	for part := range strings.SplitSeq(path, "/") {
		if err := CheckName(object, "a part of the category's path", part); err != nil {
			return err
		}
	}
	return nil
}

var (
	vmName   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)
	hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9_])?$`)
)

// CheckVMName holds the rules of the name of a VM or template: up to 80 of
// A-Z a-z 0-9 - _ [5.2.19].
func CheckVMName(object, name string) error {
	if !vmName.MatchString(name) {
		return Errorf(KindInvalid, object, "%q can't be a VM's name", name).
			WithHint("take up to %d of A-Z a-z 0-9 - _, without spaces", MaxVMName)
	}
	return nil
}

// CheckHostName holds the rules of a host setting's name: letters, digits, and
// . - _ inside, as in DNS.
func CheckHostName(object, name string) error {
	if len(name) > MaxName || !hostName.MatchString(name) {
		return Errorf(KindInvalid, object, "%q can't be a host name", name).
			WithHint("take letters and digits, with . - _ inside")
	}
	return nil
}

// CheckDatacenter holds the rule of a datacenter's name: no space [5.2.19].
func CheckDatacenter(object, name string) error {
	if strings.ContainsFunc(name, unicode.IsSpace) {
		return Errorf(KindInvalid, object, "the datacenter's name %q has a space in it", name).
			WithHint("rename the datacenter in its subsystem and collect again")
	}
	return nil
}
