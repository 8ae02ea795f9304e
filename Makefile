# `make` installs everything and runs the whole pipeline; `make help` lists the rest. With TASK=regression
# or TASK=multilabel, what is run, verified, advised and so on is that folder of examples/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
FOLDER := $(if $(filter-out classification,$(TASK)),examples/$(TASK),.)
KNOWN := classification $(patsubst examples/%/dvc.yaml,%,$(wildcard examples/*/dvc.yaml))
$(if $(TASK),$(if $(filter $(TASK),$(KNOWN)),,$(error TASK=$(TASK) is no folder of examples/; there are: $(KNOWN))))

# Stages are started by DVC as plain `python`, so the environment's programs must come first. Without
# bytecode files every stage process would spend 17 s more on imports.
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport PYTHONDONTWRITEBYTECODE
export DVC_NO_ANALYTICS := 1

.DEFAULT_GOAL := all
.PHONY: all run scm install test types suite lint ui experiments advice undo-advice sync verify reproduce reference chaos fuzz lock evidence clean help

all: install run ## install everything, run the pipeline, say what it found; TASK=regression: that example

install: $(INSTALLED) ## .venv from requirements.lock, hashes checked

# The lock's own uv installs the lock: pip checks its hashes, and no other tool is needed.
$(INSTALLED): requirements.lock
	@echo "installing into $(VENV) (6 GB, a minute or two)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	sed -n '/^uv==/,/^[^ ]/{/^uv==/p;/^ .*--hash/p}' requirements.lock > $(VENV)/uv.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.txt
	UV_LINK_MODE=copy $(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	touch $(INSTALLED)

run: $(INSTALLED) scm ## run what has changed; earlier outputs come back if a stage fails
	@cd $(FOLDER); dvc repro evaluate && dvc repro || { status=$$?; dvc checkout --quiet 2>/dev/null; exit $$status; }
	@cd $(FOLDER) && python -m stages.summary

# A downloaded archive has no .git, and DVC has to be told.
scm: $(INSTALLED)
	@if [ -e .git ]; then cd $(FOLDER); \
	  dvc config --local core.no_scm >/dev/null 2>&1 && dvc config --local --unset core.no_scm; true; \
	else \
	  echo "no git here: the pipeline runs, and dvc exp needs \`git init\` and a first commit"; \
	  printf '[core]\n    no_scm = true\n' > $(FOLDER)/.dvc/config.local; \
	fi

test: $(INSTALLED) ## all tests and checks
	ruff check .
	ruff format --check .
	lint-imports
	@$(MAKE) --no-print-directory --jobs 2 types suite

# Side by side: tests wait for servers and killed processes, and leave cores to the types meanwhile.
types: $(INSTALLED)
	mypy

suite: $(INSTALLED)
	pytest -n auto --dist worksteal

lint: $(INSTALLED) ## format, and fix what can be fixed
	ruff format .
	ruff check --fix .

ui: $(INSTALLED) ## MLflow, with links to the trainings; PORT=5001 where 5000 is taken
	@cd $(FOLDER) && python -m sftcore ui --port $(or $(PORT),5000)

experiments: $(INSTALLED) ## DVC's experiments with the headline numbers and the parameters that differ
	@cd $(FOLDER) && dvc exp show --only-changed --drop '^(sftcore|stages|studies|data/|models/|reports/|requirements)'

advice: $(INSTALLED) ## write the study's advice into params.yaml
	@cd $(FOLDER) && python -m sftcore advice

undo-advice: $(INSTALLED) ## put the values back that `make advice` changed
	@cd $(FOLDER) && python -m sftcore undo-advice

sync: $(INSTALLED) ## tell MLflow what it missed: a server that was away, results from DVC's cache
	@cd $(FOLDER) && python -m sftcore sync

verify: $(INSTALLED) ## compare every file with the hash that was written down for it
	@cd $(FOLDER) && python -m sftcore verify

fuzz: $(INSTALLED) ## feed the readers with damaged input for a minute
	python -m reliability.fuzz

reproduce: $(INSTALLED) ## run twice from nothing in unlike places, and compare dvc.lock
	python -m reliability.reproduce $(if $(TASK),--task $(TASK))

reference: $(INSTALLED) ## keep this run's hashes for machines of its kind; for maintainers
	@cd $(FOLDER) && python -m sftcore reference

chaos: $(INSTALLED) ## kill a small pipeline at random moments, and compare the bytes
	python -m reliability.chaos

evidence: $(INSTALLED) ## the recipe against logistic regression on its own features; for docs/evidence.md
	python -m benchmarks.recipe data/prepared --replicates 10 --test

lock: ## write requirements.lock anew from pyproject.toml
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --all-extras \
	  --python-version 3.11 pyproject.toml -o requirements.lock

clean: ## remove outputs, caches and the local MLflow store; not the environment
	for folder in . examples/*; do (cd $$folder && \
	  rm -rf data/prepared models reports .sft dvc_plots .dvc/cache .dvc/tmp); done
	rm -rf mlflow.db mlartifacts

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12
