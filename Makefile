# carnet: two commands matter, `make run` and `make test`.
GO        ?= go
DATA      ?= data
FUZZTIME  ?= 3s
SOAK      ?= 10m
PLAN_ROWS ?= 1000000
BIN       := $(CURDIR)/.bin

.PHONY: run test lint bench soak tools setup fmt unit web fuzz

run: ## start carnet with a demo on an embedded store in $(DATA)
	@$(GO) run ./cmd/carnet serve --demo --data $(DATA)

test: setup fmt unit web fuzz ## all that .ci/run runs

setup: tools
	@scripts/setup-test

fmt: tools
	@out=$$(git ls-files '*.go' | xargs $(BIN)/gofumpt -l); test -z "$$out" || { echo "gofumpt would change:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(BIN)/staticcheck ./...

# SQLite is C that was translated: the race detector makes it three times slower, and its
# races are not ours to find. The driver stays in: it shares generic code with us.
RACE := -race -gcflags='modernc.org/sqlite/lib=-race=false' -gcflags='modernc.org/libc=-race=false'

unit: ## not cached: the end-to-end tests build the binary themselves, which the cache does not see
	$(GO) test $(RACE) -count=1 -timeout 8m -p 3 $$($(GO) list ./... | grep -v /cmd/)
	$(GO) test -count=1 -timeout 12m -p 2 -parallel 4 ./cmd/...

web: setup ## types and tests of the web SDK
	cd web && npm run --silent types && npm test

fuzz: ## $(FUZZTIME) for each fuzz target
	@FUZZTIME=$(FUZZTIME) scripts/fuzz

lint: fmt ## the slow linters too; builds golangci-lint on first use
	@scripts/lint

soak: ## torment a node, and three, for $(SOAK) and look whether a message was lost; SEED=n chooses as that run did; then have PostgreSQL plan with $(PLAN_ROWS) rows
	@SOAK=$(SOAK) SEED=$(SEED) $(GO) test -count=1 -timeout 0 -v -run '^Test(Cluster)?Soak$$' ./cmd/carnet
	@PLAN_ROWS=$(PLAN_ROWS) $(GO) test -count=1 -timeout 0 -v -run '^TestPlans$$' ./internal/store/postgres

bench: ## figures beside references of the same run; ONLY=regexp for a part
	@scripts/setup-bench
	@$(GO) run ./bench -only '$(ONLY)'

tools: $(BIN)/gofumpt $(BIN)/staticcheck

$(BIN)/gofumpt:
	GOBIN=$(BIN) $(GO) install mvdan.cc/gofumpt@v0.12.0
$(BIN)/staticcheck:
	GOBIN=$(BIN) $(GO) install honnef.co/go/tools/cmd/staticcheck@v0.8.0
