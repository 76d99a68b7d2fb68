# Two commands matter: `make book` renders the book from its executed notebooks, `make test` proves it.
# Both need nothing but Python 3.11+ and make.

SHELL := /bin/bash
# Where bytecode is not kept, every process compiles PyTorch's modules again: 7 s for `import torch` instead of 3.
unexport PYTHONDONTWRITEBYTECODE
# Nor need every process that validates something search all installed packages for plugins to pydantic: 0.1 s.
export PYDANTIC_DISABLE_PLUGINS := __all__
VENV  := .venv
BIN   := $(VENV)/bin
READY := $(VENV)/.ready
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# What is claimed about time must hold where nothing disturbs the machine (cvprod.claims); `make book` only notes it.
test: export CVPROD_CLAIMS ?= strict

.DEFAULT_GOAL := help
.PHONY: help install book pdf test lint format serve-book serve weights exercises arm refresh-lock hardware clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(READY) ## Create .venv with the locked packages

$(READY): requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found: install one, or run 'make PYTHON=/path/to/python3 ...'."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
		echo "Could not create $(VENV) (on Debian and Ubuntu: apt-get install python3-venv)."; rm -rf $(VENV); exit 1; }
	@echo "Installing the locked packages into $(VENV) (half a minute with a fast network; about 6 GB on disk)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.txt)"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $(READY)

book: $(READY) ## Execute the chapters (cached), render the site to _build/html; CHAPTER=05: that one alone
	@$(BIN)/python -m cvprod.book.build $(if $(CHAPTER),--chapter $(CHAPTER))

pdf: book ## The whole book as one PDF (needs Chromium; some minutes)
	@$(BIN)/python -m cvprod.book.pdf

test: $(READY) ## Every test: chapters cell by cell, package, exercises, site; CHAPTER=05: the cells of that one alone
	@tests="notebooks tests"; if [ -n "$(CHAPTER)" ]; then tests=$$($(BIN)/python -m cvprod.book.notebooks find $(CHAPTER)) || exit 2; fi; \
	$(BIN)/python -m pytest -p cvprod.book.pytest_keep --nbval-lax --nbval-current-env --nbval-cell-timeout=600 \
		-p cvprod.book.pytest_turns -p cvprod.book.pytest_again $(if $(CHAPTER),-n0,-n auto --maxprocesses 4) --no-loadscope-reorder \
		$$tests $(PYTEST_ARGS) || $(BIN)/python -m cvprod.book.pytest_again

lint: $(READY) ## Check formatting, lint and notebook hygiene
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/python -m cvprod.book.notebooks check

format: $(READY) ## Format the code and normalise the notebooks
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format . && $(BIN)/python -m cvprod.book.notebooks normalise

serve-book: book ## Render the book and serve it on http://127.0.0.1:8000
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000

serve: $(READY) ## Start the inspection service on http://127.0.0.1:8000 (gRPC on 8001)
	@$(BIN)/python -m cvprod.serving --grpc-port 8001 --log-format text $(SERVE_ARGS)

weights: $(READY) ## Retrain every shipped network, and what is made of them (about two hours on two cores)
	@$(BIN)/python -m cvprod.models train --all && $(BIN)/python -m cvprod.optimize train
	@$(BIN)/python -m cvprod.serving calibrate && $(BIN)/python -m cvprod.edge vectors --out deploy/mobile/vectors
	@$(BIN)/python -m cvprod.edge apps

exercises: $(READY) ## Generate exercises/release from exercises/source
	@$(BIN)/python -m cvprod.exercises generate

arm: $(READY) ## Fetch the Arm build of LiteRT for the check under qemu (Linux, root; about a minute)
	@$(BIN)/python -m cvprod.edge arm --prepare

refresh-lock: $(READY) ## Resolve pyproject.toml again and write requirements.txt
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --no-annotate \
		--custom-compile-command "make refresh-lock" pyproject.toml --output-file requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --generate-hashes \
		--custom-compile-command "make refresh-lock" --constraint requirements.txt \
		deploy/docker/requirements.in --output-file deploy/docker/requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.12 --no-annotate --generate-hashes \
		--custom-compile-command "make refresh-lock" --constraint requirements.txt \
		deploy/docker/requirements-gpu.in --output-file deploy/docker/requirements-gpu.txt
	@$(BIN)/uv pip compile --quiet --no-deps --universal --python-version 3.11 --no-annotate --generate-hashes \
		--custom-compile-command "make refresh-lock" --constraint deploy/docker/requirements.txt \
		deploy/ray/kuberay/requirements.in --output-file deploy/ray/kuberay/requirements.txt

hardware: $(READY) ## Run the cells tagged TAG=gpu|... on this machine and record their outputs
	@test -n "$(TAG)" || { echo "Name the hardware: make hardware TAG=gpu"; exit 2; }
	@$(BIN)/python -m cvprod.book.hardware --tag $(TAG) $(NOTEBOOKS)

clean: ## Remove the environment and everything built
	rm -rf $(VENV) _build build *.egg-info
