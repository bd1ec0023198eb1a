package ipmi

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/rmcpplus"
	"github.com/bougou/go-ipmi/pkg/types"

	"yagura/drivers"
)

// relay stands between the driver and a controller. For each answer it sends
// what alter makes of it.
func relay(t *testing.T, to string, alter func(answer []byte) [][]byte) string {
	t.Helper()
	front, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.Dial("udp4", to)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2048)
		for {
			n, client, err := front.ReadFrom(b)
			if err != nil {
				return
			}
			if _, err := back.Write(b[:n]); err != nil {
				return
			}
			if err := back.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
				return
			}
			if n, err = back.Read(b); err != nil {
				return
			}
			for _, a := range alter(bytes.Clone(b[:n])) {
				if _, err := front.WriteTo(a, client); err != nil {
					return
				}
			}
		}
	}()
	t.Cleanup(func() {
		_ = front.Close()
		_ = back.Close()
		<-done
	})
	return front.LocalAddr().String()
}

func through(address string) *Driver {
	return New("bmc", func(string) (Machine, bool) {
		return Machine{Address: address, User: user, Password: password, Suite: "3"}, true
	}, 5*time.Second)
}

// TestForgedAnswers holds that only the controller's own and newest answer
// counts, whatever else arrives before it.
func TestForgedAnswers(t *testing.T) {
	c := startController(t, true)
	var last []byte
	var forged atomic.Int32
	address := relay(t, c.address, func(answer []byte) [][]byte {
		if answer[atTypeByte]&secured == 0 {
			return [][]byte{answer}
		}
		flipped := bytes.Clone(answer)
		flipped[atPayload+16] ^= 1
		plain := bytes.Clone(answer)
		plain[atTypeByte] &^= secured
		out := [][]byte{flipped, plain, answer[:atPayload]}
		if last != nil {
			out = append(out, last)
		}
		forged.Add(int32(len(out)))
		last = answer
		return append(out, answer)
	})
	for range 3 {
		if s, err := through(address).PowerState(context.Background(), "ph01"); err != nil || s != drivers.PowerOn {
			t.Fatalf("%s, %v", s, err)
		}
	}
	if forged.Load() == 0 {
		t.Fatal("nothing was forged")
	}
}

// TestWeakerSuite holds that nobody talks the driver into a session without
// authentication or encryption.
func TestWeakerSuite(t *testing.T) {
	c := startController(t, true)
	for _, at := range []int{16, 24, 32} { // the algorithms of authentication, integrity, confidentiality
		address := relay(t, c.address, func(answer []byte) [][]byte {
			if answer[atTypeByte] == byte(types.PayloadTypeRmcpOpenSessionResponse) {
				answer[atPayload+at] = 0
			}
			return [][]byte{answer}
		})
		_, err := through(address).SetPower(context.Background(), drivers.Call{}, "ph01", drivers.OpPowerOff)
		if drivers.KindOf(err) != drivers.KindRefused {
			t.Errorf("algorithm at %d taken away: %v", at, err)
		}
	}
	if n := c.effects(t, ""); n != 0 {
		t.Errorf("%d effects", n)
	}
}

// TestMalformed holds that no datagram that gets through while a session opens
// makes the library panic, which would end the manager.
func TestMalformed(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	c, err := client.NewClient("127.0.0.1", DefaultPort, user, password)
	if err != nil {
		t.Fatal(err)
	}
	kinds := []types.PayloadType{types.PayloadTypeRmcpOpenSessionResponse, types.PayloadTypeRAKPMessage2, types.PayloadTypeRAKPMessage4}
	through := 0
	for range 100_000 {
		n := random.IntN(70)
		b := make([]byte, atPayload+n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		if random.IntN(4) > 0 {
			copy(b, []byte{6, 0, 0xff, 7})
		}
		b[atSession], b[atTypeByte], b[atPayload-2], b[atPayload-1] = byte(types.AuthTypeRMCPPlus), byte(kinds[random.IntN(3)]), byte(n), 0
		if n > 1 && random.IntN(2) == 0 {
			b[atPayload+1] = 0 // no error
		}
		w := &wire{suite: suite{auth: types.AuthAlg_HMAC_SHA1}}
		if !w.accepts(b) {
			continue
		}
		through++
		for _, into := range []types.Response{
			&rmcpplus.OpenSessionResponse{}, &rmcpplus.RAKPMessage2{AuthAlg: w.suite.auth}, &rmcpplus.RAKPMessage4{AuthAlg: w.suite.auth},
		} {
			_ = c.ParseRmcpResponse(context.Background(), b, types.CommandNone, into)
		}
	}
	if through == 0 {
		t.Fatal("nothing got through")
	}
}
