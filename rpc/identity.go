package rpc

import (
	"crypto/sha256"
	"encoding/hex"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// authenticate makes out who calls. It is false when this manager can't tell
// yet: a session that was opened a moment ago may not have reached a follower,
// so the leader has to look.
func (s *Server) authenticate(c *call) (known bool, err error) {
	if c.hops > 0 && c.via == viaCertificate && !s.member(c.edge) {
		return true, errNotMember(c.edge)
	}
	switch {
	case c.method.Role == api.Public, c.manager != "":
		return true, nil
	case c.token == "" && c.user == "":
		return true, errNoLogin
	case c.token == "":
		return true, nil
	}
	t, ok := fsm.Tokens.Get(s.cfg.Store.View(), tokenHash(c.token))
	switch {
	case !ok && c.hops == 0 && !s.leads():
		return false, nil
	case !ok:
		return true, schema.Errorf(schema.KindUnauthenticated, "session", "it isn't known").WithHint("log in again")
	case !s.cfg.Now().Before(t.Expires.AsTime()):
		return true, schema.Errorf(schema.KindUnauthenticated, "session", "it has expired").WithHint("log in again")
	}
	c.user, c.via = t.User, viaToken
	return true, nil
}

// member tells whether a manager belongs to the cluster: one that was removed
// keeps its certificate, but its word counts no more.
func (s *Server) member(id string) bool {
	_, ok := fsm.Managers.Get(s.cfg.Store.View(), id)
	return ok
}

// errNotMember is KindNoLeader, since a manager that joins may be asked a
// moment before its row is there: asking again helps then.
func errNotMember(id string) error {
	return schema.Errorf(schema.KindNoLeader, "manager "+id, "it isn't a member of the cluster; nothing was written").WithHint("ask another manager")
}

var errNoLogin = schema.Errorf(schema.KindUnauthenticated, "call", "no login").WithHint("send a session's token, or use a user certificate")

// permit holds the caller's role against the method's. It is asked on the
// manager that answers, so that a change of role holds at once.
func (s *Server) permit(c *call) error {
	switch c.method.Role {
	case api.Public:
		return nil
	case api.Managers:
		if c.manager == "" {
			return schema.Errorf(schema.KindPermission, c.name, "only managers may call this").WithHint("it needs a certificate with O=%s", ManagerOrganization)
		}
		return nil
	}
	if c.user == "" {
		return errNoLogin
	}
	u, ok := fsm.Users.Get(s.cfg.Store.View(), c.user)
	if ready, why := s.cfg.Cluster.Ready(); !ok && !ready {
		// A manager that has just started doesn't know its accounts yet.
		return schema.Errorf(schema.KindNoLeader, "manager "+s.cfg.Cluster.Self().GetId(), "it isn't ready: %s; nothing was written", why).WithHint("ask another manager")
	}
	if !ok || u.Disabled {
		return schema.Errorf(schema.KindUnauthenticated, "user "+c.user, "there is no such account, or it is disabled").WithHint("ask an administrator")
	}
	if rank(u.Role) < rank(c.method.Role) {
		return schema.Errorf(schema.KindPermission, "user "+c.user, "the role %s doesn't allow %s", u.Role, c.op()).
			WithHint("it takes the role %s", c.method.Role)
	}
	c.role = u.Role
	return nil
}

// rank orders roles; an unknown role is below all.
func rank(role string) int {
	switch role {
	case schema.RoleAdministrator:
		return 3
	case schema.RoleOperator:
		return 2
	case schema.RoleObserver:
		return 1
	}
	return 0
}

// tokenHash is what is stored of a token.
func tokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
