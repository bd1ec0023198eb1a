package rpc

import (
	"context"
	"errors"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// inventoryService serves the objects of the configuration database.
type inventoryService struct {
	api.UnimplementedInventoryServer
	s *Server
}

// errDryRun ends the verb of a dry run before anything is written.
var errDryRun = errors.New("dry run")

// Apply creates and changes objects, all or nothing. A dry run goes the whole
// way, on the leader and against the state of the moment, but for the commit.
func (i inventoryService) Apply(ctx context.Context, req *api.ApplyRequest) (*api.ApplyReply, error) {
	docs := make([]fsm.Document, 0, len(req.Documents))
	for _, d := range req.Documents {
		spec, err := d.GetSpec().MarshalJSON()
		if err != nil {
			return nil, &schema.Error{Kind: schema.KindInvalid, Object: d.GetKind() + " " + d.GetName(), Msg: "the spec is no JSON object", Err: err}
		}
		if d.GetSpec() == nil {
			spec = []byte("{}")
		}
		docs = append(docs, fsm.Document{Kind: d.GetKind(), Name: d.GetName(), Spec: spec})
	}
	reply := &api.ApplyReply{}
	err := i.s.writeKeeping(ctx, reply, func() proto.Message { return keptApply(reply) }, func(tx *fsm.Tx) error {
		applied, err := fsm.ApplyDocuments(tx, docs)
		if err != nil {
			return err
		}
		for _, a := range applied {
			reply.Applied = append(reply.Applied, &api.Applied{Kind: a.Kind, Name: a.Name, Action: a.Action, Changes: a.Changes})
		}
		if reply.DryRun = req.DryRun; req.DryRun {
			return errDryRun
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	return reply, err
}

// keptApply is what is kept of an answer for the case that the call is repeated:
// all of a short one, else who was applied, else only that it was done.
func keptApply(reply *api.ApplyReply) *api.ApplyReply {
	if proto.Size(reply) <= maxKept {
		return reply
	}
	short := &api.ApplyReply{DryRun: reply.DryRun, Cut: true}
	for _, a := range reply.Applied {
		short.Applied = append(short.Applied, &api.Applied{Kind: a.Kind, Name: a.Name, Action: a.Action})
	}
	if proto.Size(short) > maxKept {
		short.Applied = nil
	}
	return short
}

func (i inventoryService) Get(ctx context.Context, req *api.GetRequest) (*api.Object, error) {
	o, err := fsm.GetObject(i.s.view(ctx), req.Kind, req.Name)
	if err != nil {
		return nil, err
	}
	return object(o)
}

// List lists objects in the order of their names; machines come typed, unless
// their specs are asked for. A page begins behind the name that the token holds.
func (i inventoryService) List(ctx context.Context, req *api.ListRequest) (*api.ListReply, error) {
	if err := checkLimit(req.PageSize); err != nil {
		return nil, err
	}
	v := i.s.view(ctx)
	reply := &api.ListReply{}
	if strings.EqualFold(req.Kind, "machine") && !req.Specs {
		machines, err := fsm.ListMachines(v, req.Group)
		if err != nil {
			return nil, err
		}
		reply.Machines, reply.NextPageToken = cutPage(machines, req, (*schema.Machine).GetName)
		return reply, nil
	}
	objects, err := fsm.ListObjects(v, req.Kind, req.Group)
	if err != nil {
		return nil, err
	}
	objects, reply.NextPageToken = cutPage(objects, req, func(o fsm.Object) string { return o.Name })
	show := object
	if req.Specs {
		show = document
	}
	for _, o := range objects {
		out, err := show(o)
		if err != nil {
			return nil, err
		}
		reply.Objects = append(reply.Objects, out)
	}
	return reply, nil
}

// cutPage takes the page that req asks for out of all rows, in the order of their names.
func cutPage[T any](all []T, req *api.ListRequest, name func(T) string) (page []T, next string) {
	if req.PageToken != "" {
		all = slices.DeleteFunc(all, func(v T) bool { return name(v) <= req.PageToken })
	}
	size := int(req.PageSize)
	if size == 0 || len(all) <= size {
		return all, ""
	}
	return all[:size], name(all[size-1])
}

// object is an object as the API shows it.
func object(o fsm.Object) (*api.Object, error) {
	row, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(o.Row)
	if err != nil {
		return nil, err
	}
	out := &api.Object{Kind: o.Kind, Name: o.Name, Spec: &structpb.Struct{}, Row: &structpb.Struct{}}
	if err := out.Spec.UnmarshalJSON(o.Spec); err != nil {
		return nil, err
	}
	return out, out.Row.UnmarshalJSON(row)
}

// document is an object without its row.
func document(o fsm.Object) (*api.Object, error) {
	out := &api.Object{Kind: o.Kind, Name: o.Name, Spec: &structpb.Struct{}}
	return out, out.Spec.UnmarshalJSON(o.Spec)
}

func (i inventoryService) Unset(ctx context.Context, req *api.UnsetRequest) (*api.Empty, error) {
	return i.s.empty(ctx, func(tx *fsm.Tx) error { return fsm.Unset(tx, req.Kind, req.Name) })
}

// Collect queues a collection from one subsystem, or from all.
func (i inventoryService) Collect(ctx context.Context, req *api.CollectRequest) (*api.JobsReply, error) {
	reply := &api.JobsReply{}
	err := i.s.write(ctx, reply, func(tx *fsm.Tx) (err error) {
		if req.Force {
			reply.Jobs, err = fsm.RequestForcedCollect(tx, req.Subsystem)
			return err
		}
		reply.Jobs, err = fsm.RequestCollect(tx, req.Subsystem)
		return err
	})
	return reply, err
}

func (i inventoryService) GroupMachines(ctx context.Context, req *api.GroupRequest) (*api.GroupMachinesReply, error) {
	v := i.s.view(ctx)
	if err := (names{groups: []string{req.Group}}).check(v); err != nil {
		return nil, err
	}
	ref, err := fsm.ResolveGroup(v, req.Group)
	if err != nil {
		return nil, err
	}
	running, pool, err := fsm.GroupMachines(v, req.Group)
	if err != nil {
		return nil, err
	}
	all, err := fsm.ListMachines(v, req.Group)
	if err != nil {
		return nil, err
	}
	public := make(map[string]*schema.Machine, len(all)) // rows without secrets
	for _, m := range all {
		public[m.Name] = m
	}
	reply := &api.GroupMachinesReply{Group: ref.String(), Software: groupSoftware(v, ref)}
	for _, m := range running {
		reply.Running = append(reply.Running, public[m.Name])
	}
	for _, m := range pool {
		reply.Pool = append(reply.Pool, public[m.Name])
	}
	return reply, nil
}

// groupSoftware is the software registered below a path, on groups and models [3.2.13].
func groupSoftware(r fsm.Reader, ref fsm.GroupRef) []string {
	var names []string
	add := func(s *schema.SoftwareSlots) {
		names = slices.Concat(names, s.GetRunBefore(), s.GetRun(), s.GetRunAfter(), s.GetStandbyBefore(), s.GetStandby(), s.GetStandbyAfter())
	}
	for _, g := range fsm.GroupsBelow(r, ref) {
		if ref.Model == "" {
			add(g.Software)
			names = append(names, g.Templates...)
		}
		for _, m := range fsm.GroupModels(r, g.Name) {
			if ref.Model == "" || m.Name == ref.Model {
				add(m.Software)
				names = append(names, m.Template)
			}
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

func (i inventoryService) SetMaintenance(ctx context.Context, req *api.SetMaintenanceRequest) (*api.SetMaintenanceReply, error) {
	reply := &api.SetMaintenanceReply{}
	err := i.s.write(ctx, reply, func(tx *fsm.Tx) error {
		err := names{groups: []string{req.Group}, hosts: []string{req.Host}}.check(tx)
		if err != nil {
			return err
		}
		reply.Machines, err = fsm.SetMaintenance(tx, req.On, req.Group, req.Host)
		return err
	})
	return reply, err
}

func (i inventoryService) ShowPolicy(ctx context.Context, req *api.GroupRequest) (*api.ShowPolicyReply, error) {
	v := i.s.view(ctx)
	if err := (names{groups: []string{req.Group}}).check(v); err != nil {
		return nil, err
	}
	settings, err := fsm.ShowPolicy(v, req.Group)
	if err != nil {
		return nil, err
	}
	return &api.ShowPolicyReply{Settings: policySettings(settings), Policies: slices.Collect(fsm.Policies.All(v))}, nil
}

func policySettings(in []fsm.PolicySetting) []*api.PolicySetting {
	var out []*api.PolicySetting
	for _, s := range in {
		out = append(out, &api.PolicySetting{Group: s.Name, Policy: s.Policy, Models: policySettings(s.Models)})
	}
	return out
}

func (i inventoryService) SetPolicy(ctx context.Context, req *api.SetPolicyRequest) (*api.Empty, error) {
	return i.s.empty(ctx, func(tx *fsm.Tx) error {
		if err := (names{groups: []string{req.Group}}).check(tx); err != nil {
			return err
		}
		return fsm.SetPolicy(tx, req.Group, req.Policy)
	})
}

// Arm switches automation on, or off with a reason, below a category or everywhere.
func (i inventoryService) Arm(ctx context.Context, req *api.ArmRequest) (*api.ArmReply, error) {
	if req.Disarm && callOf(ctx).reason == "" {
		return nil, schema.Errorf(schema.KindInvalid, "disarm", "no reason was given").WithHint("say why, others will see it: --reason TEXT")
	}
	reply := &api.ArmReply{}
	err := i.s.write(ctx, reply, func(tx *fsm.Tx) error {
		reply.State = "armed"
		if err := fsm.SetArmed(tx, req.Category, req.Disarm); err != nil {
			return err
		}
		d := fsm.Settings(tx).Disarm
		if c, ok := fsm.Categories.Get(tx, schema.NormalPath(req.Category)); d == nil && ok {
			d = c.Disarm
		}
		if d != nil {
			reply.State = disarmed(d)
		}
		return nil
	})
	return reply, err
}
