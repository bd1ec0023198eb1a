package rpc

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// jobsService serves jobs and locks.
type jobsService struct {
	api.UnimplementedJobsServer
	s *Server
}

// ListJobs lists jobs, oldest first. Without all it leaves out those that have
// ended and those that another job started. A limit keeps the newest ones.
func (j jobsService) ListJobs(ctx context.Context, req *api.ListJobsRequest) (*api.ListJobsReply, error) {
	if err := checkLimit(req.Limit); err != nil {
		return nil, err
	}
	if req.State != "" && !slices.Contains(schema.JobStates, req.State) {
		return nil, schema.Errorf(schema.KindInvalid, "state "+req.State, "a job has no such state").WithHint("the states are %s", strings.Join(schema.JobStates, ", "))
	}
	v := j.s.view(ctx)
	match := func(job *schema.Job) bool {
		return (req.State == "" || job.State == req.State) && (req.All || job.Parent == "")
	}
	reply := &api.ListJobsReply{}
	full := func() bool { return req.Limit > 0 && len(reply.Jobs) == int(req.Limit) }
	take := func(job *schema.Job) {
		if match(job) && !full() {
			reply.Jobs = append(reply.Jobs, &api.JobInfo{Job: job, Steps: fsm.StepsOf(v, job.Id)})
		}
	}
	if req.All || schema.JobEnded(req.State) {
		for job := range fsm.Jobs.Backward(v) {
			if full() {
				break
			}
			take(job)
		}
	} else {
		live := fsm.LiveJobs(v)
		slices.Reverse(live)
		for _, job := range live {
			take(job)
		}
	}
	slices.Reverse(reply.Jobs)
	return reply, nil
}

func (j jobsService) GetJob(ctx context.Context, req *api.JobRequest) (*api.JobInfo, error) {
	return jobInfo(j.s.view(ctx), req.Id)
}

func jobInfo(r fsm.Reader, id string) (*api.JobInfo, error) {
	job, err := fsm.JobRow(r, id)
	if err != nil {
		return nil, err
	}
	return &api.JobInfo{Job: job, Steps: fsm.StepsOf(r, job.Id)}, nil
}

// WatchJob sends the job now and at each change until it has ended.
func (j jobsService) WatchJob(req *api.JobRequest, out grpc.ServerStreamingServer[api.JobInfo]) error {
	var sent *api.JobInfo
	return j.s.watch(out.Context(), []fsm.TableRef{fsm.Jobs, fsm.Steps}, func(v *fsm.View) (bool, error) {
		info, err := jobInfo(v, req.Id)
		if err != nil {
			return false, err
		}
		if !proto.Equal(info, sent) {
			if err := out.Send(info); err != nil {
				return false, err
			}
			sent = info
		}
		return schema.JobEnded(info.Job.State), nil
	})
}

func (j jobsService) CancelJob(ctx context.Context, req *api.JobRequest) (*api.Empty, error) {
	return j.s.empty(ctx, func(tx *fsm.Tx) error { return fsm.CancelJob(tx, req.Id) })
}

func (j jobsService) ResumeJob(ctx context.Context, req *api.ResumeJobRequest) (*api.Empty, error) {
	return j.s.empty(ctx, func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, req.Id, req.Word) })
}

func (j jobsService) RollbackJob(ctx context.Context, req *api.JobRequest) (*api.Empty, error) {
	return j.s.empty(ctx, func(tx *fsm.Tx) error { return fsm.RollbackJob(tx, req.Id) })
}

// ListLocks lists the locks held, and the jobs that wait to start.
func (j jobsService) ListLocks(ctx context.Context, _ *api.Empty) (*api.ListLocksReply, error) {
	v := j.s.view(ctx)
	return &api.ListLocksReply{
		Locks:   slices.Collect(fsm.Locks.All(v)),
		Waiting: slices.Collect(fsm.Jobs.By(v, fsm.ByState, schema.JobQueued)),
	}, nil
}
