# Two set-up commands: `make sweep` runs a first sweep, `make test` the tests. Each makes .venv.

PYTHON = python3.11
BIN = .venv/bin
BOTH_CORES = --numprocesses 2 --dist loadfile --no-loadscope-reorder
SWEEP = --arch all --trials 3 --max-epochs 6 --image-size 64 --results results

.PHONY: help sweep test test-faults test-cluster lint torch browser hosts clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@echo "make sweep   install, then search every architecture on made-up nuclei (minutes)"
	@echo "make test    install, then lint, check types and run the tests (minutes)"
	@echo "make lint    install, then only lint and check types"
	@echo "make torch   install torch too, for its tests and --backend torch (gigabytes)"
	@echo "make test-faults  test damaged input, and short sweeps that are done harm (root, minutes)"
	@echo "make test-cluster test ray up, lost machines and S3 on made-up machines (root, minutes)"
	@echo "make hosts   install what those machines are made of (needs root)"
	@echo "make browser install Debian's Chromium, for the report's tests (needs root)"
	@echo "make clean   delete .venv and the caches of the tools, not results"

sweep: .venv/installed
	$(BIN)/python sweeps/run.py $(SWEEP)

test: lint
	$(BIN)/pytest $(BOTH_CORES) --ignore=tests/faults

test-faults: .venv/installed-test
	$(BIN)/pytest $(BOTH_CORES) tests/faults

test-cluster: .venv/installed-test .venv/installed-dashboard
	$(BIN)/pytest $(BOTH_CORES) --cluster tests/cluster

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

torch: .venv/installed-torch

browser:
	command -v chromium || { apt-get update -qq && \
	    apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; }

hosts:
	type rsync tmux ip git curl /usr/sbin/sshd || { apt-get update -qq && \
	    apt-get install -y -qq --no-install-recommends openssh-server rsync iproute2 tmux git curl; }

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/installed: EXTRAS =
.venv/installed-test: EXTRAS = [test]
.venv/installed-torch: EXTRAS = [torch]
.venv/installed-gpu: EXTRAS = [gpu]
.venv/installed-dashboard: EXTRAS = [dashboard]

# A file that is newer than what it was installed from says that nothing is left to do. One called
# .venv/unfinished says that an earlier install broke off and may have left half a package.
.venv/installed .venv/installed-test .venv/installed-torch .venv/installed-gpu .venv/installed-dashboard: \
    pyproject.toml constraints.txt
	@if [ -e .venv/unfinished ] || ! $(BIN)/python -c \
	    'import pip, sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then \
	    $(PYTHON) -c 'import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	        2>/dev/null || { echo "Python 3.11 with its venv module is required, and" \
	        "'$(PYTHON)' is not that: install it (Debian and Ubuntu: python3.11-venv)," \
	        "or say where it is: make $(or $(MAKECMDGOALS),help) PYTHON=/path/to/python3.11" >&2; \
	        exit 1; }; \
	    echo "Making .venv with $(PYTHON)"; \
	    $(PYTHON) -m venv --clear .venv; \
	fi
	@echo "Installing the project$(EXTRAS) and what it needs, as pinned in constraints.txt, into" \
	    ".venv: minutes the first time"
	@touch .venv/unfinished
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt pip setuptools
	@$(BIN)/python -m pip install -qq --no-build-isolation -c constraints.txt -e '.$(EXTRAS)'
	@rm .venv/unfinished
	@touch $@
