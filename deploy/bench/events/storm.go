package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gosnmp/gosnmp"
	"google.golang.org/protobuf/types/known/structpb"

	"yagura/deploy/bench/peer"
	"yagura/deploy/bench/trapload"
	"yagura/drivers/mail/mailtest"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// storm sends identical traps at a rate, with some real failures among them, and
// checks that these are acted on in time, that the counters are exact, that
// memory stays bounded, and that the receiver of mails gets one.
func (b *bench) storm(ctx context.Context) error {
	w := b.world
	had, err := recorded(ctx, w.bed)
	if err != nil {
		return err
	}
	data, err := trapload.Encode(gosnmp.SNMPv2Trap, trapload.FirstID, stormID, w.storm)
	if err != nil {
		return err
	}
	mails, err := w.receiveMails(ctx)
	if err != nil {
		return err
	}
	defer mails.Stop()
	conns := make([]net.Conn, len(w.sinks))
	for i, s := range w.sinks {
		if conns[i], err = net.Dial("udp", s); err != nil {
			return err
		}
		defer conns[i].Close()
	}
	resident := func() (most float64) {
		for _, n := range w.bed.Nodes {
			if mb, err := peer.ResidentMB(w.bed.Pid(n.ID)); err == nil {
				most = max(most, mb)
			}
		}
		return most
	}
	var most atomic.Int64 // megabytes
	most.Store(int64(resident()))
	before := most.Load()
	watching, end := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for watching.Err() == nil {
			most.Store(max(most.Load(), int64(resident())))
			peer.Pause(watching, 500*time.Millisecond)
		}
	}()
	rate := b.stormSize / int(b.stormTime.Seconds())
	var took []time.Duration
	acted := make(chan error, failures)
	times := make(chan time.Duration, failures)
	every, next := b.stormSize/(failures+1), 0
	send := func(n int) error {
		if next < failures && n >= (next+1)*every {
			id := reactions + next
			next++
			fault, err := w.fault(gosnmp.SNMPv2Trap, id)
			if err != nil {
				return err
			}
			if _, err := conns[n%len(conns)].Write(fault); err != nil {
				return err
			}
			go func() {
				d, err := w.begun(ctx, faultID(id), stormLimit+time.Minute)
				times <- d
				acted <- err
			}()
		}
		_, err := conns[n%len(conns)].Write(data)
		return err
	}
	sent, err := trapload.Paced(ctx, rate, b.stormTime, send)
	for ; err == nil && sent < b.stormSize; sent++ { // what the rate rounds off
		err = send(sent)
	}
	for range next {
		if aerr := <-acted; err == nil {
			err = aerr
		}
		took = append(took, <-times)
	}
	end()
	<-watched
	if err != nil {
		return err
	}
	has, err := recorded(ctx, w.bed)
	if err != nil {
		return err
	}
	events, err := w.events(ctx, "")
	if err != nil {
		return err
	}
	counted, rows := 0, 0
	for _, e := range events {
		if e.EventId == stormID && e.TargetHint == w.storm && e.State == schema.EventHandled {
			counted += int(e.Count)
			rows++
		}
	}
	taken := has - had - next
	fmt.Printf("storm: %d identical traps in %v, %d taken, %d dropped and counted, %d counted in %d rows\n", sent, b.stormTime, taken, sent-taken, counted, rows)
	if counted != taken {
		return fmt.Errorf("%d of the storm's traps were taken and %d are counted", taken, counted)
	}
	slices.Sort(took)
	fmt.Printf("  %d failures among it: first step begun after %v in the median, %v at worst   goal < %v\n", next, peer.MS(took[len(took)/2]), peer.MS(took[len(took)-1]), stormLimit)
	fmt.Printf("  resident memory of a manager: %d MB before, %d MB at most\n", before, most.Load())
	if took[len(took)-1] > stormLimit {
		return fmt.Errorf("a failure was acted on after %v", took[len(took)-1])
	}
	return w.checkMails(ctx, mails, next)
}

// stormReceiver is the receiver that is told of the storm, a document like an operator's.
const stormReceiver = "oncall"

// receiveMails starts a mail server and makes it a receiver with all standard values.
func (w *world) receiveMails(ctx context.Context) (*mailtest.Server, error) {
	s, err := mailtest.Listen(mailtest.Config{NoTLS: true}, nil)
	if err != nil {
		return nil, err
	}
	spec, err := structpb.NewStruct(map[string]any{
		"kind": schema.ReceiverMail, "address": s.Address, "tls": schema.MailNoTLS, "from": "yagura@example.com", "to": []any{"oncall@example.com"},
	})
	if err == nil {
		_, err = api.NewInventoryClient(w.client).Apply(ctx, &api.ApplyRequest{Documents: []*api.Document{{Kind: "Receiver", Name: stormReceiver, Spec: spec}}})
	}
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// checkMails waits until no notice waits, and checks that the storm and its
// failures were one mail. All jobs have ended, so no other notice comes.
func (w *world) checkMails(ctx context.Context, s *mailtest.Server, faults int) error {
	begin, waiting, sent := time.Now(), 1, 0
	for end := begin.Add(3 * time.Minute); waiting > 0 && time.Now().Before(end) && ctx.Err() == nil; peer.Pause(ctx, 200*time.Millisecond) {
		m, err := scrape(w.bed, w.leader)
		if err != nil {
			return err
		}
		waiting, sent = m["yagura_notices_waiting"], m["yagura_notices_delivered_total"]
	}
	mails := s.Mails()
	fmt.Printf("  mails: %d, with %d entries, %v after the last job; goal 1\n", len(mails), sent, time.Since(begin).Round(time.Second))
	for _, m := range mails {
		fmt.Printf("    %s\n", m.Subject)
	}
	if len(mails) != 1 || waiting > 0 {
		return fmt.Errorf("%d mails arrived, %d notices wait", len(mails), waiting)
	}
	named := 0
	for i := range faults {
		if strings.Contains(mails[0].Body, faultID(reactions+i)) {
			named++
		}
	}
	storm := strings.Contains(mails[0].Body, stormID)
	fmt.Printf("    it names %d of %d failures, and the storm: %t\n", named, faults, storm)
	// An entry for the storm, and two for each failure: the event, and what was done.
	if named != faults || !storm || sent != 1+2*faults {
		return fmt.Errorf("the mail leaves something out:\n%s", mails[0].Body)
	}
	return nil
}
