package placement

// LoadLevel is where a server's load lies among the boundaries of its model.
type LoadLevel string

// Load levels (manual 1.3.6).
const (
	HighLoad   LoadLevel = "high"   // above the high-load boundary: a reason to level
	LowLoad    LoadLevel = "low"    // below the low-load boundary: a reason to save power
	ProperLoad LoadLevel = "proper" // between the two
)

// ServerLevel is the load of one server.
type ServerLevel struct {
	Server  string    `json:"server"`
	Percent float64   `json:"percent"`
	Level   LoadLevel `json:"level"`
}

// LoadLevels returns the load of every server that runs and whose model has VM
// placement on, in the order of the problem. Whoever watches the load asks for
// a Level plan when a server is high, and for a SavePower plan when all are low.
func (c *Cluster) LoadLevels() []ServerLevel {
	var out []ServerLevel
	for s := range c.p.Servers {
		srv := &c.p.Servers[s]
		m := c.p.modelOf(srv)
		if srv.State != ServerOn || m == nil || !m.Placement {
			continue
		}
		l := ServerLevel{Server: srv.Name, Percent: c.loadPercent(&c.now, s), Level: ProperLoad}
		switch {
		case l.Percent > float64(m.High):
			l.Level = HighLoad
		case l.Percent < float64(m.Low):
			l.Level = LowLoad
		}
		out = append(out, l)
	}
	return out
}
