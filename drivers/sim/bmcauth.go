package sim

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"
)

// sessionTable holds the Redfish sessions of one BMC (DSP0266, 13.3.4).
type sessionTable struct {
	mu   sync.Mutex // guards what follows
	next int
	byID map[string]*redfishSession
}

type redfishSession struct {
	id, token, user string
	used            time.Time
}

const (
	sessionTimeout = 30 * time.Minute
	// maxSessions bounds the table; real controllers allow about as many. The
	// one that was idle longest makes room.
	maxSessions = 32
)

func newSessionTable() *sessionTable { return &sessionTable{byID: map[string]*redfishSession{}} }

func (t *sessionTable) add(user string) (*redfishSession, error) {
	token, err := randomSecret()
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.byID) >= maxSessions {
		var oldest *redfishSession
		for _, s := range t.byID {
			if oldest == nil || s.used.Before(oldest.used) {
				oldest = s
			}
		}
		delete(t.byID, oldest.id)
	}
	t.next++
	s := &redfishSession{id: fmt.Sprint(t.next), token: token, user: user, used: time.Now()}
	t.byID[s.id] = s
	return s, nil
}

func (t *sessionTable) valid(token string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.byID {
		if subtle.ConstantTimeCompare([]byte(s.token), []byte(token)) == 1 {
			if time.Since(s.used) > sessionTimeout {
				delete(t.byID, s.id)
				return false
			}
			s.used = time.Now()
			return true
		}
	}
	return false
}

func (t *sessionTable) user(id string) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.byID[id]
	if !ok {
		return "", false
	}
	return s.user, true
}

func (t *sessionTable) remove(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.byID[id]
	delete(t.byID, id)
	return ok
}

func (t *sessionTable) paths() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]string, 0, len(t.byID))
	for id := range t.byID {
		out = append(out, rfSessions+"/"+id)
	}
	sort.Strings(out)
	return out
}

func (b *bmc) rightPassword(user, password string) bool {
	return subtle.ConstantTimeCompare([]byte(user+"\x00"+password), []byte(b.sim.cfg.BMCUser+"\x00"+b.sim.cfg.BMCPassword)) == 1
}

// authenticated lets a request through that has a session's token or the
// right basic credentials.
func (b *bmc) authenticated(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, password, basic := r.BasicAuth()
		token := r.Header.Get("X-Auth-Token")
		if (token != "" && b.sessions.valid(token)) || (token == "" && basic && b.rightPassword(user, password)) {
			next(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="Redfish"`)
		fail(w, 401, "Base.1.8.InsufficientPrivilege", "The account or session of this request is not valid.")
	}
}

func (b *bmc) login(w http.ResponseWriter, r *http.Request) {
	var req struct{ UserName, Password string }
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		fail(w, 400, "Base.1.8.MalformedJSON", "The request body is not a JSON object with UserName and Password.")
		return
	}
	if !b.rightPassword(req.UserName, req.Password) {
		fail(w, 401, "Base.1.8.ResourceAtUriUnauthorized", "The user name or password is wrong.")
		return
	}
	s, err := b.sessions.add(req.UserName)
	if err != nil {
		fail(w, 500, "Base.1.8.InternalError", "No session could be made.")
		return
	}
	w.Header().Set("X-Auth-Token", s.token)
	w.Header().Set("Location", rfSessions+"/"+s.id)
	reply(w, 201, sessionBody(s.id, s.user))
}

func sessionBody(id, user string) obj {
	return obj{
		"@odata.type": "#Session.v1_3_0.Session", "@odata.id": rfSessions + "/" + id,
		"@odata.context": "/redfish/v1/$metadata#Session.Session",
		"Id":             id, "Name": "User session", "UserName": user,
	}
}

func (b *bmc) sessionService(w http.ResponseWriter, _ *http.Request) {
	reply(w, 200, obj{
		"@odata.type": "#SessionService.v1_1_6.SessionService", "@odata.id": "/redfish/v1/SessionService",
		"@odata.context": "/redfish/v1/$metadata#SessionService.SessionService",
		"Id":             "SessionService", "Name": "Session Service", "ServiceEnabled": true,
		"SessionTimeout": int(sessionTimeout.Seconds()), "Status": obj{"State": "Enabled", "Health": "OK"},
		"Sessions": link(rfSessions),
	})
}

func (b *bmc) listSessions(w http.ResponseWriter, _ *http.Request) {
	reply(w, 200, collectionOf("SessionCollection", rfSessions, "Sessions", b.sessions.paths()))
}

func (b *bmc) getSession(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	user, ok := b.sessions.user(id)
	if !ok {
		missingSession(w, id)
		return
	}
	reply(w, 200, sessionBody(id, user))
}

func (b *bmc) logout(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if !b.sessions.remove(id) {
		missingSession(w, id)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func missingSession(w http.ResponseWriter, id string) {
	fail(w, 404, "Base.1.8.ResourceNotFound", "There is no session "+strings.ToValidUTF8(id, "?")+".")
}
