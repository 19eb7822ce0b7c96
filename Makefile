# Every target installs what it needs into .venv first. Variables map to the options of the same meaning:
#   make bench PROXY=diswot,nwot BENCH=cifar100 SEEDS=0-2 CELLS=valid LIMIT=500 WORKERS=2 DEVICE=cuda DATA=~/data STORE=mine.sqlite
#   make bench PROXY=diswot TEACHER=resnet56      make bench PROXY=nwot BENCH=mine MODULE=mine.py AGAINST=labels.csv
#   make search PROXY=diswot METHODS=evolve,random MAX_PARAMS=50k      make search METHODS=random ACCURACY=distilled
#   make predict BENCH=cifar10-16px      make predict LABELS=16
#   make student PROXY=diswot METHOD=evolve MAX_PARAMS=50k SEEDS=0-4      make student PROCESS=FILE   to learn none
#   make pair BENCH=cifar100 STUDENT=resnet20 LOSSES=vanilla,kd,diswot+,replay EPOCHS=240 DATA=~/data DEVICE=cuda
#   make bench PROXY=all EXECUTOR=ray ADDRESS=head:6379   on the machines of a Ray cluster
PYTHON ?= python3
VENV ?= .venv
PROXY ?= diswot
BENCH ?= digits
AGAINST ?= distilled
LOSSES ?= vanilla,kd,diswot+,replay
RUN := $(VENV)/bin/python
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make " + sys.argv[1])

# one thread a process: workers share the cores, and sums keep their order
export OMP_NUM_THREADS ?= 1

SCORES := $(if $(STORE),--store $(STORE))
COMMON := --benchmark $(BENCH) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(LIMIT),--limit $(LIMIT)) \
	$(if $(WORKERS),--workers $(WORKERS)) $(if $(DATA),--data $(DATA)) $(SCORES)
SCORED := $(if $(TEACHER),--teacher '$(TEACHER)') $(if $(MODULE),--module $(MODULE))
CLUSTER := $(if $(EXECUTOR),--executor $(EXECUTOR)) $(if $(ADDRESS),--address $(ADDRESS))
TRAINING := $(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(DATA),--data $(DATA)) $(if $(DEVICE),--device $(DEVICE))
PAIR := --benchmark $(BENCH) --student $(or $(STUDENT),1649) $(TRAINING)
REFERENCE := epe_nas,fisher,flops,grad_norm,jacov,l2_norm,nwot,params,plain,snip,synflow,zen
CHECKED := --cells valid --limit $(or $(LIMIT),300) --data $(DATA) $(if $(WORKERS),--workers $(WORKERS)) \
	$(if $(DEVICE),--device $(DEVICE)) $(SCORES)
EXTRA := $(if $(findstring cifar,$(BENCH)),$(VENV)/.cifar) $(if $(filter ray,$(EXECUTOR)),$(VENV)/.ray)
# the recipes `<benchmark>-short`, `-executed` and `:field=value` have their benchmark's teacher, a rehearsal an untrained one
RECIPE := $(firstword $(subst :, ,$(BENCH)))
WEIGHTS := $(if $(filter-out %-rehearsal,$(RECIPE)),distill/weights/$(patsubst %-short,%,$(RECIPE:-executed=)).json)

.DEFAULT_GOAL := help
.PHONY: help bench correlate search predict formula student pair subgraph distill teacher study label-sets reliability new-proxy check-reference tables figures report speed test test-quick test-faults soak fuzz lint format setup wheel sbom audit clean

help:  ## the targets, a line each
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-16s %s\n' "$$name" "$$text"; done

bench: $(VENV)/.core $(EXTRA)  ## score every cell, then print the correlation with the distilled accuracies
	@$(RUN) -m diswot_bench run $(PROXY) --against $(AGAINST) $(COMMON) $(if $(CELLS),--cells $(CELLS)) \
		$(if $(DEVICE),--device $(DEVICE)) $(SCORED) $(CLUSTER) \
		|| [ $$? -eq 3 ]  # 3: finished, some cells have no score; the table says how many

correlate: $(VENV)/.core  ## print the correlation of stored scores with the distilled accuracies, without scoring
	@$(RUN) -m analysis correlate $(PROXY) --benchmark $(BENCH) --against $(AGAINST) \
		$(if $(CELLS),--cells $(CELLS)) $(if $(SEEDS),--seeds $(SEEDS)) $(SCORED) $(SCORES)

search: $(VENV)/.search $(EXTRA)  ## find a student with a proxy: Algorithm 1 and its rivals, then how good they are
	@$(RUN) -m search $(or $(METHODS),all) --proxy $(PROXY) $(if $(ACCURACY),--accuracy $(ACCURACY)) \
		$(if $(SHORTER),--shorter $(SHORTER)) --benchmark $(BENCH) $(if $(SEEDS),--seeds $(SEEDS)) \
		$(if $(CELLS),--cells $(CELLS)) $(if $(MAX_PARAMS),--max-params $(MAX_PARAMS)) \
		$(if $(MAX_FLOPS),--max-flops $(MAX_FLOPS)) $(if $(DATA),--data $(DATA)) $(if $(DEVICE),--device $(DEVICE)) \
		$(SCORED) $(SCORES)
	@$(RUN) -m analysis searches --benchmark $(BENCH)

