SHELL := bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3.11
export FIFTYONE_DO_NOT_TRACK := 1

.PHONY: env demo test lint format bench clean-results

env: $(VENV)/.installed

$(VENV)/.installed: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-deps --requirement requirements.lock
	touch $@

demo: env
	$(BIN)/snakemake --cores all
	@$(BIN)/python -m wood.report.summary results/demo

test: env
	$(BIN)/pytest tests

lint: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

bench: env
	for script in benchmarks/*.py; do $(BIN)/python -m benchmarks.$$(basename $$script .py) || exit 1; done
