# `make demo` and `make test` set up everything they need in this folder; nothing outside it is changed but what pip and
# Maven keep for the next time, except that root on Debian gets python3-venv where it is missing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN := .venv/bin
READY := .venv/.ready
UV := uv==0.13.9
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for name in python3.11 python3 python3.12 python3.13; do \
	"$$name" -c '$(SUPPORTED)' 2>/dev/null && echo "$$name" && break; done)

# Apache Kafka and Apache ZooKeeper are Java programs. Where there is no Java, or no Maven to fetch them, their tests are
# left out with a word, unless REQUIRE_APACHE_KAFKA is set, as in .ci/run.
KAFKA := deploy/kafka/target/.ready
ZOOKEEPER := deploy/zookeeper/target/.ready
if_possible = $(if $(and $(shell command -v java),$(shell command -v mvn)),$(1),say-no-java)

ARGS ?=
ROUNDS ?= 3
BROKER ?= memory
WORKERS ?= 3
FAULT_WORKERS ?= 2

.PHONY: help demo kafka zookeeper say-no-java test test-faults bench check lint format lock clean

help:  ## say what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-12s %s\n", $$1, $$2 }'

demo: $(READY)  ## start everything on this machine, with a simulated shop (ARGS="--once" stops after its results)
	$(BIN)/journeys demo $(ARGS)

kafka: $(READY) $(KAFKA)  ## fetch Apache Kafka for `journeys up --kafka apache` (needs Java 17 and Maven)

zookeeper: $(READY) $(ZOOKEEPER)  ## fetch Apache ZooKeeper for the tests of replicas (needs Java 17 and Maven)

test: check $(call if_possible,$(KAFKA) $(ZOOKEEPER))  ## check, then run every test but the fault rounds, with coverage (ARGS="-x" stops at the first failure)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --cov --cov-report=term $(ARGS)

# Two at a time, for they wait about half of the time. Each process is told of one test after another: some take minutes.
test-faults: $(READY) $(call if_possible,$(KAFKA))  ## kill, stop and restart things, and compare with the oracle (ROUNDS=3 of each, BROKER=apache on Apache Kafka, FAULT_WORKERS=0 one at a time)
	@FAULT_ROUNDS=$(ROUNDS) FAULT_KAFKA=$(BROKER) $(BIN)/python -m pytest -n $(FAULT_WORKERS) --dist load --maxschedchunk 1 \
	-m "faults or search" $(ARGS) || { code=$$?; \
	[ $$code -ne 5 ] || echo "make test-faults: no test is marked 'faults', so nothing was shown" >&2; exit $$code; }

bench: $(READY)  ## measure throughput, latency, restore and memory against the limit
	$(BIN)/python -m benchmarks $(ARGS)

check: lint  ## lint, check types and the direction of imports
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

lint: $(READY)  ## check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)  ## mend style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The lock is complete, so nothing is solved at install time: a resolver that looks for `coverage[toml]` would stumble over
# each newer coverage. `pip check` says so if the lock ever is not complete.
# Wheels only, here and where the lock is installed: nothing is compiled on the way in.
lock: .venv/pyvenv.cfg  ## solve the dependencies anew into requirements.lock (ARGS="--upgrade" for the newest)
	$(BIN)/python -m pip install --quiet '$(UV)'
	$(BIN)/uv pip compile pyproject.toml --quiet --all-extras --python-version 3.11 --python-platform linux \
	  --generate-hashes --only-binary :all: --no-annotate --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command 'make lock' --output-file requirements.lock $(ARGS)

clean:  ## remove what tools and builds left behind, the environment and local data too
	rm -rf .venv .journeys deploy/kafka/target deploy/zookeeper/target build dist .coverage .coverage.* htmlcov .hypothesis .import_linter_cache .mypy_cache \
	  .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml | .venv/pyvenv.cfg
	@echo 'Installing the locked dependencies into .venv'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes --no-deps \
	  -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	  --config-settings editable_mode=compat --editable .
	@$(BIN)/python -m pip --disable-pip-version-check check >/dev/null || { $(BIN)/python -m pip check; exit 1; }
	@touch $@

.venv/pyvenv.cfg:
	@[ -n '$(PYTHON)' ] || { echo 'Python 3.11, 3.12 or 3.13 is needed and none is on the PATH' \
	  "(python3 is $$(python3 --version 2>&1)): install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@'$(PYTHON)' -c '$(SUPPORTED)' || { echo "Python 3.11, 3.12 or 3.13 is needed," \
	  "and $(PYTHON) is $$('$(PYTHON)' --version 2>&1): name another with make PYTHON=..." >&2; exit 1; }
	@'$(PYTHON)' -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && echo 'Installing python3-venv, which Debian keeps apart from Python' \
	  && apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; } \
	  || { echo "$(PYTHON) cannot make a virtual environment: run 'apt-get install python3-venv' as root" >&2; exit 1; }
	@'$(PYTHON)' -m venv .venv

$(KAFKA): NAME := Apache Kafka
$(ZOOKEEPER): NAME := Apache ZooKeeper
$(KAFKA) $(ZOOKEEPER): deploy/%/target/.ready: deploy/%/pom.xml
	@for program in java mvn; do command -v $$program >/dev/null || { echo "$(NAME) needs Java 17 and Maven, and" \
	  "there is no $$program on the PATH: install it (on Debian: apt-get install openjdk-17-jre-headless maven)" >&2; exit 1; }; done
	@echo 'Fetching $(NAME) into $(@D)'
	@rm -rf $(@D)
	@mkdir -p $(@D)
	@mvn --batch-mode --quiet --file $< dependency:copy-dependencies >$(@D)/maven.log 2>&1 \
	  || { cat $(@D)/maven.log >&2; exit 1; }
	@touch $@

say-no-java:
	@if [ -n "$$REQUIRE_APACHE_KAFKA" ]; then echo 'Apache Kafka and ZooKeeper must be tested here and there is no Java, or no' \
	  'Maven, on the PATH: install both (on Debian: apt-get install openjdk-17-jre-headless maven)' >&2; exit 1; fi
	@echo 'No Java, or no Maven, on the PATH: the tests on Apache Kafka and ZooKeeper are left out'
