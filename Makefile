# make demo   the whole flow on synthesised sound   make test          lint and the fast tests
# make venv   only the virtual environment          make test-slow     all emulated cores, long fuzzing
# make lint   ruff, and mypy on the types           make test-pythons  the fast tests on every Python that is here

PYTHON ?= python3
VENV ?= .venv
# What test-pythons tries: names or paths of interpreters.
PYTHONS ?= python3.10 python3.11 python3.12 python3.13
BIN := $(VENV)/bin
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# The exact set that CI ran, where there is one for this Python; elsewhere the ranges in setup.cfg.
CONSTRAINTS := $(wildcard constraints/python$(VERSION).txt)

.PHONY: demo test test-fast test-slow test-pythons lint venv packages

demo: venv
	$(BIN)/edgesea demo

test: lint test-fast

test-fast: venv packages
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: venv packages
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

# Each in an environment of its own, .venv-python3.10 and so on. An interpreter that does not start is skipped.
test-pythons:
	@for python in $(PYTHONS); do \
		if version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null); then \
			if $(MAKE) PYTHON=$$python VENV=.venv-python$$version test-fast; \
			then passed="$$passed $$version"; else failed="$$failed $$version"; fi; \
		else \
			skipped="$$skipped $$python"; \
		fi; \
	done; \
	echo "Passed on:$${passed:- none}. Failed on:$${failed:- none}. Skipped, not installed:$${skipped:- none}."; \
	[ -z "$$failed" ] && [ -n "$$passed" ]

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

venv: $(VENV)/installed

$(VENV)/installed: setup.cfg pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV) || { sh .ci/packages python3-venv && $(PYTHON) -m venv $(VENV); }
	# Debian 12's own pip takes minutes to resolve what a newer one resolves in seconds.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		$(addprefix --constraint ,$(CONSTRAINTS)) --editable ".[dev]"
	touch $@

# Compilers and emulators for the C model. Tests that miss one are skipped and say which.
packages:
	sh .ci/packages $$(grep -v '^#' packages.txt)
