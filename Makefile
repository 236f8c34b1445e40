SHELL := bash
VENV := .venv
BIN := $(VENV)/bin
# The Pythons that the lock holds for, the newest first: those that are here. The shipped C++ of
# pydensecrf2 does not compile with 3.13.
PYTHONS := $(shell for version in 3.12 3.11; do \
  python$$version -c "import ensurepip, venv" 2> /dev/null && echo python$$version; done; true)
PYTHON ?= $(firstword $(PYTHONS))
# What is installed: CUDA=no leaves CUDA out, and takes torch from an index that has it without.
CUDA ?= yes
ifeq ($(CUDA),no)
REQUIREMENTS := sed -E '/^(nvidia|cuda|triton)\b/d; s/^(torch|torchvision)==.*/&+cpu/' requirements.lock
else
REQUIREMENTS := cat requirements.lock
endif
# With progress, and without advice about pip itself. What is installed already is left alone.
PIP_OPTIONS := --progress-bar on --disable-pip-version-check --root-user-action ignore
# Processes of the tests.
WORKERS ?= 2
export FIFTYONE_DO_NOT_TRACK := 1

.PHONY: env browser slurm demo test units pythons coverage lint format bench gpu bench-large chaos fuzz rehearsal

env: $(VENV)/.installed

$(VENV)/.installed: requirements.lock
	@[ -n "$(PYTHON)" ] || { echo "Error: make env needs Python 3.12 or 3.11 with its venv module; PYTHON=<path> names one." >&2; exit 1; }
	@# An environment that is there goes on with its own Python; half of one is made anew.
	$(BIN)/pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(REQUIREMENTS) > $(VENV)/requirements.txt
	$(BIN)/pip install $(PIP_OPTIONS) --no-deps --requirement $(VENV)/requirements.txt
	$(BIN)/pip install --quiet $(PIP_OPTIONS) --no-deps --no-build-isolation --editable .
	touch $@

# $(call packages,PROGRAMS,PACKAGES): installs the packages (Debian, Ubuntu) if a program is missing.
define packages
@PATH="$$PATH:/usr/sbin:/sbin"; missing=; \
for program in $(1); do command -v $$program > /dev/null || missing=1; done; \
[ -z "$$missing" ] || { \
  sudo=$$([ $$(id -u) = 0 ] || echo sudo); \
  $$sudo apt-get update --quiet && \
  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes \
    --no-install-recommends $(2); }
endef

# The browser in which a test reviews images.
browser:
	$(call packages,chromium chromedriver,chromium chromium-driver)

# The scheduler that a test starts on the loopback address. The packages' own services are neither
# configured nor needed.
slurm:
	$(call packages,munged slurmctld slurmd,munge slurm-wlm)

demo: env
	$(BIN)/snakemake --cores all
	@$(BIN)/python -m wood.report.summary results/demo
	@$(BIN)/python -m demo.compare results/demo/report/scores.csv
	@echo "The page: $(CURDIR)/results/demo/report/index.html"

test: env browser slurm
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder tests

units: env
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile tests/unit tests/parity

# The tests of the units with each further Python that is here, in an environment of its own.
OTHERS := $(filter-out $(PYTHON),$(PYTHONS))
pythons:
	@[ -n "$(OTHERS)" ] || echo "There is no Python here that make env works with, but for $(PYTHON)."
	@for python in $(OTHERS); do $(MAKE) units PYTHON=$$python VENV=.venv-$$python || exit 1; done

# The tests again, with the lines of wood that none of them runs.
coverage: env browser slurm
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --cov --cov-report term-missing:skip-covered tests

lint: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/python -m tests.workflow.lint

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

# The figures of docs/benchmarks.md that are not runs of the pipeline.
bench: env
	$(BIN)/python -m benchmarks.random_walk
	$(BIN)/python -m benchmarks.crf
	$(BIN)/python -m benchmarks.boundaries
	$(BIN)/python -m benchmarks.aspp
	$(BIN)/python -m benchmarks.segmentation
	$(BIN)/python -m benchmarks.candidates 2 20
	$(BIN)/python -m benchmarks.download
	$(BIN)/python -m benchmarks.localization
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.cpu_training
	$(BIN)/python -m benchmarks.map_storage
	$(BIN)/python -m benchmarks.dag

# What only a GPU can show: all stages on CUDA, then rates of training, CAM, AdvCAM and K-means, and how
# long the GPU waits.
gpu: env
	$(BIN)/python -c "import torch; raise SystemExit(None if torch.cuda.is_available() else 'There is no CUDA device.')"
	WOOD_TEST_CUDA=1 $(BIN)/pytest tests/unit/test_cuda_paths.py
	$(BIN)/python -m benchmarks.localization --gpu
	$(BIN)/python -m benchmarks.training --gpu

# Changed inputs for every entrance: make fuzz SECONDS=600 SEED=0.
SECONDS ?= 60
SEED ?= 0
fuzz: env
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) --seed $(SEED)

# Kills runs, reviews, downloads and writers at random moments, 50 times in all.
chaos: env
	$(BIN)/python -m tests.workflow.chaos

# The paper's configuration at its real sizes, from downloads to the page, with everything that can be
# counted cut short; writes docs/scaling.md.
rehearsal: env
	$(BIN)/python -m tests.workflow.rehearsal

bench-large: env
	$(BIN)/python -m benchmarks.candidates 60
