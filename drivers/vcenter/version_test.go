package vcenter

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"yagura/drivers"
	"yagura/drivers/sim"
)

func TestOlderVersion(t *testing.T) {
	for _, c := range [][3]string{
		{"8.0.2.0", "9.1.0.0", "8.0.2.0"},
		{"9.10.0.0", "9.1.0.0", "9.1.0.0"},
		{"6.7", "9.1.0.0", "6.7"},
		{"9.1.0.0", "9.1.0.0", "9.1.0.0"},
		{"9.1.0.0.1", "9.1.0.0", "9.1.0.0"},
		{"10.0", "9.1.0.0", "9.1.0.0"},
		{"dev", "9.1.0.0", "dev"},
	} {
		if got := older(c[0], c[1]); got != c[2] {
			t.Errorf("older(%s, %s) = %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

// Requests are of the server's version, and what is no vCenter is told.
func TestVersionIsAgreedOn(t *testing.T) {
	s := startSim(t, sim.Config{})
	x := newTap(t, s)
	versions := func(body string, code int) {
		x.on("", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		})
	}
	list := `<?xml version="1.0"?><namespaces version="1.0"><namespace><name>urn:%s</name><version>7.0.1.0</version></namespace></namespaces>`
	seen := make(chan string, 1)
	x.on("Login", func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("SOAPAction")
		x.forward.ServeHTTP(w, r)
	})
	versions(fmt.Sprintf(list, "vim25"), 200)
	if _, err := open(t, x.config(t, s)).Server(context.Background(), "esx01"); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got != "urn:vim25/7.0.1.0" {
		t.Fatalf("asked with %q", got)
	}
	for body, code := range map[string]int{fmt.Sprintf(list, "other"): 200, "not XML": 200, "": 404} {
		versions(body, code)
		_, err := open(t, x.config(t, s)).Server(context.Background(), "esx01")
		wantKind(t, err, drivers.KindUnreachable)
	}
}
