package sim

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// server is one listener with its HTTP server. It can go mute: connections
// are then accepted and never answered, as those of a dead controller.
type server struct {
	http *http.Server
	ln   *muteListener
	done chan error // result of Serve
	base string     // URL
}

// maxBody bounds what a client may send in one request.
const maxBody = 8 << 20

// serve listens on addr and serves h, with TLS if conf is given.
func serve(addr string, conf *tls.Config, h http.Handler) (*server, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return serveOn(ln, conf, h), nil
}

func serveOn(ln net.Listener, conf *tls.Config, h http.Handler) *server {
	s := &server{ln: &muteListener{Listener: ln, conns: map[*mutedConn]struct{}{}}, done: make(chan error, 1)}
	s.http = &http.Server{
		Handler:           recovered(http.MaxBytesHandler(h, maxBody)),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		TLSConfig:         conf,
		ErrorLog:          log.New(io.Discard, "", 0), // handshakes cut short by clients are no news
	}
	scheme := "http"
	if conf != nil {
		scheme = "https"
	}
	s.base = scheme + "://" + ln.Addr().String()
	go func() {
		var err error
		if conf != nil {
			err = s.http.ServeTLS(s.ln, "", "")
		} else {
			err = s.http.Serve(s.ln)
		}
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		s.done <- err
	}()
	return s
}

// close stops serving and waits for the server's goroutine.
func (s *server) close() error {
	err := s.http.Close()
	s.ln.mute(false)
	return errors.Join(err, <-s.done)
}

// recovered answers 500 when a handler panics, instead of tearing the connection.
func recovered(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				log.Printf("sim: %s %s: %v", r.Method, r.URL.Path, p)
				http.Error(w, "the simulator failed on this request", http.StatusInternalServerError)
			}
		}()
		h.ServeHTTP(w, r)
	})
}

// maxMuted bounds how many unanswered connections a mute listener keeps open.
const maxMuted = 64

// muteListener can stop answering: its connections are cut, and new ones are
// kept open and ignored until it answers again.
type muteListener struct {
	net.Listener
	mu    sync.Mutex              // guards what follows
	muted bool                    // now
	conns map[*mutedConn]struct{} // open and in use
	held  []net.Conn              // accepted while mute
}

// mutedConn forgets itself when it is closed.
type mutedConn struct {
	net.Conn
	ln *muteListener
}

func (c *mutedConn) Close() error {
	c.ln.mu.Lock()
	delete(c.ln.conns, c)
	c.ln.mu.Unlock()
	return c.Conn.Close()
}

func (l *muteListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		if !l.muted {
			mc := &mutedConn{Conn: c, ln: l}
			l.conns[mc] = struct{}{}
			l.mu.Unlock()
			return mc, nil
		}
		if len(l.held) < maxMuted {
			l.held = append(l.held, c)
			c = nil
		}
		l.mu.Unlock()
		if c != nil {
			_ = c.Close()
		}
	}
}

// mute switches answering off or on.
func (l *muteListener) mute(on bool) {
	l.mu.Lock()
	l.muted = on
	var cut []net.Conn
	if on {
		for c := range l.conns {
			cut = append(cut, c.Conn)
		}
	}
	cut = append(cut, l.held...)
	l.held = nil
	l.mu.Unlock()
	for _, c := range cut {
		_ = c.Close()
	}
}
