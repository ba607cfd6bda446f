# Every target works on a fresh clone: the first one run makes .venv and installs the pinned versions.
PYTHON ?= python3
ENV ?=
RUN ?= runs/suite/full
SEED ?= 0
POLICY ?= universal
ROLE ?= validation
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SMOKE_FLAG := $(if $(filter 1,$(SMOKE)),--smoke)
QUICK_FLAG := $(if $(filter 1,$(QUICK)),--quick)
REPRODUCED := nmf_step_decay images_and_text greedy_schedules greedy_and_hypergradient as_good_or_better \
	greedy_robustness double_descent
ENVS := $(sort $(basename $(notdir $(wildcard configs/*.yaml))))
export PYTHONWARNINGS ?= ignore::FutureWarning

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help known-env install train-agent compare report tensorboard test test-all check lint wheel-test theory-tour transfer plain-torch reproduce probes bench clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

$(READY): constraints.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the pinned versions into $(VENV) (once; a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,baselines,dev]'
	@touch $@

known-env:  # before anything is installed
	@case " $(ENVS) suite " in *" $(or $(ENV),nothing) "*) ;; *) test -f "$(ENV)" || \
		{ echo "ENV is '$(ENV)': give ENV=NAME, one of $(ENVS), or a YAML file" >&2; exit 2; };; esac

install: $(READY)  ## make .venv and install everything, pinned

train-agent: known-env $(READY)  ## train and compare: make train-agent ENV=nmf|linear|cnn|nlp|universal [SEED=0] [SMOKE=1]
	@$(BIN)/lrpilot train "$(ENV)" seed=$(SEED) $(SMOKE_FLAG)

compare: known-env $(READY)  ## shipped policies against tuned baselines: make compare ENV=nmf, or ENV=suite [QUICK=1] for the league
	@$(BIN)/lrpilot compare "$(ENV)" $(SMOKE_FLAG) $(QUICK_FLAG)

report: $(READY)  ## write the page of the league table anew: make report [RUN=runs/suite/full]
	@$(BIN)/lrpilot report "$(RUN)"

tensorboard: $(READY)  ## look at learned schedules and diagnostics of all runs
	@$(BIN)/tensorboard --logdir runs

test: $(READY)  ## the unit tests, under five minutes
	@$(BIN)/python -m pytest -q -n 2

test-all: $(READY)  ## also the slow ones
	@$(BIN)/python -m pytest -q -n 2 -m ""

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

wheel-test: $(READY)
	@$(BIN)/python tests/wheel_check.py

check: lint test wheel-test  ## style, types, tests, and what a wheel could break

theory-tour: $(READY)  ## draw what theory says about LRs into docs/figures/theory
	@$(BIN)/python -m lrpilot.experiments.theory_tour

transfer: $(READY)  ## shipped policies where they never trained: longer, wider, other optimizers, data and networks
	@$(BIN)/python -m lrpilot.experiments.transfer

plain-torch: $(READY)  ## a policy on networks in plain torch, against schedules tuned for each: make plain-torch [POLICY=universal] [ROLE=validation]
	@$(BIN)/python -m lrpilot.experiments.plain_torch policy "$(POLICY)" --role "$(ROLE)"

reproduce: $(READY)  ## published claims, measured anew, into docs/results/reproduce: make reproduce [QUICK=1]
	@for name in $(REPRODUCED); do $(BIN)/python -m lrpilot.experiments.reproduce.$$name $(QUICK_FLAG) || exit 1; done

probes: $(READY)  ## draw what each shipped policy learned into docs/results
	@$(BIN)/python -m lrpilot.experiments.probes

bench: $(READY)  ## overhead of the scheduler and speed of the environment
	@$(BIN)/python -m lrpilot.experiments.bench

clean:  ## remove what the targets made, but no runs
	rm -rf $(VENV) build dist *.egg-info
