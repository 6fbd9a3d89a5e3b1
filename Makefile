# Two commands do everything on a fresh machine with Python 3.11 or newer: `make demo` and `make test`.

PYTHON ?= python3
BIN := .venv/bin
export PATH := $(abspath $(BIN)):$(PATH)
# Importing PyTorch takes twice as long where compiled modules are not kept, and every stage and worker imports it.
unexport PYTHONDONTWRITEBYTECODE
# Everything stays on this machine.
export RAY_USAGE_STATS_ENABLED := 0
export MLFLOW_DISABLE_TELEMETRY := true
export DVC_NO_ANALYTICS := true

.PHONY: help install demo test test-faults style check ui app bench shipped-model clean

help:            ## list the targets
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

install: .venv/installed  ## the pinned dependencies and this package, into .venv

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: $(PYTHON) is older than 3.11; run make with PYTHON=/path/to/a/newer/python3"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.lock)"
	VIRTUAL_ENV=$(abspath .venv) $(BIN)/uv pip install --quiet --requirement requirements.lock
	VIRTUAL_ENV=$(abspath .venv) $(BIN)/uv pip install --quiet --no-deps --editable .
	@touch $@

demo: install    ## the whole pipeline on embedded data, to a report and a registered model
	$(BIN)/dvc repro
	@echo
	@echo "Report:            $(abspath report/index.html)"
	@for file in runs/*/*/registered.json; do $(BIN)/python -c 'import json,sys; r=json.load(sys.stdin); print("Registered model: ", r["name"], "version", r["version"], "alias", r["alias"])' < "$$file"; done
	@$(BIN)/python -m pipelines example > /dev/null
	@echo "Make it champion:  $(BIN)/python -m pipelines promote"
	@echo "Fill a hole:       $(BIN)/python -m pipelines inpaint example/photo.png --mask example/hole.png -o example/filled.png"
	@echo "What was decided:  $(BIN)/python -m pipelines history"
	@echo "Or on a web page:  make app"
	@echo "Compare the runs:  make ui"

style: install   ## style and types
	ruff check .
	ruff format --check .
	mypy

# One thread a test process: threads of two processes on two cores would wait for each other. Files in their order, in
# which the longest come early; by itself xdist leaves files of a single test, often a long one, to the end.
TESTS := OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile --no-loadscope-reorder

check: style     ## style, types and the fast tests
	$(TESTS) -m "not slow"

test: install    ## every test but the heaviest
	$(TESTS) -m "not faults" --durations 25

test-faults: install  ## the heaviest: whole runs killed, without their server, on several workers or nodes
	$(TESTS) -m faults --durations 25

ui: install      ## the MLflow UI over the embedded store
	python -m pipelines ui

app: install     ## the web page: mark a hole, fill it, edit the segmentation
	python -m pipelines app

bench: install   ## how fast the parts are on this machine, beside peers and limits (23 to 40 minutes)
	python benchmarks/methods_table.py
	python benchmarks/mixed_scenes.py
	python benchmarks/preparing.py
	python benchmarks/reading.py
	python benchmarks/index_scale.py
	python benchmarks/streaming.py
	python benchmarks/training_step.py
	python benchmarks/limits.py
	python benchmarks/labelling.py --images 160
	python benchmarks/evaluating.py

SHIPPED := --params pipelines/registry/shipped/params.yaml

shipped-model: install  ## train the model that ships with the package, on ../shared/data (an hour and a quarter on one core)
	for stage in index shards fit_segmenter label masks baselines "train --method sge_net" "evaluate --method sge_net"; do \
		python -m pipelines $$stage $(SHIPPED) --dataset small_photos || exit $$?; \
	done
	for stage in index shards masks baselines "evaluate --method sge_net"; do \
		python -m pipelines $$stage $(SHIPPED) --dataset kept_photos || exit $$?; \
	done
	python -m pipelines ship $(SHIPPED) --dataset small_photos --method sge_net

clean:           ## remove everything the pipeline made (not .venv)
	rm -rf data runs search report storage mlflow example dvc.lock .dvc/cache .dvc/tmp
