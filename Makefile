# Each target makes the virtual environment and installs by itself, again only when the requirements change.
# Another Python: make test PYTHON=python3.12; another place: VENV=folder; a book of your own: make demo BOOK=file.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed-$(notdir $(PYTHON))
# On all cores, to the end: who has no tests left takes over some of another's. tests/conftest.py gives each one thread.
PYTEST = $(BIN)/python -m pytest -n auto --dist worksteal
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-all test-page lint benchmark storm floors lock audit licences clean

demo: $(STAMP)
	$(BIN)/tiny-diffusion demo$(if $(BOOK), --book "$(BOOK)")

test: $(STAMP)
	$(PYTEST)

test-all: $(STAMP)
	$(PYTEST) -m 'not slow and not gpu and not page'

# Skips itself, with a note, where there is no Chromium.
test-page: $(STAMP)
	@$(INSTALL) -e '.[browser]'
	$(BIN)/python -m pytest -rs -m page tests/page

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

benchmark: $(STAMP)
	$(BIN)/python benchmarks/all.py

# Kills, starvation and hostile files (docs/trust.md); an hour or more.
storm: $(STAMP)
	$(BIN)/python -m tests.storm.storm --trials 200
	$(BIN)/python -m tests.storm.world
	$(BIN)/python -m tests.storm.fuzz --inputs 20000

# The tests at the oldest versions that pyproject.toml allows, in an environment of their own; CI runs a part of them.
floors:
	PYTHON=$(PYTHON) .ci/floors .venv-floors
	.venv-floors/bin/python -m pytest -n auto --dist worksteal

# The tested versions with the hash of every file, for all systems.
lock: $(STAMP)
	@$(INSTALL) uv
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-annotate -c constraints.txt --extra dev \
	  pyproject.toml -o requirements.lock

# Known weaknesses of the tested versions; asks a server.
audit: $(STAMP)
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/pip-audit --no-deps --disable-pip -r requirements.lock

licences: $(STAMP)
	$(BIN)/python scripts/dev/licences.py tensorboard report gif embeddings hub hf cjk

clean:
	./clean.sh all

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@test "$$($(BIN)/python --version)" = "$$($(PYTHON) --version)" || \
	  { echo "$(VENV) is of another Python than $(PYTHON): run make clean first, or give another VENV" >&2; exit 1; }
	@echo "installing into $(VENV); this takes a minute or two"
	@$(INSTALL) -c constraints.txt -e '.[dev]' || \
	  { echo "the tested versions do not install here; trying the newest ones instead" >&2; $(INSTALL) -e '.[dev]'; }
	@touch $@
