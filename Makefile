# The doors of the project. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
WORKERS ?= 2
# Every shell script, whatever its name.
SCRIPTS = $(shell git ls-files -z -co --exclude-standard | xargs -0 awk 'FNR == 1 { if (/^\#!.*[/ ](ba)?sh$$/) print FILENAME; nextfile }')

.PHONY: help up test check bench attack soak lint types imports unit format schemas docs clean tools

help: ## list these doors
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

up: $(VENV)/up.done ## see the main job run: a demo vault, its engine, a chat
	@$(BIN)/vaultloop init $(DEMO)/vault --bare-remote $(DEMO)/remote.git \
	    --state $(DEMO)/state --config $(DEMO)/vaultloop.toml >/dev/null
	@cat docs/demo.txt
	@exec $(BIN)/vaultloop up --chat --config $(DEMO)/vaultloop.toml

test: tools lint types imports ## all set-up and all tests
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

check: $(VENV)/test.done lint types imports ## the fast half, for every commit
	$(BIN)/pytest -q -m "not acceptance and not soak" -n $(WORKERS) --dist worksteal

lint: $(VENV)/test.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/shellcheck $(SCRIPTS)
	$(BIN)/hadolint Dockerfile

types: $(VENV)/test.done
	$(BIN)/mypy

imports: $(VENV)/test.done
	$(BIN)/lint-imports

unit: $(VENV)/test.done
	$(BIN)/pytest -q -m "not acceptance and not soak"

bench: tools $(VENV)/test.done ## the table of figures
	PYTHONPATH=tests $(BIN)/python -m bench

attack: tools $(VENV)/test.done ## a hostile program tries to break out of every fence: the whole table (installs what `make test` does)
	PYTHONPATH=tests $(BIN)/python -m attack

soak: tools $(VENV)/test.done ## what takes most of an hour: whole years of every clock, many more crashes
	$(BIN)/pytest -m soak -n $(WORKERS) --dist worksteal

format: $(VENV)/test.done ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: $(VENV)/test.done ## write schemas/ from the models
	$(BIN)/python -m vaultloop.schemas schemas vault-template/.obsidian/types.json

docs: schemas ## write docs/kinds/ from the models, examples and guides
	$(BIN)/python -m vaultloop.reference docs/kinds tests/vaults

clean: ## remove the environment and the demo
	rm -rf $(VENV) $(DEMO) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# Programs that the tests talk to. Installed where this is possible, asked for where it is not.
tools: $(VENV)/up.done
	@tests/install-tools
	@PYTHONPATH=tests $(BIN)/python -m support.claude_cli

$(VENV)/up.done: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "vaultloop needs Python 3.11 or newer: $(PYTHON) is not there"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "vaultloop needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	@echo "Making the environment in $(VENV) (once, about half a minute) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/test.done: $(VENV)/up.done
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
