# Everything runs in .venv, which the first target that needs it sets up.

PYTHON ?= python3
BIN := .venv/bin
COMPILED := $(shell grep -rl --include='*.py' compiled recorder)
SOURCES := $(shell find traces recorder analyzer -type d -not -name __pycache__)
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help demo test test-slow test-backends lint types check docs benchmarks clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

demo: .venv/.ready  ## record a training that breaks, and one that does not, and analyse both
	@$(BIN)/python examples/demo.py 2> .venv/demo.log || { cat .venv/demo.log >&2; exit 1; }

test: .venv/.ready  ## run the tests, without the slow ones
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

test-slow: .venv/.ready  ## run the slow tests
	$(BIN)/python -m pytest -n auto --dist loadfile -m slow

# On Linux, PyTorch from the default index brings gigabytes of CUDA along; hence not by default.
BACKENDS ?= jax
test-backends: .venv/.ready  ## test Keras on JAX; with BACKENDS="jax torch" on PyTorch too
	$(BIN)/python -m pip install --quiet --editable ".[test,$$(echo $(BACKENDS) | tr ' ' ,)]"
	$(BIN)/python -m pytest tests/recorder/backends/test_conformance.py
	for backend in $(BACKENDS); do \
		KERAS_BACKEND=$$backend $(BIN)/python -m pytest tests/recorder/backends/fits || exit 1; \
	done

lint: .venv/.ready  ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.ready  ## check types
	$(BIN)/mypy

check: lint types test  ## lint, types and test

docs: .venv/.ready  ## write the generated parts of README.md and docs/ anew
	$(BIN)/python docs/generate.py

benchmarks: .venv/.ready  ## measure what recording costs
	$(BIN)/python benchmarks/recording_overhead.py

clean:  ## remove the environment and everything built
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Third-party packages, anew when the list of them changes.
.venv/.requirements: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "setting up .venv: TensorFlow and all takes a few minutes"
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	@touch $@

# Numba keeps what it compiled until the file changes that a function is in; those change it, too,
# whose functions it calls.
.venv/.compiled: $(COMPILED) | .venv/.requirements
	@find recorder build -name '*.nb[ic]' -delete 2>/dev/null || true
	@touch $@

# The strict editable install links each module, so it is renewed when modules come or go.
.venv/.ready: .venv/.requirements .venv/.compiled $(SOURCES)
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@
