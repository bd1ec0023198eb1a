package placement_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"yagura/placement"
)

func TestPrintedProblemParsesToItself(t *testing.T) {
	text := `problem "night of the 5th"
dimension mem
dimension load measured
setting seed=7 reserve-failures=1 move-budget=9 hold=1h0m0s min-gain=5 cold-move
model esx placement low=20 target=40..70 high=80
server "esx 01" capacity=200 mem=65536:2048:70000 load=16000 model=esx dc=DC1 rack=r1 state=off startable keep-on datastores=a,"b,c" networks=lan start-time=3m0s start-cost=4 changed=1m0s
vm web01 on="esx 01" cost=10 mem=2048 load=350 power=off optimal-start models=esx dc=DC1 datastores=a local-disk networks=lan priority=-2 move-cost=3 moved=2m0s
vm "日本 #1" cost=0
rule apart pair max=2 vms=web01,"日本 #1"
rule pin p vms=web01 servers="esx 01"
`
	p := parse(t, text)
	var b bytes.Buffer
	if err := placement.Print(&b, p); err != nil {
		t.Fatal(err)
	}
	if b.String() != text {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), text)
	}
	if again := parse(t, b.String()); !reflect.DeepEqual(p, again) {
		t.Errorf("parsed again: %+v, want %+v", again, p)
	}
}

func TestParseErrorsNameTheLine(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"server s capacity=0", `line 1: server "s": capacity 0 is out of range`},
		{"\nserver s capacity=-5", `line 2: server "s": capacity -5`},
		{"server s", "capacity 0"},
		{"server s capacity=NaN", `"NaN" is not a whole number`},
		{"server s capacity=99999999999999999999", "is too large"},
		{"server s capacity=9999999999999", "out of range"},
		{"server s capacity=1 color=red", `"color" is not an attribute`},
		{"server s capacity=1 capacity=2", "given twice"},
		{"server s capacity=1\nserver s capacity=1", `line 2: server "s": named twice`},
		{"vm v cost=1 on=nowhere", `line 1: vm "v": is on server "nowhere", which is unknown`},
		{"vm v cost=1 power=maybe", `power "maybe"`},
		{"wm v cost=1", `"wm" is not a keyword`},
		{`vm "v cost=1`, "no end"},
		{"server s capacity=1\nvm v\nrule pin p vms=v", `line 3: rule "p": names no server`},
		{"vm v\nrule apart p vms=v,w", `vm "w" is unknown`},
		{"vm v\nvm w\nrule apart p vms=v,w\nrule together q vms=v,w", `line 3: rule "p": keeps vm "w" apart`},
		{"server s capacity=1\nserver u capacity=1\nvm v\nrule pin p vms=v servers=s\nrule pin q vms=v servers=u", "line 5"},
		{"model m low=50 target=40..70 high=80", "boundaries must rise"},
		{"vm v\ndimension mem", "line 2: dimension"},
		{"dimension cost", "meaning of its own"},
		{"vm v moved=yesterday", "not a duration"},
		{"vm a,b cost=1", "takes a name first"},
	} {
		_, err := placement.Parse(strings.NewReader(tc.text))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: got %v, want %q", tc.text, err, tc.want)
		}
	}
}
