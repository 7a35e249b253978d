# Every target does the set-up it needs, as far as it is not done yet: system packages, .venv, pinned tools, the extension.
#
#   make demo     the main job, on real climate files and on an array larger than memory
#   make test     Rust tests, Python tests, doctests, and every code block of the documentation
#   make check    formatting, lints (warnings are errors) and types
#   make bench    the benchmarks, side by side with NumPy, Dask, Numba, JAX, concurrent.futures and joblib
#   make docs     the documentation, in build/docs
#   make wheel    a wheel for others, in dist/
#   make build    only the extension, for development
#
# PYTHON=... chooses the interpreter, CARGO_TARGET_DIR=... the folder for what cargo builds.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup browser build release demo test test-rust test-python check bench docs wheel chart clean distclean

# rustup's folder may not be on PATH yet in the shell that has just installed it.
export PATH := $(PATH):$(HOME)/.cargo/bin
# maturin looks here for the environment to install into.
export VIRTUAL_ENV := $(CURDIR)/.venv
unexport PYTHONHOME PYTHONPATH

BIN := .venv/bin
PYTEST_WORKERS ?= 2
BENCH_ARGS ?=
DEMO_SIZE ?= 4GB
DEMO_LIMIT ?= 1GB

# maturin tells PyO3's build script about the interpreter through these five variables, and cargo rebuilds PyO3 and the
# bindings whenever one of them changes. Setting the same values for every cargo command keeps `make check`, `make test`
# and the extension on one set of compiled crates instead of rebuilding them for each other in turn. pyo3-config.txt is what
# maturin would itself write (target/maturin) for the stable ABI of CPython 3.11.
CARGO_ENV = PYO3_BUILD_EXTENSION_MODULE=1 \
	PYO3_CONFIG_FILE="$(CURDIR)/scripts/pyo3-config.txt" \
	PYO3_ENVIRONMENT_SIGNATURE="$$(cat .venv/.signature)" \
	PYO3_PYTHON="$(CURDIR)/.venv/bin/python" \
	PYTHON_SYS_EXECUTABLE="$(CURDIR)/.venv/bin/python"

help:
	@sed -n '/^#   make/s/^# //p' Makefile

# --- set-up ---------------------------------------------------------------------------------------------------------

.venv/.stamp-dev: requirements/dev.txt
	@python="$$(sh scripts/find-python.sh)" || exit 1; \
	test -x $(BIN)/python || "$$python" -m venv .venv || exit 1; \
	echo "Installing the pinned tools into .venv"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt || exit 1; \
	$(BIN)/python -c 'import sys; v = sys.version_info; print(f"cpython-{v[0]}.{v[1]}-{64 if sys.maxsize > 2**32 else 32}bit")' > .venv/.signature
	@touch $@

.venv/.stamp-docs: requirements/docs.txt .venv/.stamp-dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/docs.txt
	@touch $@

.venv-bench/.stamp: requirements/bench.txt
	@python="$$(sh scripts/find-python.sh)" || exit 1; \
	test -x .venv-bench/bin/python || "$$python" -m venv .venv-bench || exit 1; \
	echo "Installing the peers into .venv-bench"; \
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/bench.txt || exit 1; \
	.venv-bench/bin/python -c 'import site; print(site.getsitepackages()[0])' > .venv-bench/.site || exit 1; \
	echo "$(CURDIR)/python" > "$$(cat .venv-bench/.site)/pantile-development.pth"
	@touch $@

# Rust and Python come first: finding out that one is too old should not wait for a download.
setup:
	@sh scripts/check-rust.sh
	@sh scripts/find-python.sh > /dev/null
	@sh scripts/install-system.sh
	@$(MAKE) -s --no-print-directory .venv/.stamp-dev

# Only tests need one, so that a demo does not wait for it.
browser:
	@sh scripts/install-system.sh browser

build: setup
	@$(CARGO_ENV) sh scripts/build-extension.sh dev

release: setup
	@$(CARGO_ENV) sh scripts/build-extension.sh release

# --- what people ask for --------------------------------------------------------------------------------------------

demo: release
	$(BIN)/python demo/climate.py
	$(BIN)/python demo/expressions.py --size $(DEMO_SIZE) --limit $(DEMO_LIMIT)

test: test-rust test-python

# The bindings are tested from Python: a test program of theirs could not be linked without a Python library.
test-rust: setup
	$(CARGO_ENV) cargo test --locked --workspace --exclude pantile-python

test-python: build browser
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal

check: setup
	cargo fmt --all --check
	$(CARGO_ENV) cargo clippy --locked --workspace --all-targets -- -D warnings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: release .venv-bench/.stamp
	.venv-bench/bin/python -m benchmarks $(BENCH_ARGS)
	@test ! -e benchmarks/results.json || $(MAKE) --no-print-directory chart

chart:
	$(BIN)/python scripts/chart.py benchmarks/results.json docs/images/benchmarks.svg

docs: build .venv/.stamp-docs
	$(BIN)/python -m sphinx -q -b html docs build/docs
	@echo "The documentation is in build/docs/index.html"

# LLVM goes into the extension: those who install the wheel need no LLVM of their own.
wheel: setup
	@mkdir -p dist && rm -f dist/pantile-*.whl
	$(CARGO_ENV) $(BIN)/maturin build --locked --release --strip --no-default-features --features static-llvm --out dist
	@sh scripts/wheel-size.sh dist/pantile-*.whl

# What was made from the sources, but neither the environments nor cargo's folder, which may be shared and are slow to make.
clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis python/pantile/_native*.so
	rm -f .venv/.stamp-editable

distclean: clean
	rm -rf .venv .venv-bench target