predict: $(VENV)/.core  ## rankings that learn from few labels; make predict LABELS=16: one of all functions, and what to distil next
	@$(RUN) -m analysis predict --benchmark $(BENCH) $(if $(LABELS),--labels $(LABELS)) \
		$(if $(WORKERS),--workers $(WORKERS))

student: $(VENV)/.search $(EXTRA) $(WEIGHTS)  ## from a proxy to a distilled student: search, learn a process, distil, report
	@file=$$($(RUN) -m search student --proxy $(PROXY) --benchmark $(BENCH) $(if $(METHOD),--method $(METHOD)) \
		$(if $(SEEDS),--seeds $(SEEDS)) $(if $(MAX_PARAMS),--max-params $(MAX_PARAMS)) \
		$(if $(MAX_FLOPS),--max-flops $(MAX_FLOPS)) $(if $(PROCESS),--process $(PROCESS)) \
		$(if $(DATA),--data $(DATA)) $(if $(DEVICE),--device $(DEVICE)) $(SCORES)) && $(RUN) -m analysis student "$$file"

pair: $(VENV)/.core $(EXTRA) $(WEIGHTS)  ## one teacher, one student: learn their process, then train by each of LOSSES and compare
	@file=$$($(RUN) -m distill process --seed 100 $(PAIR) | tee /dev/stderr | sed -n 's/^wrote //p') && test -n "$$file" && \
		$(RUN) -m distill compare --losses $(LOSSES) --process "$$file" $(PAIR) \
		$(if $(SEEDS),--seeds $(SEEDS))

formula: $(VENV)/.core $(EXTRA)  ## find formulas over what probes record, and judge them where they were not searched
	@$(RUN) -m search statistics --benchmark $(BENCH) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(WORKERS),--workers $(WORKERS)) \
		$(if $(DATA),--data $(DATA)) $(if $(DEVICE),--device $(DEVICE))
	@$(RUN) -m search formula --benchmark $(BENCH)
	@$(RUN) -m analysis formulas --benchmark $(BENCH)

subgraph: $(VENV)/.core $(EXTRA)  ## cut a student out of the teacher's graph by L1 gates: make subgraph BUDGET=0.7 GATES=edges
	@$(RUN) -m search subgraph --budget $(or $(BUDGET),0.7) $(if $(GATES),--gates $(GATES)) --benchmark $(BENCH) \
		$(if $(SEEDS),--seeds $(SEEDS)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(DATA),--data $(DATA)) \
		$(if $(DEVICE),--device $(DEVICE)) $(if $(TEACHER),--teacher '$(TEACHER)')

distill: $(VENV)/.core $(EXTRA) $(WEIGHTS)  ## train cells with and without the teacher, write the accuracy tables
	@$(RUN) -m distill run $(COMMON) $(if $(DEVICE),--device $(DEVICE))

teacher: $(VENV)/.core $(EXTRA)  ## train the benchmark's teacher anew
	@$(RUN) -m distill teacher $(BENCH) $(TRAINING)

study: $(VENV)/.core $(VENV)/.cifar  ## recipes of labels beside one another: make study BENCH=cifar10-16px DATA=DIR PUBLISHED=FILE
	@$(RUN) -m distill study $(COMMON) $(if $(DEVICE),--device $(DEVICE))
	@$(RUN) -m analysis recipes --benchmark $(BENCH) $(if $(PUBLISHED),--published $(PUBLISHED))

label-sets: $(VENV)/.core  ## how far label sets agree over the same functions: make label-sets PUBLISHED=FILE
	@$(RUN) -m analysis label-sets $(if $(PUBLISHED),--published $(PUBLISHED))

reliability: $(VENV)/.core  ## how far the accuracy tables agree with themselves, and what distillation adds
	@$(RUN) -m analysis reliability --benchmark $(BENCH)

distill/weights/%.json: | $(VENV)/.core $(EXTRA)
	@$(RUN) -m distill teacher $* $(TRAINING)

new-proxy: $(VENV)/.core  ## make new-proxy NAME=mine: one new file in proxies/, already registered and tested
	@$(RUN) -m bench new-proxy $(NAME)

check-reference: $(VENV)/.core $(VENV)/.cifar  ## our scores beside published ones: make check-reference DATA=DIR
	@$(RUN) -m bench run $(REFERENCE),grasp --benchmark cifar10 --seeds 0-1 $(CHECKED) || [ $$? -eq 3 ]
	@$(RUN) -m bench run $(REFERENCE) --benchmark cifar100 $(CHECKED) || [ $$? -eq 3 ]
	@$(RUN) -m analysis check-reference --data $(DATA) $(SCORES)

tables: $(VENV)/.core  ## every table, and what README and docs state of them, from what is published under results/
	@$(RUN) -m analysis tables
	@$(RUN) -m analysis label-sets
	@$(RUN) -m analysis proxy-docs
	@$(RUN) -m analysis readme

