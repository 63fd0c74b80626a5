# One command a job. Everything runs in a virtual environment of its own, .venv.

PYTHON ?= python3
CC ?= cc
VENV := .venv
BIN := $(VENV)/bin
BUILD := build/native
NATIVE := $(wildcard native/src/*.c native/src/*.h native/host/* native/reader/* native/include/*.h)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt
WARNINGS := -std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -ffp-contract=off
LEAST := $(addprefix -DEENS_,SMALL NO_ENTROPY NO_SHARED NO_DRAWN NO_READER ONLY_FLOAT32)
SANITIZE := -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all

.PHONY: help demo test test-py test-c test-arm test-boards firmware wheels lint format vectors symbols switches size bench clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/demo ## install, then encode, decode and run the bundled ensemble of digit classifiers
	$(BIN)/edgeens demo

test: test-py test-c ## install, then run every test of Python and C

test-py: $(VENV)/dev
	$(BIN)/python -m pytest

test-c: $(BUILD)/test_edgeens $(BUILD)/test_edgeens_small $(BUILD)/test_edgeens_least $(BUILD)/test_edgeens_scalar $(BUILD)/test_vector $(BUILD)/test_vector_blocks $(BUILD)/replay symbols switches
	$(BUILD)/test_edgeens $$($(PYTHON) native/test/vector_arguments.py tests/vectors)
	$(BUILD)/test_edgeens_small $$($(PYTHON) native/test/vector_arguments.py tests/vectors)
	$(BUILD)/test_edgeens_least $$($(PYTHON) native/test/vector_arguments.py tests/vectors)
	$(BUILD)/test_edgeens_scalar $$($(PYTHON) native/test/vector_arguments.py tests/vectors)
	$(BUILD)/test_vector
	$(BUILD)/test_vector_blocks
	$(BUILD)/replay native/fuzz/corpus/* tests/vectors/good/*.eens tests/vectors/refused/*.eens

$(BUILD)/test_edgeens: native/test/test_edgeens.c $(NATIVE)
	@mkdir -p $(BUILD)
	$(CC) $(WARNINGS) $(SANITIZE) -funsigned-char -Inative/include -o $@ $< native/src/*.c

$(BUILD)/test_edgeens_small: native/test/test_edgeens.c $(NATIVE)
	@mkdir -p $(BUILD)
	$(CC) $(WARNINGS) $(SANITIZE) -DEENS_SMALL -funsigned-char -Inative/include -o $@ $< native/src/*.c

$(BUILD)/test_edgeens_least: native/test/test_edgeens.c $(NATIVE)
	@mkdir -p $(BUILD)
	$(CC) $(WARNINGS) $(SANITIZE) $(LEAST) -Inative/include -o $@ $< native/src/*.c

$(BUILD)/test_edgeens_scalar: native/test/test_edgeens.c $(NATIVE)
	@mkdir -p $(BUILD)
	$(CC) $(WARNINGS) $(SANITIZE) -DEENS_NO_VECTOR -Inative/include -o $@ $< native/src/*.c

$(BUILD)/test_vector $(BUILD)/test_vector_blocks: $(BUILD)/%: native/test/%.c $(NATIVE)
	@mkdir -p $(BUILD)
	$(CC) $(WARNINGS) $(SANITIZE) -Inative/include -o $@ $< native/src/*.c

$(BUILD)/replay: native/fuzz/replay.c native/fuzz/fuzz_open.c $(NATIVE)
	@mkdir -p $(BUILD)
	$(CC) $(WARNINGS) $(SANITIZE) -Inative/include -o $@ native/fuzz/replay.c native/fuzz/fuzz_open.c native/src/*.c

test-arm: ## run the C tests on emulated ARM processors, and on a big-endian one
	$(PYTHON) native/test/emulated.py

firmware: $(VENV)/demo ## run the firmware examples on emulated microcontrollers
	$(MAKE) -C firmware_examples run EDGEENS=$(CURDIR)/$(BIN)/edgeens PYTHON=$(CURDIR)/$(BIN)/python

wheels: $(VENV)/wheels ## build the sdist and wheels for x86-64, aarch64 and armv7l into dist/
	PATH=$(CURDIR)/$(BIN):$$PATH PYTHON=$(CURDIR)/$(BIN)/python .ci/build_wheels

test-boards: wheels $(VENV)/demo ## install the wheels and the sdist on emulated boards, 64 and 32 bits, and use them there
	PYTHON=$(CURDIR)/$(BIN)/python .ci/check_boards

size: ## measure what the decoder takes on microcontrollers, against native/test/size_budget.txt
	$(PYTHON) native/test/size.py

switches:
	CC=$(CC) sh native/test/check_switches.sh

symbols: ## prove that the C decoder needs no heap, no I/O, no mutable statics
	CC=$(CC) sh native/test/check_symbols.sh

lint: $(VENV)/dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev ## let ruff rewrite the Python files
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

vectors: $(VENV)/dev ## write the golden vectors anew; review the difference before committing it
	$(BIN)/python -m tests.make_vectors

bench: $(VENV)/bench $(if $(DATA),$(VENV)/torch) ## measure speed; with DATA=DIR (MNIST, Fashion-MNIST as idx files) sizes too
	$(BIN)/python -m benchmarks $(if $(DATA),all --data '$(DATA)',decode encode instructions)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo: pyproject.toml .ci/constraints.txt edgeens/_native_build.py $(NATIVE) | $(BIN)/python
	$(INSTALL) --editable '.[onnx]'
	@touch $@

$(VENV)/dev: $(VENV)/demo
	$(INSTALL) --editable '.[dev]'
	@touch $@

$(VENV)/bench: $(VENV)/demo
	$(INSTALL) --editable '.[bench]'
	@touch $@

$(VENV)/wheels: $(VENV)/demo
	$(INSTALL) --editable '.[wheels]'
	@touch $@

$(VENV)/torch: $(VENV)/demo
	$(INSTALL) --editable '.[torch]'
	@touch $@

clean: ## remove what was built, the virtual environment too
	rm -rf $(VENV) build dist edgeens.egg-info edgeens/*.so .pytest_cache .hypothesis .mypy_cache .ruff_cache
