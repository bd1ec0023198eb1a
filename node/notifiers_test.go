package node

import (
	"encoding/pem"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/webhook"
	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// TestNotifiersOfRows: a receiver's row leads to its system, with the secret
// opened and the authority that the row names.
func TestNotifiersOfRows(t *testing.T) {
	taken := make(chan string, 1)
	s := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { taken <- r.Header.Get(webhook.HeaderSignature) }))
	defer s.Close()
	folder, err := os.MkdirTemp("", "yg")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	journal, err := net.ListenPacket("unixgram", filepath.Join(folder, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	c := fsmtest.New(t)
	c.Do(func(tx *fsm.Tx) error {
		_, err := fsm.ApplyDocuments(tx, []fsm.Document{
			{Kind: "Receiver", Name: "hook", Spec: []byte(`{"kind":"webhook","address":"` + s.URL + `","password":"k3y","ca":` + strconv.Quote(ca) + `}`)},
			{Kind: "Receiver", Name: "stranger", Spec: []byte(`{"kind":"webhook","address":"` + s.URL + `"}`)},
			{Kind: "Receiver", Name: "journal", Spec: []byte(`{"kind":"journald","address":"` + filepath.Join(folder, "socket") + `"}`)},
		})
		return err
	})
	n := notifiers{c.Store(), nil, "n1"}
	m := drivers.Message{ID: "c-1", Notes: []drivers.Note{{ID: "c-1", Time: time.Now(), Text: "text"}}}
	send := func(name string) error {
		t.Helper()
		d, err := n.Notifier(t.Context(), name)
		if err != nil {
			return err
		}
		_, err = d.Notify(t.Context(), m)
		return err
	}
	if err := send("hook"); err != nil {
		t.Fatal(err)
	}
	if got := <-taken; !strings.HasPrefix(got, "sha256=") {
		t.Errorf("signature %q", got)
	}
	if err := send("stranger"); drivers.KindOf(err) != drivers.KindAuth {
		t.Errorf("a certificate of nobody known: %v", err)
	}
	if err := send("journal"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	if size, _, err := journal.ReadFrom(buf); err != nil || !strings.Contains(string(buf[:size]), "MESSAGE=text\n") {
		t.Errorf("%q, %v", buf[:size], err)
	}
	if err := send("nobody"); drivers.KindOf(err) != drivers.KindNotFound {
		t.Errorf("an unknown receiver: %v", err)
	}
	c.Do(func(tx *fsm.Tx) error {
		r, _ := fsm.Receivers.Edit(tx, "hook")
		r.Password = []byte("damaged")
		return fsm.Receivers.Put(tx, r)
	})
	if err := send("hook"); drivers.KindOf(err) != drivers.KindAuth {
		t.Errorf("a key that can't be opened: %v", err)
	}
	kinds := []string{schema.ReceiverJournald, schema.ReceiverMail, schema.ReceiverSyslog, schema.ReceiverWebhook}
	if got := slices.Sorted(maps.Keys(receivers)); !slices.Equal(got, kinds) {
		t.Errorf("there are drivers for %v, kinds of receivers are %v", got, kinds)
	}
}
