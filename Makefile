# What a person types; the continuous integration types the same.
#   make demo    render the built-in example to out/demo.mp4
#   make test    lint, types and tests
#   make browser drive the report page in Chromium
#   make faults  all that can go wrong, made to: kills, hung ffmpeg, full disks, clocks, edited files (40 minutes)
#   make kill    of that, only the batches and the long render that are killed at random moments (30 minutes)
#   make fuzz    500 damaged inputs through the command line; FUZZ_COUNT, FUZZ_SEED (5 minutes)
#   make gallery PORTRAITS=folder SPEECH=recording    contact sheets of rendered portraits in out/gallery
#   make docs    write the pages of commands and the headers of the model cards anew
# Both make .venv first, where it is not there. Needs Python 3.10, 3.11 or 3.12 and nothing else.

VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTHON ?= $(shell for name in python3.12 python3.11 python3.10 python3 python; do \
	$$name -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null \
	&& echo $$name && break; done)
EXAMPLE ?= hopper
FUZZ_COUNT ?= 500
FUZZ_SEED ?= 0

.PHONY: help demo gallery test lint types tests slow browser faults kill fuzz format package clean

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.installed
	@mkdir -p out
	@$(BIN)/python examples/portraits.py $(EXAMPLE) out/portrait.png
	@$(BIN)/talkhead render out/portrait.png examples/speech.wav -o out/demo.mp4 --overwrite

gallery: $(VENV)/.installed
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/gallery.py $(if $(PORTRAITS),--portraits "$(PORTRAITS)") \
	$(if $(SPEECH),--speech "$(SPEECH)") $(GALLERY_OPTIONS)

test: lint types tests

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

# Tests that mount small disks belong to the rest where mounting works, and to make faults everywhere: there an
# ordinary user is root in a name space of the kernel's.
CAN_MOUNT = $(shell disk=$$(mktemp -d) && { mount -t tmpfs tmpfs $$disk 2>/dev/null && umount $$disk && echo yes; rmdir $$disk; })
QUICK = not slow and not gpu and not browser

tests: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder \
	-m "$(QUICK)$(if $(CAN_MOUNT),, and not disk)"

slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "slow and not disk"

browser: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m browser

kill: $(VENV)/.installed-dev
	$(BIN)/python tests/faults/kill_batch.py --kills 20
	$(BIN)/python tests/faults/kill_long.py --seconds 300 --kills 20

faults: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/faults -m "not disk" --deselect tests/faults/test_kill_batch.py
	OMP_NUM_THREADS=1 $(if $(CAN_MOUNT),,unshare --map-root-user --mount) $(BIN)/python -m pytest tests/faults -m disk
	$(MAKE) kill

fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m tests.fuzz.fuzz --count $(FUZZ_COUNT) --seed $(FUZZ_SEED)

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

package: $(VENV)/.installed-dev
	$(BIN)/python -m build --no-isolation

.PHONY: docs
docs: $(VENV)/.installed-dev
	$(BIN)/python docs/generate_commands.py
	$(BIN)/python docs/generate_cards.py

clean:
	rm -rf $(VENV) out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.10, 3.11 or 3.12 is needed: install one, or make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.installed
