# make demo | test | test-real | test-vllm | test-llama | check | setup | browser | site | pictures   Needs Python 3.11 or newer, git and make; the rest is set up here.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
export OMP_NUM_THREADS = 1
export HF_HUB_OFFLINE = 1
# Tests start hundreds of processes: each would compile whorl anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-real test-vllm test-llama check browser site pictures

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "whorl needs Python 3.11 or newer, and there is none; make PYTHON=/path/to/one takes yours" >&2; exit 1; }
	@start=$$(date +%s); set -e; \
	$(PYTHON) -m venv .venv; \
	.venv/bin/python -m pip install -q -c constraints.txt torch; \
	.venv/bin/python -m pip install -q -c constraints.txt -e '.[dev]'; \
	touch $@; \
	echo "set-up took $$(( $$(date +%s) - start )) seconds"

demo: setup
	.venv/bin/whorl demo

# Three at once on two cores: a third of the time a test waits, for processes that start or for a disk.
test: check
	.venv/bin/python -m pytest -n 3 --dist worksteal

test-real: setup
	.venv/bin/python -m pytest -m real -rs -s --show-capture=no tests/cli/test_real.py

test-vllm: .venv-vllm/.ready
	.venv-vllm/bin/python -m pytest -m vllm -s --show-capture=no tests/engines/test_vllm.py tests/engines/server/test_vllm.py tests/engines/test_marks.py

.venv-vllm/.ready: scripts/vllm-env
	PYTHON=$(PYTHON) scripts/vllm-env

test-llama: setup .venv-llama/.ready
	.venv/bin/python -m pytest -m llama -s --show-capture=no tests/engines/server/test_llama.py

.venv-llama/.ready: scripts/llama-env
	PYTHON=$(PYTHON) scripts/llama-env

# Pages are tested in Debian's chromium; without it those tests are skipped.
browser:
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
		|| echo "chromium cannot be installed here: install it as your system does"

# The documentation as a site, in build/site; it needs no network.
site: setup
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict --quiet

# The pictures of README and site, taken by the tests of the pages. Look at each before it is committed.
pictures: setup
	WHORL_PICTURES=$(CURDIR)/docs/pictures .venv/bin/python -m pytest tests/view/test_browser.py

check: setup
	scripts/check
