# One word per task. `make help` lists them.
VENV := .venv
BIN := $(VENV)/bin
# Where Python is told to write no byte code, each process would compile the program for itself.
COMPILE := $(BIN)/python -m compileall -q server
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help install serve demo test explore fix lock clean

help: ## Show the tasks
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/'

install: $(VENV)/installed ## Create .venv from requirements.lock; leaves the program at .venv/bin/tidegate

serve: install ## Serve the example models on 127.0.0.1:8000 (predictions) and :8001 (control)
	@exec $(BIN)/tidegate serve models

demo: install ## Play example models, traffic, drift and a roll back for three minutes
	@exec $(BIN)/tidegate demo

test: $(VENV)/installed-dev ## Check style and types, then run every test
	@.ci/programs
	@$(COMPILE)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile -m "not alone"
	$(BIN)/pytest -m alone

explore: $(VENV)/installed-dev ## Search for examples that break the property tests, other ones each time
	$(BIN)/pytest -m hypothesis --hypothesis-profile=explore --timeout=1200

fix: $(VENV)/installed-dev ## Format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(VENV)/installed-dev ## Renew both lock files from pyproject.toml
	.ci/lock

clean: ## Remove everything that the other tasks made
	rm -rf $(VENV) .tidegate .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find server -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/installed: requirements.lock pyproject.toml .ci/python
	@echo "tidegate: installing into $(VENV) (about half a minute the first time)" >&2
	@python=$$(.ci/python) && $$python -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(COMPILE)
	@touch $@

$(VENV)/installed-dev: requirements-dev.lock $(VENV)/installed
	@echo "tidegate: installing what the tests need" >&2
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@
