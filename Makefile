# Few verbs. `make demo` and `make test` do all their own set-up; `make env` does only that.

SHELL := /bin/sh
.DEFAULT_GOAL := help
bin := .venv/bin

# A caller's Python settings must not leak into ours.
unexport PYTHONHOME
unexport PYTHONPATH

# What tests need of the system; deploy/<name>.sh puts it in place or says how.
system := strace postgres git nginx spin chromium

.PHONY: help env demo test check policy $(system) journeys bench soak conformance mutation fmt clean

help:
	@echo "make demo      the gateway with rules, people, ledger and a real model, in the foreground"
	@echo "make test      everything that must hold: lint, types, contracts, policy, all tests"
	@echo "make env       only the set-up of .venv"
	@echo "make check     lint, format, types, import contracts, dependencies"
	@echo "make policy    the policy packs: check, tests, 95 % of lines, by the real OPA"
	@echo "make journeys  whole journeys with the openai package and the demo's model"
	@echo "make bench     figures: CPU per request and per chunk beside a bare pass-through"
	@echo "make soak      the long runs: crash cycles, random load"
	@echo "make mutation  are the tests of the evidence sharp? half an hour; docs/reference/mutation.md"
	@echo "make conformance OPA_CASES=DIR   OPA's own cases; docs/reference/conformance.md"
	@echo "make fmt       put the code into its shape"
	@echo "make clean     remove caches; .venv and .demo stay"

env:
	@deploy/env.sh

demo: env
	@$(bin)/sekisho demo

check: env
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/lint-imports --no-logo
	$(bin)/deptry . --no-ansi

policy: env
	$(bin)/sekisho policy check policies
	$(bin)/sekisho policy test policies --coverage-min 95

journeys: env nginx chromium
	$(bin)/python -m pytest tests/journeys

$(system):
	@deploy/$@.sh

test: check policy $(system)
	$(bin)/python -m pytest tests --ignore=tests/journeys --ignore=tests/bench -n 2 --dist loadfile \
		--no-loadscope-reorder
	$(bin)/python -m pytest tests/journeys

bench: env
	$(bin)/python tests/bench/bench_gateway.py
	$(bin)/python tests/bench/bench_ledger.py
	$(bin)/python tests/bench/bench_verify.py
	$(bin)/python tests/bench/bench_policy.py
	$(bin)/python tests/bench/bench_runaway.py
	$(bin)/python tests/bench/bench_holds.py

soak: env strace postgres spin
	SEKISHO_CRASH_CYCLES=10000 SEKISHO_KILL_ROUNDS=100 SEKISHO_STRIKES=all \
		SEKISHO_EVERY_PROOF_TO=1024 SEKISHO_HANG_S=60 \
		$(bin)/python -m pytest tests/faults tests/audit --timeout=7200 --verbose
	SEKISHO_SWAPS=100 $(bin)/python -m pytest tests/gateway/adapters/test_opa_embedded.py \
		--timeout=7200 --verbose
	SEKISHO_MODEL_WORLDS=all $(bin)/python -m pytest tests/models --timeout=7200 --verbose

conformance: env
	@test -n "$(OPA_CASES)" || { echo "usage: make conformance OPA_CASES=DIR (docs/reference/conformance.md)"; exit 2; }
	$(bin)/python tests/conformance/run.py "$(OPA_CASES)"

mutation: env
	$(bin)/python tests/mutation/run.py

fmt: env
	$(bin)/ruff format .
	$(bin)/ruff check --fix .

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* dist build
	find gateway audit tests -name __pycache__ -type d -prune -exec rm -rf {} +
