# Two commands: `make demo` shows what the tool does, `make test` holds it against its tests.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin

.PHONY: demo test pythons soak nightly audit bench install results docs clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	-$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

install: $(VENV)/installed

# Two small phantoms and the bundled weights: no data to fetch, no network after the install.
demo: $(VENV)/installed
	$(BIN)/xaibench run --method gradcam --data 'phantom[size=192]' --cases 2 --out runs/demo

test: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not soak and not alone' -n auto --dist worksteal
	$(BIN)/python -m pytest -m 'alone and not soak'

# Install from nothing and the whole suite on every supported Python. PYTHONS may hold paths; the constraint of PyTorch
# holds on each, and builds other than the CPU one at hand are some gigabytes.
PYTHONS ?= python3.11 python3.12 python3.13
pythons:
	@for python in $(PYTHONS); do \
		venv=.venv-$$(basename $$python); \
		$(MAKE) test PYTHON=$$python VENV=$$venv || exit 1; \
		$$venv/bin/python -c 'import sys, torch; print(f"Passed: Python {sys.version.split()[0]}, torch {torch.__version__}")'; \
	done

# Every reader on two thousand bad inputs each, half an hour: pictures, archives, weights, words, the folders of runs.
nightly: $(VENV)/installed-test
	HYPOTHESIS_PROFILE=nightly OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/bad_input --durations=20

# Known vulnerabilities of what is installed. The exit code is pip-audit's; what cannot be looked up counts as a failure
# (--strict), since without it pip-audit is content where it found no advisories because it found no database.
audit: $(VENV)/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[audit]'
	$(BIN)/pip freeze --exclude-editable | sed 's/+[a-z0-9.]*$$//' > $(VENV)/audit.txt
	$(BIN)/pip-audit --strict --no-deps --disable-pip -r $(VENV)/audit.txt || { code=$$?; \
		echo "Not passed: a vulnerability stands above, or why nothing could be audited."; exit $$code; }

# What is done to runs, many times over: kills, interruptions, full disks, damaged files. It ends with a table of what
# was lost, which must be nothing; in twenty minutes at most. The million cells of docs/scale.md have a command of their own.
soak: $(VENV)/installed-test
	timeout 1200 $(BIN)/python -m pytest -m soak tests --ignore=tests/scale

# Cost of every explainer and metric, and of the same work elsewhere, as ratios; alone on the machine, for half an hour.
# Quantus asks for packages that it does not need here, so it is installed without them; where it can't be, it is skipped.
bench: $(VENV)/installed-test
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	-$(BIN)/pip install --quiet --no-deps 'quantus>=0.6' opencv-python-headless
	$(BIN)/python -m pytest bench -o python_files='bench_*.py' --benchmark-json=bench.json --benchmark-columns=min
	$(BIN)/python bench/report.py bench.json | tee results/bench.md

# The published tables, from your own copies of DRIVE and CHASE_DB1 (XAIBENCH_DRIVE, XAIBENCH_CHASE); a day on two cores.
# Resumable; only numbers leave the runs' folders. `make results TABLES=chase` makes one of them.
results: $(VENV)/installed
	$(BIN)/python results/make.py $(TABLES)

# The documentation as a site, in build/site.
docs: $(VENV)/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/mkdocs build

clean:
	rm -rf .venv .venv-* $(VENV) build *.egg-info src/*.egg-info
