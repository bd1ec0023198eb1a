package client

import (
	"context"

	"google.golang.org/grpc/metadata"

	"yagura/rpc/api"
)

// session is the token for a call, empty when it needs none. It logs in first
// when there is no session yet. A client with a certificate and no password
// has none.
func (c *Client) session(ctx context.Context, m api.Method) (string, error) {
	if m.Role == api.Public {
		return "", nil
	}
	if token := c.Token(); token != "" || c.opt.User == "" || c.opt.Password == "" {
		return token, nil
	}
	return c.login(ctx)
}

// login starts a session. Many callers at once share one.
func (c *Client) login(ctx context.Context) (string, error) {
	select {
	case c.loginSlot <- struct{}{}:
		defer func() { <-c.loginSlot }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if token := c.Token(); token != "" {
		return token, nil
	}
	// A caller's reply holder and request id belong to the caller's own call.
	ctx = metadata.NewOutgoingContext(context.WithValue(ctx, replyKey{}, (*Reply)(nil)), metadata.MD{})
	r, err := c.Auth.Login(ctx, &api.LoginRequest{User: c.opt.User, Password: c.opt.Password})
	if err != nil {
		return "", err
	}
	c.setToken(r.Token)
	return r.Token, nil
}

// forget drops the token that a call was refused with, unless another caller
// has got a new one since.
func (c *Client) forget(used string) {
	c.tokenMu.Lock()
	defer c.tokenMu.Unlock()
	if c.token == used {
		c.token = ""
	}
}

func (c *Client) setToken(token string) {
	c.tokenMu.Lock()
	defer c.tokenMu.Unlock()
	c.token = token
}
