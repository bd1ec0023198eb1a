package trapload

import (
	"context"
	"time"
)

// Paced calls send at a rate for d, and returns how often.
func Paced(ctx context.Context, perSecond int, d time.Duration, send func(n int) error) (int, error) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	begin := time.Now()
	sent := 0
	for {
		since := time.Since(begin)
		if since > d || ctx.Err() != nil {
			return sent, ctx.Err()
		}
		for due := int(float64(perSecond) * since.Seconds()); sent < due; sent++ {
			if err := send(sent); err != nil {
				return sent, err
			}
		}
		<-tick.C
	}
}
