# The daily commands. `make` alone lists them.
PYTHON := .venv/bin/python

.PHONY: help install run test fast lint format screenshots evaluate

help:  ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install:  ## make the virtual environment with everything for development
	python3 -m venv .venv && .venv/bin/pip install -r requirements-dev.txt

run:  ## start the application on 127.0.0.1
	$(PYTHON) -m app

test:  ## run all tests
	$(PYTHON) -m pytest

fast:  ## run the tests that need neither a browser nor patience
	$(PYTHON) -m pytest -m "not browser and not slow"

lint:  ## linters, types, import contracts
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports

format:  ## format the code
	.venv/bin/ruff check --fix . && .venv/bin/ruff format .

screenshots:  ## take the documentation's pictures from the running application
	$(PYTHON) -m docs.screenshots

evaluate:  ## retrieval quality on the evaluation data (FOURFOLD_EVAL_DATA)
	$(PYTHON) -m evaluation retrieval --sets all --json
