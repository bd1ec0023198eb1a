package sim

import (
	"net/http"
	"testing"
)

func TestBMCAddresses(t *testing.T) {
	s := &Sim{cfg: Config{BMCAddr: "127.0.0.250", BMCPort: 8443}}
	for n, want := range map[int]string{0: "127.0.0.250:8443", 5: "127.0.0.255:8443", 6: "127.0.1.0:8443", 1000: "127.0.4.226:8443"} {
		if got, err := s.bmcAddress(n); err != nil || got != want {
			t.Errorf("BMC %d: %s %v, want %s", n, got, err, want)
		}
	}
	s.cfg.BMCAddr = "127.255.255.250"
	if got, err := s.bmcAddress(100); err == nil {
		t.Errorf("beyond the loopback range: %s", got)
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	srv, err := serve("127.0.0.1:0", nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") }))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := srv.close(); err != nil {
			t.Error(err)
		}
	}()
	res, err := http.Get(srv.base)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusInternalServerError {
		t.Errorf("status %d", res.StatusCode)
	}
}
