# Nightjar: `make run` shows the whole night, `make test` proves it. The code behind: include/nightjar/local/.

# A value given to make is text. Each is taken as it stands and passed to the commands as an environment variable: make
# would otherwise expand it (`SQL='$(shell ...)'` runs a command), and so would a shell line that it stood in.
$(foreach given-name,$(.VARIABLES),$(if $(filter command,$(origin $(given-name))),\
  $(eval override export $$(given-name) := $$(value $$(given-name)))))
MAKEOVERRIDES :=
export DATE FROM TO SQL NAME EXIT FORCE ROWS DEVICE PAIRS SIZES NIGHTS VERSION EXPLAIN TABLE YEAR USE_CASE

override SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
export PYTHON
override SETUP := "$$PYTHON" include/nightjar/local/bootstrap.py
override NIGHTJAR := .venv/bin/python -m nightjar.local
override IN := $(NIGHTJAR) env

.PHONY: help run up test test-fast test-gpu lint format docs setup setup-dev night features backfill train query bi maintain data-dictionary declaration-reference grafana contract-draft corruptions reproduce new-use-case bench-night bench-train bench-score bench-forecast bench-publish bench-drift bench-drift-power bench-drift-year simulate kill-matrix awkward-tables lock clean

help: ## | List the commands
	@awk -F ' *## | *[|] *' '/^[a-z][a-z-]*:.*##/ { split($$1, target, ":"); \
	  printf "  %-62s %s\n", "make " target[1] " " $$2, $$3 }' Makefile

run: setup ## [EXIT=1] | Set up, start the servers, load history, train, run three nights; EXIT=1 then stops
	@exec $(NIGHTJAR) run

up: setup ## | Start the servers alone, until Ctrl-C; nothing is loaded, trained or run
	@exec $(NIGHTJAR) up

# Two tests at a time: one waits for servers while the other computes (tests/conftest.py).
test: setup-dev lint ## | Lint and all tests
	@exec $(IN) pytest -n 2 --dist loadscope --no-loadscope-reorder

test-fast: setup-dev lint ## | Lint and the tests that need neither Spark nor servers
	@exec $(IN) pytest -n 2 -m "not spark and not e2e"

test-gpu: setup-dev ## | Train both engines on the GPU and on the CPU, and compare; skipped where there is no GPU
	@if nvidia-smi -L; then exec $(IN) pytest -m gpu -rs -s tests/gpu; \
	else echo "[test-gpu] skipped: nvidia-smi does not answer, so there is no NVIDIA GPU to train on"; fi

lint: setup-dev ## | Ruff, mypy --strict and the import rules
	@$(IN) ruff check .
	@$(IN) ruff format --check .
	@$(IN) mypy --strict include plugins spark jobs benchmarks
	@$(IN) lint-imports

format: setup-dev ## | Format the code
	@$(IN) ruff check --fix .
	@$(IN) ruff format .

docs: setup-dev ## | Build the documentation site into var/docs/html; warnings are errors
	@$(IN) sphinx-build -W --keep-going -q -b html -d var/docs/doctrees docs var/docs/html
	@echo "[docs] var/docs/html/index.html"

setup: ## | Set up what `make run` needs: locked environment, Java, Delta JARs
	@$(SETUP) run

setup-dev: ## | Set up what the tests need as well, torch included
	@$(SETUP) dev

night: setup ## DATE=2013-04-01 [USE_CASE=churn] | Run one night, again if it has run before
	@exec $(NIGHTJAR) night

features: setup ## DATE=2013-06-01 [USE_CASE=churn] | Build one night's features without Airflow and summarize them; writes nothing
	@exec $(NIGHTJAR) features

backfill: setup ## FROM=2013-04-04 TO=2013-04-06 [USE_CASE=churn] | Run a range of nights as an Airflow backfill
	@exec $(NIGHTJAR) backfill

train: setup ## [USE_CASE=churn] [FROM=... TO=...] [FORCE=1] | Train on the first history and print the metric that decides; FORCE=1 trains again
	@exec $(NIGHTJAR) train

