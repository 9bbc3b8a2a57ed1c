# make demo, make test: each does everything from a fresh clone. See README.md.
SHELL := /bin/bash
OUTPUT ?= demo_output

# The first interpreter that really runs and is of a supported version. With a sourced ROS 2
# only its own: compiled message packages load in no other.
CANDIDATES := $(if $(ROS_DISTRO),python3,python3.11 python3.12 python3.10 python3)
SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))

# A sourced ROS 2 is used as it is, in an environment of its own: its compiled packages and
# pip's ROS wheels never mix.
REQUIREMENTS := requirements.txt requirements-onnx.txt requirements-test.txt
ifdef ROS_DISTRO
VENV := .venv-$(ROS_DISTRO)
VENV_FLAGS := --system-site-packages
# NumPy keeps the major version that cv_bridge was compiled for.
NEXT_NUMPY := import numpy; print(int(numpy.__version__.split(".")[0]) + 1)
LIMITS = 'numpy<$(shell python3 -c '$(NEXT_NUMPY)')'
else
VENV := .venv
REQUIREMENTS += requirements-ros.txt
endif
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/installed

.PHONY: demo test lint clean environment

demo: $(STAMP)
	$(PYTHON) -m degfusion_ros demo --output $(OUTPUT)

# Half of the tests wait, for processes to start and for DDS: two run at a time, one thread each.
test: lint
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 --dist loadfile

lint: $(STAMP)
	$(PYTHON) -m ruff check .

environment: $(STAMP)

$(STAMP): $(REQUIREMENTS) | $(PYTHON)
	@echo 'Installing the requirements, the first time some 6 GB: minutes'
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check $(REQUIREMENTS:%=-r %) $(LIMITS)
	@echo '*' > $(VENV)/.gitignore
	@touch $@

# Debian and Ubuntu split ensurepip off into python3-venv: without it, the system's pip is lent.
$(PYTHON):
	@for python in $(CANDIDATES); do \
	    $$python -c '$(SUPPORTED)' 2>/dev/null || continue; \
	    echo "Creating $(VENV) with $$($$python --version)"; \
	    rm -rf $(VENV); \
	    $$python -m venv $(VENV_FLAGS) $(VENV) >/dev/null 2>&1 && exit 0; \
	    rm -rf $(VENV); \
	    $$python -m venv --without-pip $(VENV_FLAGS) $(VENV) \
	    && site=$$($$python -c 'import os, pip; print(os.path.dirname(pip.__path__[0]))') \
	    && PYTHONPATH=$$site $(PYTHON) -m pip install --quiet --ignore-installed pip \
	    && exit 0; \
	    rm -rf $(VENV); \
	done; \
	echo 'No Python 3.10, 3.11 or 3.12 that can make a virtual environment:' \
	    'apt install python3 python3-venv' >&2; exit 1

# The environment stays: it took minutes. Delete .venv by hand.
clean:
	rm -rf build install log $(OUTPUT) dist *.egg-info .pytest_cache .ruff_cache .hypothesis
