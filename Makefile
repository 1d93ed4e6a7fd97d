# graphrelay: every task of a contributor. `make help` lists them.

GO        ?= go
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.0.0)
LDFLAGS   := -s -w -X main.version=$(VERSION)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
ACTIONLINT  := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
RACE      ?=
ARCH      ?= amd64,arm64
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null)
MAINTAINER ?= $(shell git log -1 --format='%an <%ae>' 2>/dev/null)
HOMEPAGE  ?=
FUZZTIME  ?= 10m

.DEFAULT_GOAL := help
.PHONY: help build run test lint count vulnerabilities postgres test-interop test-console test-chart test-pack fuzz torture bench man package image release test-system test-arm64 clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/graphrelay
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/graphrelay ./cmd/graphrelay

run: build ## build and run relay, console and a double of Microsoft 365 together, for a first try
	bin/graphrelay serve --sandbox

test: ## run all tests that need only Go and git; RACE=1 adds the race detector
	$(GO) test -timeout 20m $(if $(RACE),-race) ./...
	@echo "Left out here, for want of foreign programs or root: make postgres, make test-interop, make test-system, make torture; for their time: make test-pack, make test-chart, make model."

lint: count ## gofmt, vet, staticcheck, the limits of size; actionlint for the workflows
	@out=$$(gofmt -l cmd config relay packaging); if [ -n "$$out" ]; then echo "gofmt these files:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	cd packaging/pack && $(GO) vet ./...
	$(GO) vet -tags interop,torture,bench,browser,system,postgres ./...
	$(GO) run $(STATICCHECK) -tags interop,torture,bench,browser,system,postgres ./...
	cd packaging/chart/test && $(GO) vet ./... && $(GO) run $(STATICCHECK) ./...
	$(GO) run $(ACTIONLINT) -shellcheck= -pyflakes= .github/workflows/*.yml

count: ## hold the code to the limits of size in CONTRIBUTING.md, and print its size
	$(GO) run ./packaging/count -check

vulnerabilities: ## look for known vulnerabilities that the code reaches (asks the Go vulnerability database)
	$(GO) run $(GOVULNCHECK) ./...

test-interop: ## drive the real binary with foreign mail programs (fetches Debian and npm packages into .cache)
	$(GO) test -count=1 -tags interop -timeout 40m ./relay/e2e/foreign ./relay/e2e/interop

postgres: ## run the queue, and several relays, on PostgreSQL servers of the tests' own: lost commits, failover, killed nodes (apt-get install postgresql haproxy keepalived)
	$(GO) test -count=1 -tags postgres -timeout 10m ./relay/spool/postgres/... ./relay/e2e/nodes

test-console: ## drive the web console in headless Chromium (apt-get install chromium) and renew its screenshots
	$(GO) test -count=1 -tags browser -timeout 15m ./relay/e2e/browser

test-chart: ## render the chart with every value and examine it, and the Compose and Quadlet examples (fetches Go modules)
	cd packaging/chart/test && $(GO) test -count=1 -timeout 10m ./...

fuzz: ## run every fuzz target for FUZZTIME (default 10m each)
	GO="$(GO)" FUZZTIME=$(FUZZTIME) FUZZTIME_CONN=$(or $(FUZZTIME_CONN),$(FUZZTIME)) .ci/fuzz

model: ## check the model of a queue that several nodes share with wider bounds (3 GB of memory); go test has the narrow ones
	MODEL=long $(GO) test -count=1 -timeout 120m -v -run TestPromisesHold ./relay/spool/model

torture: ## kill -9, power cut, full disk, failing fsync (as root), nodes on PostgreSQL that die and freeze, a hostile client, and a bad week of 50,000 messages; TORTURE_ROUNDS, POWER_ROUNDS, NODES_ROUNDS and HOSTILE_SECONDS set the length
	$(GO) test -count=1 -parallel 6 -tags torture -timeout 120m -skip 'TestHostileClient$$' ./relay/spool/sqlite ./relay/e2e/torture
	$(if $(filter 0,$(NODES_ROUNDS)),,NODES_ROUNDS=$(or $(NODES_ROUNDS),60) $(GO) test -count=1 -tags postgres -timeout 120m -v -run 'TestRoundsOfFaults$$' ./relay/e2e/nodes)
	$(GO) test -count=1 -tags torture -timeout 60m -v -run 'TestHostileClient$$' ./relay/e2e/torture
	$(GO) test -count=1 -tags torture -timeout 30m -v -run 'TestBadWeek$$' ./relay/delivery

bench: ## measure beside Postfix on this machine; BENCH_SHORT=1 for a short run
	$(GO) test -count=1 -tags bench -timeout 60m -v -run TestBench ./relay/e2e/bench
	$(if $(BENCH_SHORT),,$(GO) test -count=1 -tags bench -timeout 60m -v -run 'TestScale|TestConsoleScale' ./relay/spool/sqlite)

man: ## build the manual pages into dist/man (needs scdoc)
	@mkdir -p dist/man
	@for page in packaging/man/*.scd; do scdoc <$$page >dist/man/$$(basename $$page .scd) || exit 1; done; ls dist/man

package image release: export MAINTAINER := $(MAINTAINER)
package image release: export HOMEPAGE := $(HOMEPAGE)
package image release: export SOURCE_DATE_EPOCH := $(SOURCE_DATE_EPOCH)
PACK = cd packaging/pack && $(GO) run . -root ../.. -out ../../dist -version $(VERSION) -revision "$(REVISION)" -arch $(ARCH) \
		-maintainer "$$MAINTAINER" -homepage "$$HOMEPAGE" -make
package: ## build deb and rpm for amd64 and arm64 into dist (needs scdoc), with MAINTAINER (the last commit's author by default) and HOMEPAGE
	$(PACK) packages

image: ## build the OCI image for amd64 and arm64 into dist, without an engine; the same source gives the same digest
	$(PACK) image

release: ## build all of a release into dist: deb, rpm, image, chart, bills of materials, notices, checksums (needs scdoc)
	rm -rf dist
	$(PACK) packages,image,chart,sums

test-pack: ## build the image twice, in different folders, and judge it and the changelog (needs only Go and git)
	cd packaging/pack && $(GO) test -count=1 -timeout 25m ./...

test-system: ## check the packages, boot a Debian and use them there: reload, restart under load, upgrade, crash; an APT repository; the image by Podman; arm64 emulated (as root)
	$(GO) test -count=1 -parallel 6 -tags system -timeout 25m -v ./relay/e2e/system

test-arm64: ## run the tests of every package but the end-to-end ones on an emulated arm64 (needs qemu-user)
	GOARCH=arm64 CGO_ENABLED=0 $(GO) test -count=1 -timeout 120m -exec qemu-aarch64 \
		$$($(GO) list ./config/... ./relay/... | grep -v /e2e)

clean: ## remove what was built and fetched
	rm -rf bin dist .cache
