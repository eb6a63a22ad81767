# A fresh machine needs Python 3.11 or later, make and git; the rest comes into .venv from the lock file.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup setup-all demo demo-ui test ui bench screenshots crash audit lock wheel walk

setup: .venv/ready

PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "This Python lacks venv: install the package python3-venv, or say PYTHON=/path/to/python3 make ..."; exit 1; }
	$(PYTHON) -m venv .venv
	@echo "Installing $$(grep -c == requirements.lock) packages, 0.5 GB in total. This takes 2 to 5 minutes."
	$(PIP) install --no-compile --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@$(PIP) uninstall --quiet --quiet --yes setuptools  # comes with venv; nothing needs it
	@$(BIN)/python deploy/trim_packages.py
	@touch $@

# What tests, benchmarks and clusters need in addition.
setup-all: .venv/dev-ready

.venv/dev-ready: .venv/ready requirements-dev.lock
	$(PIP) install --no-compile --require-hashes -r requirements-dev.lock
	@touch $@

demo: setup
	@$(BIN)/iplum demo

test: .venv/dev-ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 4 --dist worksteal

ui: setup
	@exec $(BIN)/iplum ui

# All of them take half an hour on two cores; ONLY=name runs one of them. dlt is installed for the run alone.
bench: .venv/dev-ready
	$(BIN)/python -m benchmarks $(ONLY)

# The UI on what `make demo` made, with the stand-in API behind it: backfills, retries, anything can be tried there.
demo-ui: demo-data/warehouse.duckdb
	@exec $(BIN)/iplum demo --ui

demo-data/warehouse.duckdb: | .venv/ready
	@$(BIN)/iplum demo

# The pictures of docs/dagster-ui.md, made anew in Chromium.
screenshots: .venv/dev-ready
	$(BIN)/python -m docs.screenshots

# The wheel, in dist/.
wheel: setup
	$(BIN)/python -m hatchling build --target wheel

# Install the wheel in an empty folder and run its commands, with the packages that running needs.
walk: setup
	@$(BIN)/python .ci/wheel_walk.py

# Four hundred runs, each killed at another moment: takes some minutes.
crash: .venv/dev-ready
	$(BIN)/python -m benchmarks.crash

# Asks for known vulnerabilities of all that is locked; fails too when nobody could be asked.
audit: setup
	@$(BIN)/python .ci/audit.py

# Run this after changing the dependencies in pyproject.toml; it needs uv. requirements.lock has what running and building
# need, requirements-dev.lock also the packages for tests, benchmarks and clusters.
LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --no-strip-extras
lock:
	$(LOCK) --group dev --extra cluster --output-file requirements-dev.lock pyproject.toml
	$(LOCK) --group build --constraint requirements-dev.lock --output-file requirements.lock pyproject.toml
