package node

import (
	"context"

	"google.golang.org/grpc"

	"yagura/rpc"
	"yagura/rpc/api"
	"yagura/rpc/apierr"
)

// callPeer calls a method of the Peer service of the manager whose API is at
// addr: to join, to ask for its status, to pass events on. Errors are *schema.Error.
func callPeer[Req, Rep any](ctx context.Context, p *rpc.Peers, addr string, req Req,
	method func(api.PeerClient, context.Context, Req, ...grpc.CallOption) (Rep, error)) (Rep, error) {
	c, err := p.Conn(addr)
	if err != nil {
		var none Rep
		return none, err
	}
	rep, err := method(api.NewPeerClient(c), ctx, req)
	if err != nil {
		return rep, apierr.FromError(err)
	}
	return rep, nil
}
