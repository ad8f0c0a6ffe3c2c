# medray. `make demo` and `make test` need python3 (3.11 to 3.13), make and git; everything else comes by the lock.
# Where packages come from is the machine's own pip and uv configuration: no address stands here.

PYTHON ?= python3
BIN := .venv/bin
UV := .uv/bin/uv
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock"

# A test run starts hundreds of processes; without compiled bytecode each imports for 20 s instead of 4.
unexport PYTHONDONTWRITEBYTECODE

IN_TWO := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help env demo test slow check format lint types imports sizes fix lock clean

help:  ## say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | sort | awk -F'\t' '{printf "  make %-8s %s\n", $$1, $$2}'

env: .venv/.finished  ## make .venv from the hashed lock (again only when the lock changes)

demo: env  ## a small archive: index, train, score, report; MEDRAY_DATA=folder takes the real chest X-rays
	@$(if $(filter command,$(origin MEDRAY_DATA)),MEDRAY_DATA='$(MEDRAY_DATA)',env -u MEDRAY_DATA) $(BIN)/python benchmarks/demo.py

test: env  ## the default tests
	@$(BIN)/pytest $(IN_TWO)

slow: env  ## the slow tests: Ceph, kills, submitted jobs
	@$(BIN)/pytest -m slow $(IN_TWO)

check: format lint types imports sizes  ## format, lint, types, import contracts, sizes

format: env
	$(BIN)/ruff format --check

lint: env
	$(BIN)/ruff check

types: env
	$(BIN)/mypy

imports: env
	$(BIN)/lint-imports

sizes: env
	$(BIN)/pytest -q tests/test_house.py

fix: env  ## format, and mend what lint can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock: $(UV)  ## write the hashed locks from pyproject.toml; UPGRADE=--upgrade takes newer versions
	$(UV) pip compile $(LOCK) $(UPGRADE) --extra dev pyproject.toml -o requirements.lock
	$(UV) pip compile $(LOCK) requirements-uv.in -o requirements-uv.lock

clean:  ## remove the environment, caches and outputs
	rm -rf .venv .uv build demo-output *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# The environment. Each file is touched last, so that an interrupted step is done again.

.venv/.finished: requirements.lock pyproject.toml $(UV)
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) .venv
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(UV): requirements-uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "medray needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version). Say which: make PYTHON=python3.12 …" >&2; exit 1; }
	@rm -rf .uv
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
	  $(PYTHON) -m venv .uv && .uv/bin/python -m pip install -qq --require-hashes -r requirements-uv.lock; \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	  $(PYTHON) -m pip install -qq --target .uv --require-hashes -r requirements-uv.lock; \
	else \
	  echo "$(PYTHON) has neither ensurepip nor pip. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	fi
	@touch $@
