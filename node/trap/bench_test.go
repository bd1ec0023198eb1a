package trap

import (
	"context"
	"net/netip"
	"testing"

	"yagura/fsm/schema"
)

// BenchmarkTake reads, numbers and lines up informs, and delivers them to a
// leader that takes everything at once: what a sink costs without the cluster.
func BenchmarkTake(b *testing.B) {
	rules := testRules(b)
	opt := Options{Config: DefaultConfig(), Dir: b.TempDir(), Node: "n", Rules: func() *Rules { return rules },
		Deliver: func(_ context.Context, e []*schema.Event) (uint64, error) { return e[len(e)-1].Sequence, nil }}
	opt.Bind, opt.Port, opt.Rate, opt.Burst = host, 0, 1e9, 1e9
	s, err := Open(opt)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	d := packet(false, 1, enterprise(3))
	from := netip.MustParseAddrPort("192.0.2.1:1000")
	b.ReportAllocs()
	for b.Loop() {
		if r, _ := s.take(d, from); r != "" && r != SpoolFull {
			b.Fatal(r)
		}
	}
}
