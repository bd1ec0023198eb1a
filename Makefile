# Yagura. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X yagura/node.Version=$(VERSION) -X main.version=$(VERSION)
GOBUILD := CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)'
BENCH_DATA ?=
FUZZTIME ?= 20s

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/pvmd and bin/pvmutl
	$(GOBUILD) -o bin/pvmd ./cmd/pvmd
	$(GOBUILD) -o bin/pvmutl ./cmd/pvmutl

.PHONY: demo
demo: build ## start three managers and a simulated datacenter in the background
	@bin/pvmd demo up

.PHONY: demo-down
demo-down: ## stop what `make demo` started
	@if [ -x bin/pvmd ]; then bin/pvmd demo down; else echo "no demo: bin/pvmd isn't built"; fi

.PHONY: test
test: ## run all tests that need no long soak
	@deploy/tools/need.sh
	go test -timeout 15m ./...

.PHONY: race
race: ## run all tests under the race detector
	@deploy/tools/need.sh
	go test -race -timeout 25m ./...

.PHONY: verify
verify: ## format, vet, staticcheck, import table, generated code, docs
	@deploy/tools/verify.sh

.PHONY: generate
generate: ## generate the protobuf, gRPC, gateway and OpenAPI code
	deploy/tools/generate.sh

.PHONY: bench
bench: bench-cluster bench-placement bench-jobs bench-events ## all benchmarks

.PHONY: bench-cluster
bench-cluster: build ## three managers side by side with etcd 3.4
	@deploy/tools/need.sh etcd
	go run ./deploy/bench/cluster -bin bin

.PHONY: bench-placement
bench-placement: ## the optimizer side by side with its peers (BENCH_DATA=DIR adds public data)
	@deploy/tools/need.sh placement
	BENCH_DATA='$(BENCH_DATA)' go run ./placement/placebench

.PHONY: bench-jobs
bench-jobs: ## what the controller costs a step: 100 replacements side by side
	@deploy/tools/need.sh etcd
	go run ./deploy/bench/jobs

.PHONY: bench-events
bench-events: build ## intake of SNMP notifications side by side with snmptrapd and etcd
	@deploy/tools/need.sh events
	go run ./deploy/bench/events -bin bin

.PHONY: bench-storm
bench-storm: build ## of bench-events the storm alone: a million traps, ten failures among them, one mail
	go run ./deploy/bench/events -bin bin -parts storm

.PHONY: soak
soak: build ## the long fault campaigns, against real processes, and the fuzz targets
	@deploy/tools/need.sh soak
	go run ./deploy/soak -bin bin
	@deploy/tools/fuzz.sh $(FUZZTIME)

.PHONY: fuzz
fuzz: ## each fuzz target for a while (FUZZTIME=20s)
	@deploy/tools/fuzz.sh $(FUZZTIME)

.PHONY: smoke
smoke: build ## two rescues of VMs with the leader killed in the middle, against real processes
	@deploy/tools/need.sh soak
	go run ./deploy/soak -bin bin -trials 2 -run next-step

.PHONY: clean
clean: ## delete what the build made
	rm -rf bin