query: setup ## [SQL="SELECT ..."] | Read the lake's tables with DuckDB; without SQL, list them
	@exec $(NIGHTJAR) query

bi: setup ## | Serve the lake's tables to JDBC and ODBC clients until Ctrl-C
	@exec $(NIGHTJAR) bi

maintain: setup ## | Remove files of the lake that were replaced longer ago than their tables' retention; published nights stay
	@exec $(NIGHTJAR) maintain

data-dictionary: setup ## | Write docs/data_dictionary.md from the declared tables
	@exec $(NIGHTJAR) data-dictionary

declaration-reference: setup ## | Write the fields of docs/declaration.md from the declared classes
	@exec $(NIGHTJAR) declaration-reference

reproduce: setup ## VERSION=1 [USE_CASE=churn] | Train a registered version again from what MLflow logged, and compare hashes
	@exec $(NIGHTJAR) reproduce

grafana: setup ## | Write the Grafana dashboard, the StatsD mapping and docs/metrics.md's table from the declared metrics
	@exec $(NIGHTJAR) grafana

contract-draft: setup ## TABLE=raw/flights | Propose a contract from what a table holds
	@exec $(NIGHTJAR) contract-draft

new-use-case: setup ## NAME=churn | Write the folder and the DAG file of a new use case
	@exec $(NIGHTJAR) new-use-case

bench-night: setup ## | Measure one night against a plain script, after `make run`; one line of JSON
	@exec $(IN) python benchmarks/night.py

bench-train: setup ## [ROWS=2000000] [DEVICE=cuda] | Measure training against plain xgb.train; one line of JSON
	@exec $(IN) python benchmarks/train.py

bench-score: setup ## [ROWS=4000000] [EXPLAIN=3] | Measure scoring against a bare loop and spark_udf; one line of JSON
	@exec $(IN) python benchmarks/score.py

bench-forecast: setup ## [SERIES=100000] [FITTED=10000] | Measure forecasts against a bare loop and statsforecast; one line of JSON
	@exec $(IN) python benchmarks/forecast.py

bench-publish: setup ## [ROWS=200000] [PAIRS=15] | Measure publishing ten times the rows in as many files; one line of JSON
	@exec $(IN) python benchmarks/publish.py

bench-drift: setup ## [SIZES=300000,3000000] | Measure a night's drift against Evidently's; one line of JSON
	@exec $(IN) python benchmarks/drift.py

bench-drift-power: setup ## [NIGHTS=200] | False alarms on real nights and power against injected shifts; a table, one line of JSON
	@exec $(IN) python benchmarks/drift_power.py

bench-drift-year: setup ## [YEAR=2013] | What the domain classifier and weeks say of the year that `make simulate` left; one line of JSON
	@exec $(IN) python benchmarks/drift_year.py

simulate: setup ## YEAR=2013 [USE_CASE=churn] [FORCE=1] | Simulate a year of nights with and without retraining; resumes where it was
	@exec $(IN) python benchmarks/simulate.py

kill-matrix: setup-dev ## | Kill every step of a night at every moment, and see each made whole by its retry
	@exec env NIGHTJAR_KILLS=all $(IN) pytest -s tests/nightjar_spark/test_kill_matrix.py tests/nightjar_jobs/test_kill_matrix.py tests/nightjar_jobs/test_types_through_the_night.py

awkward-tables: setup-dev ## | Draw 60 tables that others could have written, and read and change each with every program
	@exec env NIGHTJAR_TABLES=60 NIGHTJAR_SEED=$$RANDOM $(IN) pytest -s tests/nightjar_spark/test_awkward_tables.py

corruptions: setup-dev ## | Spoil real nights in 80 ways, and see what the contract catches; false alarms on 60 untouched nights
	@exec env NIGHTJAR_KINDS=all $(IN) pytest -s tests/corruptions

lock: setup-dev ## [UPGRADE=1] | Resolve the dependencies of pyproject.toml into requirements/; UPGRADE takes the newest
	@exec $(NIGHTJAR) lock

clean: ## | Remove all state (var/): lake, Airflow, MLflow, logs
	@$(SETUP) clean
