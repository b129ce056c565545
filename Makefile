# make install | lint | stubs | docs | test | test-jax | test-torch | test-slow | test-matrix | notebooks | demo | wheel | sbom | audit | clean
SHELL := /bin/bash
.DELETE_ON_ERROR:

# The first Python of at least 3.11; `make PYTHON=...` takes another.
PYTHON ?= $(shell for p in python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
STAMP := .venv/installed

# What may depend on the backend of keras_archs/; exact counts of every architecture do not.
JAX_TESTS := tests/keras_archs/test_architectures.py tests/keras_archs/test_parity.py \
	tests/keras_archs/cost/test_cost.py tests/keras_archs/runtimes/test_runtimes.py

export TF_CPP_MIN_LOG_LEVEL ?= 3

# Tests that share what is built stay together, by file or by network (tests/conftest.py). In their
# order the long files come first and the small groups last, so that both workers end together.
PYTEST := $(BIN)/python -m pytest -q -n 2 --no-loadscope-reorder --durations=10

.PHONY: install lint format stubs docs test test-jax test-torch test-slow test-matrix notebooks demo wheel sbom audit clean
install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: needs Python 3.11 or newer" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[tensorflow,jax,search,ray,serve,retrieve,runtime,notebooks,docs,dev]'
	@touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

stubs: install
	$(BIN)/python docs/stubs.py

# To site/, from which it opens without a server; `.venv/bin/mkdocs serve` shows it while it is written.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

test: install
	$(PYTEST)

test-jax: install
	KERAS_BACKEND=jax $(PYTEST) $(JAX_TESTS)

# PyTorch is 5 GB with its needs: an environment of its own, which CI does not make.
test-torch:
	test -x .venv-torch/bin/python || $(PYTHON) -m venv .venv-torch
	.venv-torch/bin/python -m pip install --quiet -c constraints.txt -e '.[torch,dev]'
	KERAS_BACKEND=torch .venv-torch/bin/python -m pytest -q -n 2 $(JAX_TESTS)

test-slow: install
	$(PYTEST) -m slow --durations=30 -rs

.venv-matrix/installed:
	$(PYTHON) -m venv .venv-matrix
	.venv-matrix/bin/python -m pip install --quiet uv==0.13.9 pandas==3.1.1
	@touch $@

# The fast tests under the oldest and the newest libraries that are allowed, on Python 3.11 to 3.13:
# an hour or two and 20 GB, so that CI does not. `make test-matrix MATRIX="--pythons 3.13 --again"`.
test-matrix: .venv-matrix/installed
	.venv-matrix/bin/python benchmarks/matrix.py $(MATRIX)

notebooks: install
	$(BIN)/python docs/notebooks.py

demo: install
	$(BIN)/keras-archs compare --data digits --run-dir runs/demo \
		--archs lenet5,squeezenet:alpha=0.5,resnet20:alpha=0.5,simpnet_300k:alpha=0.5,mobilenet:alpha=0.25

wheel: install
	$(BIN)/python -m build --wheel --no-isolation

# Tools of their own environment, so that what they need is not in the list.
.venv-supply/installed:
	$(PYTHON) -m venv .venv-supply
	.venv-supply/bin/python -m pip install --quiet cyclonedx-bom==7.5.0 pip-audit==2.10.1
	@touch $@

# To build/sbom.json: all packages that are installed, with versions and licences (CycloneDX).
sbom: install .venv-supply/installed
	@mkdir -p build
	.venv-supply/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
		-o build/sbom.json $(BIN)/python

# Asks the network for what is known against the pinned versions; fails where something is.
audit: .venv-supply/installed
	.venv-supply/bin/pip-audit -r constraints.txt --no-deps --disable-pip --strict

clean:
	rm -rf .venv .venv-torch .venv-supply .venv-matrix .matrix build dist site .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
