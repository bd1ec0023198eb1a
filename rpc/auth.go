package rpc

import (
	"context"
	"crypto/rand"
	"encoding/base64"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/password"
)

// tokenBytes is the length of a session's token: 256 bits can't be guessed, so
// a plain hash of it is enough to store.
const tokenBytes = 32

// maxUserName bounds a user name in a login, bytes: it is remembered when it was wrong.
const maxUserName = 256

// authService serves accounts and login.
type authService struct {
	api.UnimplementedAuthServer
	s *Server
}

// Login checks a password and starts a session. It takes the same time whether
// the account exists or not, and says the same.
func (a authService) Login(ctx context.Context, req *api.LoginRequest) (*api.LoginReply, error) {
	u, err := a.checkPassword(ctx, req.User, req.Password)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, tokenBytes)
	rand.Read(secret)
	token := base64.RawURLEncoding.EncodeToString(secret)
	now, c := a.s.cfg.Now(), callOf(ctx)
	reply := &api.LoginReply{Token: token, Expires: timestamppb.New(now.Add(a.s.cfg.TokenLifetime)), Role: u.Role}
	why := a.s.why(c)
	// The token itself must not be stored, so the reply isn't kept under a
	// request id: a login whose answer was lost is simply done again.
	why.User, why.Request = u.Name, ""
	res, err := a.s.cfg.Store.Update(ctx, why, func(tx *fsm.Tx) error {
		return fsm.PutToken(tx, &schema.Token{
			Hash: tokenHash(token), User: u.Name, Created: timestamppb.New(tx.Now()), Expires: reply.Expires, From: c.from,
		})
	})
	if err != nil {
		return nil, err
	}
	c.index = res.Index
	return reply, nil
}

// checkPassword is the account of this name and password. Wrong ones are
// slowed down: KindLogin, KindRateLimited.
func (a authService) checkPassword(ctx context.Context, name, text string) (*schema.User, error) {
	if len(name) > maxUserName {
		return nil, errWrongPassword
	}
	from := callOf(ctx).from
	if err := a.s.limiter.begin(name, from); err != nil {
		a.s.metrics.logins.WithLabelValues("limited").Inc()
		a.s.log.Warn("too many wrong passwords", "user", name, "from", from)
		return nil, err
	}
	u, ok := fsm.Users.Get(a.s.cfg.Store.View(), name)
	var hash []byte
	if ok && !u.Disabled && len(text) <= 4*password.MaxLength {
		hash = u.PasswordHash
	}
	right, err := a.s.hasher.Verify(ctx, hash, text)
	if err != nil {
		return nil, err
	}
	if !right {
		a.s.metrics.logins.WithLabelValues("wrong").Inc()
		a.s.log.Warn("wrong user name or password", "user", name, "from", from)
		return nil, errWrongPassword
	}
	a.s.limiter.right(name, from)
	a.s.metrics.logins.WithLabelValues("ok").Inc()
	return u, nil
}

var errWrongPassword = schema.Errorf(schema.KindLogin, "login", "wrong user name or password")

// Logout ends the session that the call came with.
func (a authService) Logout(ctx context.Context, _ *api.Empty) (*api.Empty, error) {
	c := callOf(ctx)
	if c.token == "" {
		return nil, schema.Errorf(schema.KindInvalid, "session", "the call came with a certificate, there is no session to end")
	}
	return a.s.empty(ctx, func(tx *fsm.Tx) error { return fsm.DeleteToken(tx, tokenHash(c.token)) })
}

// WhoAmI tells the caller's account and role.
func (a authService) WhoAmI(ctx context.Context, _ *api.Empty) (*api.Identity, error) {
	c := callOf(ctx)
	return &api.Identity{User: c.user, Role: c.role, Via: c.via}, nil
}

// ChangePassword sets a new password [3.2.22]. Whoever changes the own one
// gives the old one. An administrator may change another's without. All
// sessions of the account end. KindAccount: no such account, or another's;
// KindLogin: the old one is wrong. KindPassword: the new one breaks the rules.
func (a authService) ChangePassword(ctx context.Context, req *api.ChangePasswordRequest) (*api.Empty, error) {
	c := callOf(ctx)
	name := req.User
	if name == "" {
		name = c.user
	}
	own := name == c.user
	if !own && c.role != schema.RoleAdministrator {
		return nil, schema.Errorf(schema.KindAccount, "user "+name, "the role %s doesn't allow to change another's password", c.role).WithHint("ask an administrator")
	}
	if _, ok := fsm.Users.Get(a.s.cfg.Store.View(), name); !ok {
		return nil, errNoAccount(name)
	}
	if err := password.Check(req.NewPassword); err != nil {
		return nil, err
	}
	if own || req.OldPassword != "" {
		if _, err := a.checkPassword(ctx, name, req.OldPassword); err != nil {
			return nil, err
		}
	}
	hash, err := a.s.hasher.Hash(ctx, req.NewPassword)
	if err != nil {
		return nil, err
	}
	return a.s.empty(ctx, func(tx *fsm.Tx) error { return fsm.SetPasswordHash(tx, name, hash) })
}

func errNoAccount(name string) error {
	return schema.Errorf(schema.KindAccount, "user "+name, "there is no such account").WithHint("user list shows them")
}

func (a authService) ListUsers(ctx context.Context, _ *api.Empty) (*api.ListUsersReply, error) {
	reply := &api.ListUsersReply{}
	for u := range fsm.Users.All(a.s.view(ctx)) {
		reply.Users = append(reply.Users, publicUser(u))
	}
	return reply, nil
}

// publicUser is an account without its password hash.
func publicUser(u *schema.User) *schema.User {
	u = proto.CloneOf(u)
	u.PasswordHash = nil
	return u
}

// SetUser creates an account or changes one. A new account needs a password; of
// an existing one an empty password keeps the old.
func (a authService) SetUser(ctx context.Context, req *api.SetUserRequest) (*schema.User, error) {
	var hash []byte
	if req.Password != "" {
		if err := password.Check(req.Password); err != nil {
			return nil, err
		}
		var err error
		if hash, err = a.s.hasher.Hash(ctx, req.Password); err != nil {
			return nil, err
		}
	}
	reply := &schema.User{}
	err := a.s.write(ctx, reply, func(tx *fsm.Tx) error {
		err := fsm.SetUser(tx, &schema.User{Name: req.Name, Role: req.Role, Disabled: req.Disabled, Description: req.Description, PasswordHash: hash})
		if err != nil {
			return err
		}
		u, _ := fsm.Users.Get(tx, req.Name)
		proto.Merge(reply, publicUser(u))
		return nil
	})
	return reply, err
}

func (a authService) DeleteUser(ctx context.Context, req *api.NameRequest) (*api.Empty, error) {
	return a.s.empty(ctx, func(tx *fsm.Tx) error { return fsm.DeleteUser(tx, req.Name) })
}
