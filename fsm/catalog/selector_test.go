package catalog

import "testing"

// FuzzSelector holds of any text: it is refused, or names the event that is
// written in it, in any form that an agent may send.
func FuzzSelector(f *testing.F) {
	f.Add(notifierESMPRO, "ESMDSVNT", "0xC0000002")
	f.Add(notifierESMPRO, "ESM Common Service", "3221225474")
	f.Add(notifierPerf, "", "11000006")
	f.Add(notifierVMware, "", "Alarm Host connection state on VMS changed from green to red")
	f.Add("SNMP", "x[", "]")
	f.Add("", "x", " ")
	f.Add("", " ", "\xff")
	f.Fuzz(func(t *testing.T, notifier, source, id string) {
		text := source + "[" + id + "]"
		if source == "" {
			text = id
		}
		s, err := ParseSelector(notifier, text)
		if err != nil || s.Category != "" {
			return
		}
		if s.ID == "" {
			t.Fatalf("%q is read as %+v", text, s)
		}
		if s.Source != normalSource(s.Source) || NormalEventID(notifier, s.ID) != s.ID && s.Source != "" {
			t.Fatalf("%q is read as %+v, which isn't in the usual form", text, s)
		}
		if !s.Match(s.Source, s.ID, "") || s.Match(s.Source, s.ID+"x", "") || s.Source != "" && s.Match(s.Source+"x", s.ID, "") {
			t.Fatalf("%q is read as %+v, which doesn't name itself alone", text, s)
		}
	})
}
