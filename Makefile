# Two commands do everything on a fresh machine with Python 3.11 and pip: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/installed
SOURCES := agent cloud device_profiles firmware_sim tests
DEMO_ARGS ?=
TEST_ARGS ?=
# Two files at a time: while one waits for other processes, the other works. In the order of tests/conftest.py: xdist's
# own begins with the files of most tests, and leaves the longest for the end.
TEST_WORKERS ?= 2
NAME ?=
CASES ?= 1000000
STEERED ?=

.PHONY: help install demo test check format lock bench fuzz fuzz-tools system test-vm clean

help:
	@echo "make demo               the whole path on this machine: devices, hub, cloud, console"
	@echo "make test               the whole test suite"
	@echo "make test-vm            the hub with the real bluetoothd, in an emulated machine"
	@echo "make check              format, lint, types, import contracts"
	@echo "make bench NAME=…       a benchmark, for example NAME=journey.latency (LONG=1 for the long form)"
	@echo "make fuzz NAME=…        damaged streams into a serial framer, for example NAME=serial.masimo_ascii CASES=1000000"
	@echo "make format             rewrite the sources in the project's format"
	@echo "make lock               resolve the dependencies again"

install: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; $(PYTHON) is older. Install it, or run make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing into $(VENV) (once; about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY)
	@$(BIN)/bedside-sim demo $(DEMO_ARGS)

system:
	@tests/system-packages

test: $(READY) system
	$(BIN)/python -m pytest --numprocesses $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder $(TEST_ARGS)

# The hub with Debian's own kernel and bluetoothd in an emulated machine: some minutes, and a failure where it cannot be had.
test-vm: $(READY)
	@VM=1 tests/system-packages
	CI=1 $(BIN)/python -m pytest -m vm tests/agent/radio/test_real_bluez.py

check: $(READY)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

bench: $(READY)
	@$(BIN)/python -m tests.bench "$(NAME)"

# Without NAME: every serial framer. STEERED=1 lets a coverage-guided fuzzer choose; `make fuzz-tools` installs it once.
fuzz: $(READY)
	@NAME="$(NAME)" CASES="$(CASES)" $(BIN)/python -m tests.fuzz$(if $(STEERED),.steered)

fuzz-tools: $(READY)
	@$(BIN)/pip install --quiet --disable-pip-version-check --group fuzz

lock: $(READY)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-annotate --no-header --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra agent --generate-hashes \
		--no-annotate --no-header --constraint requirements.lock --output-file systemd/agent.lock pyproject.toml

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