figures: $(VENV)/.core  ## every figure again, from what is published under results/
	@$(RUN) -m analysis figures

report: $(VENV)/.report  ## results/report.html, one page that opens from disk: what is under results/, and your scores
	@$(RUN) -m analysis report $(SCORES) $(if $(MODULE),--module $(MODULE))

speed: $(VENV)/.dev  ## our rate beside the conventional loops, as ratios of one run; then how time and memory grow
	@$(RUN) -m bench speed $(if $(WORKERS),--workers $(WORKERS)) $(if $(DEVICE),--device $(DEVICE))
	@$(RUN) -m bench growth $(if $(WORKERS),--workers $(WORKERS)) $(if $(DEVICE),--device $(DEVICE))

# what is compiled once serves all processes of the tests, also where containers forbid to keep it
TEST := env -u PYTHONDONTWRITEBYTECODE $(RUN)

# one process more than a small machine has cores: some tests wait, for processes that start, are killed or time out
test: $(VENV)/.dev  ## the whole test suite
	@$(TEST) -m pytest -n 3 --dist worksteal

# those not marked `slow`: what takes more than 0.1 s of processor time by itself is; it names what should be marked
test-quick: $(VENV)/.dev  ## the tests that take a fraction of a second, for the inner loop
	@$(TEST) -m pytest -n 2 --dist worksteal -m 'not slow'

test-faults: $(VENV)/.dev  ## every fault we know, tried on commands at work: what is lost, and whether results are the same
	@$(TEST) tests/faults/run.py

soak: $(VENV)/.dev  ## random kills of random commands on one results folder: make soak MINUTES=20
	@$(RUN) tests/faults/soak.py --minutes $(or $(MINUTES),20) $(if $(SEED),--seed $(SEED))

fuzz: $(VENV)/.dev  ## a coverage-guided fuzzer on every parser: make fuzz MINUTES=60
	@$(RUN) -m pip install -q -c constraints.txt atheris
	@$(RUN) tests/fuzz/run.py --minutes $(or $(MINUTES),60)

lint: $(VENV)/.dev  ## ruff and mypy
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

format: $(VENV)/.dev  ## let ruff set the files
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

setup: $(VENV)/.core  ## only the installation

wheel: $(VENV)/.core  ## dist/*.whl of what is committed, and of nothing else that lies around
	@tree=$$(mktemp -d) && git archive HEAD | tar -x -C "$$tree" && \
		$(RUN) -m pip wheel -q --no-deps --wheel-dir dist "$$tree" && rm -r "$$tree" && ls dist/*.whl

sbom: $(VENV)/.core $(VENV)/.tools  ## dist/sbom.json: what is installed, with versions and licences, as CycloneDX
	@mkdir -p dist && $(VENV)/tools/bin/cyclonedx-py environment $(RUN) --output-reproducible -o dist/sbom.json
	@ls dist/sbom.json

audit: $(VENV)/.core $(VENV)/.tools  ## known weaknesses of what is installed, asked of PyPI's database
	@$(VENV)/tools/bin/pip-audit --strict --skip-editable --path $$($(RUN) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

$(VENV)/.core: setup.cfg pyproject.toml constraints.txt
	@$(RUN) -c '$(NEW_ENOUGH)' 2>/dev/null || { $(PYTHON) -c '$(NEW_ENOUGH)' '$(MAKECMDGOALS) PYTHON=python3.12' && \
		$(PYTHON) -m venv --clear $(VENV); }  # one of an older Python gives way
	@echo "installing into $(VENV)"
	@$(RUN) -m pip install -q -c constraints.txt -e .
	@$(RUN) -m pip install -q --no-deps xautodl==1.0.0  # its own pins cannot be met on Python 3.11
	@touch $@

# no warning of conflicts: pip would name xautodl's pins as an error whenever something is added
$(VENV)/.cifar: $(VENV)/.core
	@$(RUN) -m pip install -q --no-warn-conflicts -c constraints.txt -e '.[cifar]'
	@touch $@

$(VENV)/.ray: $(VENV)/.core
	@$(RUN) -m pip install -q --no-warn-conflicts -c constraints.txt -e '.[ray]'
	@touch $@

$(VENV)/.search: $(VENV)/.core
	@$(RUN) -m pip install -q --no-warn-conflicts -c constraints.txt -e '.[search]'
	@touch $@

$(VENV)/.report: $(VENV)/.core
	@$(RUN) -m pip install -q --no-warn-conflicts -c constraints.txt -e '.[report]'
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@$(RUN) -m pip install -q --no-warn-conflicts -c constraints.txt -e '.[cifar,ray,report,search,dev]'
	@touch $@

$(VENV)/.tools: $(VENV)/.core  # apart, so that they are not among what they list
	@$(PYTHON) -m venv $(VENV)/tools
	@$(VENV)/tools/bin/pip install -q cyclonedx-bom==7.5.0 pip-audit==2.10.1
	@touch $@

clean:  ## remove the installation and what tools left
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
