# One line a target; CI calls the same ones, so a laptop and CI cannot differ.
PYTHON ?= python3
BIN := .venv/bin
UI_PORT ?= 5000
export MLFLOW_DISABLE_TELEMETRY ?= true
.DEFAULT_GOAL := help
.PHONY: help install dev demo ui test slow gpu check format simulate controls bench wheel lock clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: .venv/.installed  ## make .venv and install Toetssteen in it

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

dev: .venv/.dev  ## add what the tests and checks need

.venv/.dev: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group dev
	touch $@

demo: install  ## ask the embedded model the suite quick and write the report
	$(BIN)/toets fetch --candidate smollm2-135m-instruct
	$(BIN)/toets run quick --candidate smollm2-135m-instruct --profile reports/profiles/voorbeeld.yaml

ui: install  ## open the MLflow UI on the loopback (UI_PORT=5000)
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow server --host 127.0.0.1 --port $(UI_PORT) --workers 1 --backend-store-uri sqlite:///mlflow.db

test: dev  ## run the tests that take seconds
	$(BIN)/python -m pytest

slow: dev  ## run the longer tests too
	$(BIN)/python -m pytest -m "not gpu"

gpu: dev  ## run the tests that need an NVIDIA GPU
	$(BIN)/python -m pytest -m gpu

check: dev  ## format, lint, types and import contracts
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/toets check

format: dev  ## format and mend what can be mended
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

simulate: dev  ## coverage of every interval, into docs/statistics.md (minutes)
	$(BIN)/python docs/simulate.py --write

controls: dev  ## planted differences through the bias suite, into docs/controls.md (minutes)
	$(BIN)/python docs/controls.py --write

bench: dev  ## time engine and marking beside the peers (own venv, hours)
	$(BIN)/python tests/bench/make_items.py
	$(BIN)/python tests/bench/mark_speed.py .bench/scores.json
	test -x .bench/venv/bin/python || $(PYTHON) -m venv .bench/venv
	.bench/venv/bin/python -m pip install --quiet --disable-pip-version-check lm-eval==0.4.13 inspect-ai==0.3.285 torch==2.13.0 transformers==5.23.0 accelerate
	.bench/venv/bin/python tests/bench/peer_bootstrap.py .bench/scores.json
	$(BIN)/python tests/bench/engine_speed.py --find-batch
	$(BIN)/python tests/bench/engine_speed.py --peers lm-eval inspect
	$(BIN)/python tests/bench/fidelity.py
	$(BIN)/python tests/bench/raw_rate.py
	$(BIN)/python tests/bench/write_page.py --write

wheel: dev  ## build sdist and wheel, and try the wheel in a clean venv
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m pytest -m wheel tests/test_wheel.py

lock: dev  ## write the installed versions into constraints.txt
	$(BIN)/python -m pip freeze --all --exclude-editable | sed 's/+cpu//' > constraints.txt

clean:  ## remove what was built and measured here; the cache stays
	rm -rf .venv .bench dist runs mlflow.db mlruns .mypy_cache .ruff_cache .pytest_cache .hypothesis
