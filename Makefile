PYTHON ?= python3
VENV ?= .venv
CHROMIUM ?= chromium
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed

.PHONY: setup demo test check bench bench-full pictures

setup: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/pip install --quiet --editable ".[train,fetch,serve,scale]" --group dev
	touch $@

demo: setup
	$(BIN)/gliascope demo --out demo

test: setup
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

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
