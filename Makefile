PYTHON ?= python3
VENV ?= .venv
CHROMIUM ?= chromium
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
WANTED = --editable ".[train,fetch,serve,scale]" --group dev
PYTEST = $(BIN)/pytest --dist loadfile

.PHONY: setup demo test test-all check bench bench-full pictures

setup: $(STAMP)

# uv sets up in a minute what takes pip six. Where uv cannot be had, or does not find what pip finds by pip's own
# configuration, pip sets up. Bytecode is compiled here, since later processes may be forbidden to write any.
$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet uv && \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode $(WANTED) || { \
	    echo "uv cannot be used here: pip sets up instead, which takes some minutes"; \
	    $(BIN)/pip install --quiet --upgrade "pip>=25.1" && $(BIN)/pip install --quiet $(WANTED); }
	touch $@

demo: setup
	$(BIN)/gliascope demo --out demo

# The second call is one process of its own, not a worker beside others: Ray may end it.
test: setup
	$(PYTEST) --numprocesses auto --maxprocesses 4 -m "not ray and not slow"
	$(PYTEST) --numprocesses 1 -m "ray and not slow" tests/runtime/ray

test-all: setup
	$(PYTEST) --numprocesses auto --maxprocesses 4 -m "not ray"
	$(PYTEST) --numprocesses 1 -m ray tests/runtime/ray

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

pictures: setup
	$(BIN)/python docs/make_pictures.py $(CHROMIUM)

bench: setup
	$(BIN)/python -m benchmarks

bench-full: setup
	$(BIN)/python -m benchmarks all
