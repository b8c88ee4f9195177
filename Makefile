# Two commands do all the set-up on a machine with python3 (3.11 or newer) and make:
#   make demo    the main job on real records, offline once installed
#   make test    the tests
# A CPU-only torch saves gigabytes: UV_TORCH_BACKEND=cpu make demo

PYTHON ?= python3
VENV := .venv
VENV_USE := .venv-use
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null || echo $(BIN)/uv)
INSTALL := $(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt
UNIT := --unit -m "not slow and not realdata"
SOURCES := docs encoders flows storage tests

.PHONY: help setup demo test test-quick coverage mutants check fmt bench docs constraints clean

help:
	@echo "make setup   set up the environment that the commands lie in, and run nothing"
	@echo "make demo    run the main job on real records of four modalities"
	@echo "make test    run all tests"
	@echo "make test-quick  run the unit part, less than half a minute"
	@echo "make coverage    lines and branches that the tests reach"
	@echo "make mutants     change ids, plans and commits word by word, and see which change no test sees"
	@echo "make check   lint, types, layers"
	@echo "make fmt     format the code"
	@echo "make docs    build the documentation's pages into .cache/site"
	@echo "make bench   measure, as ratios against named baselines"

setup: $(VENV)/.base
	@echo "The commands are in $(BIN): \`. $(BIN)/activate\` puts them on your path"

demo: $(VENV)/.base
	@$(BIN)/vecmill demo

# A process for each core, so a thread for each process: more only wait for one another, and spin.
# The files come in the order of tests/conftest.py: those that take long first. xdist waits for ever
# where a process of the tests died and another took its place (it hands out files that are done).
test: $(VENV)/.dev $(VENV_USE)/.made
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --max-worker-restart 0

# The unit part: files that start no process, make no run and load no model, as tests/unit.py tells.
test-quick: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest $(UNIT) --numprocesses auto --dist loadfile

# Of all tests, those in processes of their own too; of the unit part: make coverage PART=unit
coverage: $(VENV)/.dev $(VENV_USE)/.made
	OMP_NUM_THREADS=1 $(BIN)/pytest $(if $(filter unit,$(PART)),$(UNIT)) --numprocesses auto --dist loadfile \
	  --cov --cov-report term:skip-covered --cov-report html:.cache/coverage

# Lines, and words of SQL, changed one at a time where data would be lost or confused: which change
# does no test see? The last line's exit code says whether any of Python did that is not known.
mutants: $(VENV)/.dev
	@$(INSTALL) --group mutants
	OMP_NUM_THREADS=1 $(BIN)/mutmut run
	$(BIN)/python -m tests.sql_mutants
	$(BIN)/python -m tests.python_mutants

check: $(VENV)/.dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/basedpyright
	$(BIN)/lint-imports

fmt: $(VENV)/.dev
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: $(VENV)/.dev
	$(BIN)/python -m tests.bench

docs: $(VENV)/.dev
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "open .cache/site/index.html, or run $(BIN)/mkdocs serve"

constraints: $(VENV)/.dev $(VENV_USE)/.made
	@head -2 constraints.txt > constraints.new
	@{ $(UV) pip freeze --quiet --python $(BIN)/python --exclude-editable; \
	   $(UV) --version | sed -E 's/^uv ([^ ]+).*/uv==\1/'; } | grep -v ' @ ' | sort -fu >> constraints.new
	@mv constraints.new constraints.txt
	@head -2 constraints-use.txt > constraints.new
	@$(UV) pip freeze --quiet --python $(VENV_USE)/bin/python >> constraints.new
	@mv constraints.new constraints-use.txt

clean:
	rm -rf $(VENV) $(VENV_USE) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis mutants

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Vecmill needs Python 3.11 or newer, found $$($(PYTHON) --version); name one: make PYTHON=python3.12 demo"; exit 1; }
	@echo "Setting up $(VENV); the first time this downloads packages, torch above all"
	@if command -v uv >/dev/null; then uv venv --quiet --clear --python $(PYTHON) $(VENV); \
	  else $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --constraint constraints.txt uv; fi
	@touch $@

$(VENV)/.base: $(VENV)/.python pyproject.toml constraints.txt
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@$(INSTALL) --editable . --group dev
	@touch $@

# TensorFlow has an environment of its own; where there is none for this Python, its tests are skipped.
$(VENV_USE)/.made: $(VENV)/.python constraints-use.txt
	@$(UV) venv --quiet --clear --python $(PYTHON) $(VENV_USE)
	@$(UV) pip install --quiet --python $(VENV_USE)/bin/python --constraint constraints-use.txt tensorflow-cpu \
	  || { rm -rf $(VENV_USE); echo "No TensorFlow could be set up here; the tests of kind use are skipped"; }
	@if [ -d $(VENV_USE) ]; then touch $@; fi
