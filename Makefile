# make demo   the whole flow on synthesised sound        make test       lint and the fast tests
# make venv   only the virtual environment               make test-slow  all emulated cores, long fuzzing

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# The exact set that CI ran, where there is one for this Python; elsewhere the ranges in setup.cfg.
CONSTRAINTS := $(wildcard constraints/python$(VERSION).txt)

.PHONY: demo test test-slow lint venv packages

demo: venv
	$(BIN)/edgesea demo

test: venv packages lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: venv packages
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

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
