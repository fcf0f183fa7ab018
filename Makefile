# Everything starts from here; `make help` lists the words.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup run demo test test-long check format proto stack stack-down clean

help: ## List what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

$(VENV)/.run: requirements/run.lock pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "needs Python 3.11 or later: set PYTHON=…" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "· making the virtual environment"; $(PYTHON) -m venv $(VENV); }
	@echo "· installing dependencies (about a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.run
	@echo "· installing test tools"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@touch $@

setup: $(VENV)/.run ## Make the virtual environment with everything that runs

run: setup ## Start everything with a demo city; Ctrl-C stops it
	@exec $(BIN)/meterfleet up

test: $(VENV)/.dev ## All tests, real Kafka, TimescaleDB and Chromium included
	@$(BIN)/python -m deploy.local.prepare
	@$(BIN)/python -m pytest -m "not long"

test-long: $(VENV)/.dev ## Crash, soak and fuzz runs
	@$(BIN)/python -m deploy.local.prepare
	@$(BIN)/python -m pytest -m long --timeout 3600

check: $(VENV)/.dev ## Style and types only
	@$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy

format: $(VENV)/.dev ## Put the code in order
	@$(BIN)/ruff check --fix && $(BIN)/ruff format

proto: $(VENV)/.dev ## Make the stubs of the contracts anew
	@$(BIN)/python proto/generate.py

stack: setup ## Start real Kafka and TimescaleDB without containers
	@$(BIN)/python -m deploy.local.stack up

stack-down: setup ## Stop them
	@$(BIN)/python -m deploy.local.stack down

clean: ## Remove the virtual environment, caches and demo data
	rm -rf $(VENV) data .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
