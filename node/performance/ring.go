package performance

import "time"

// RingSize is how many samples of each metric of a machine are kept: six hours
// at the default interval.
const RingSize = 720

// Sample is one measurement.
type Sample struct {
	Time  time.Time // to the second
	Value float64   // percent
}

// point is a Sample as it is kept: there may be a million.
type point struct {
	at    uint32 // seconds since 1970
	value float32
}

// ring keeps the newest samples of one metric. It grows up to RingSize.
type ring struct {
	points []point
	next   int // where the next one goes once the ring is full
}

func (r *ring) add(s Sample) {
	p := point{uint32(s.Time.Unix()), float32(s.Value)}
	if len(r.points) < RingSize {
		r.points = append(r.points, p)
		return
	}
	r.points[r.next] = p
	r.next = (r.next + 1) % RingSize
}

// since gives the samples from a time on, oldest first.
func (r *ring) since(from time.Time) []Sample {
	var out []Sample
	for i := range r.points {
		p := r.points[(r.next+i)%len(r.points)]
		if int64(p.at) >= from.Unix() {
			out = append(out, Sample{time.Unix(int64(p.at), 0), float64(p.value)})
		}
	}
	return out
}
