# `make` alone lists the targets. Everything runs in .venv inside the checkout,
# which is made on first use from requirements.lock (tools/setup_venv.sh).

SHELL := /bin/sh
PY := .venv/bin/python
ROOT_DIR ?= runs/demo
DEMO_ARGS ?=
PYTEST_ARGS ?=
# Processes that share the tests; 0: this one alone.
PYTEST_WORKERS ?= 2
BENCH_ARGS ?=
FAULTS ?= whole_job single_roles start_orders long_run
FAULT_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help venv demo bench test lint types unit faults slow clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' \
	  $(MAKEFILE_LIST)
	@echo 'Variables: ROOT_DIR=$(ROOT_DIR), DEMO_ARGS, PYTEST_ARGS,' \
	  'PYTEST_WORKERS=$(PYTEST_WORKERS), PYTHON (a 3.11).'

venv:  ## .venv from the locked versions; nothing to do when it is complete
	@PYTHON='$(PYTHON)' tools/setup_venv.sh

demo: venv  ## all three stages on real Atari into ROOT_DIR; again to go on
	@$(PY) -m launchers.xtra --root_dir='$(ROOT_DIR)' $(DEMO_ARGS)

test: venv  ## lint, types and all tests
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory unit

lint: venv  ## ruff
	$(PY) -m ruff check .

types: venv  ## mypy
	$(PY) -m mypy

unit: venv  ## the tests alone
	$(PY) -m pytest -n $(PYTEST_WORKERS) --dist loadfile \
	  --no-loadscope-reorder $(PYTEST_ARGS)

bench: venv  ## times beside the peers into docs/ (BENCH_ARGS=--only=search)
	@$(PY) -m benchmarks $(BENCH_ARGS)

faults: venv  ## kills runs, and watches one for an hour; FAULTS chooses
	@for kind in $(FAULTS); do \
	  echo "tests.faults.$$kind: results in docs/reliability"; \
	  $(PY) -m tests.faults.$$kind $(FAULT_ARGS) || exit 1; done

slow: venv  ## the tests that take minutes and are no part of `make test`
	$(PY) -m pytest -m slow $(PYTEST_ARGS)

clean:  ## remove caches and builds; runs and .venv stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find xtra_tf launchers tests -name __pycache__ -type d -prune \
	  -exec rm -rf {} +
