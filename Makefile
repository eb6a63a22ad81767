# A fresh machine needs Python 3.11 or later, make and git; the rest comes into .venv from the lock file.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo demo-ui test ui bench screenshots crash audit lock

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "This Python lacks venv: install the package python3-venv, or say PYTHON=/path/to/python3 make ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	@$(BIN)/iplum demo

test: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 4 --dist worksteal

ui: setup
	@exec $(BIN)/iplum ui

# All of them take half an hour on two cores; ONLY=name runs one of them. dlt is installed for the run alone.
bench: setup
	$(BIN)/python -m benchmarks $(ONLY)

# The UI on what `make demo` made, with the stand-in API behind it: backfills, retries, anything can be tried there.
demo-ui: demo-data/warehouse.duckdb
	@exec $(BIN)/iplum demo --ui

demo-data/warehouse.duckdb: | .venv/ready
	@$(BIN)/iplum demo

# The pictures of docs/dagster-ui.md, made anew in Chromium.
screenshots: setup
	$(BIN)/python -m docs.screenshots

# Four hundred runs, each killed at another moment: takes some minutes.
crash: setup
	$(BIN)/python -m benchmarks.crash

# Asks for known vulnerabilities of all that is locked; fails too when nobody could be asked.
audit: setup
	@$(BIN)/python .ci/audit.py

# Run this after changing the dependencies in pyproject.toml; it needs uv.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --no-strip-extras \
		--group dev --extra cluster --output-file requirements.lock pyproject.toml
