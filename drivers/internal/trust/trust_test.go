package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTrust(t *testing.T) {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	raw := srv.Certificate().Raw
	digest := sha256.Sum256(raw)
	print := hex.EncodeToString(digest[:])
	ca := write("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
	for _, c := range []struct {
		name    string
		s       Server
		ok, bad bool // the connection works; the settings are refused
	}{
		{name: "system authorities", s: Server{}},
		{name: "the CA", s: Server{CAFile: ca}, ok: true},
		{name: "the thumbprint", s: Server{Thumbprint: print}, ok: true},
		{name: "the thumbprint in capitals and colons", s: Server{Thumbprint: strings.ToUpper(print[:2] + ":" + print[2:])}, ok: true},
		{name: "another thumbprint", s: Server{Thumbprint: strings.Repeat("00", 32)}},
		{name: "another thumbprint, insecure", s: Server{Thumbprint: strings.Repeat("00", 32), Insecure: true}},
		{name: "insecure", s: Server{Insecure: true}, ok: true},
		{name: "a short thumbprint", s: Server{Thumbprint: print[:40]}, bad: true},
		{name: "no hex", s: Server{Thumbprint: strings.Repeat("zz", 32)}, bad: true},
		{name: "no CA file", s: Server{CAFile: ca + ".missing"}, bad: true},
		{name: "an empty CA file", s: Server{CAFile: write("empty.pem", nil)}, bad: true},
	} {
		conf, err := c.s.Config("example.com") // what httptest's certificate is for
		if (err != nil) != c.bad {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil {
			continue
		}
		tr := &http.Transport{TLSClientConfig: conf}
		res, err := (&http.Client{Transport: tr}).Get(srv.URL)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil {
			_ = res.Body.Close()
		}
		tr.CloseIdleConnections()
	}
}
