# SPDX-License-Identifier: Apache-2.0
# The verbs of this project. `make run` and `make test` do all their set-up themselves, say what they do, and do nothing twice.
.PHONY: build run test lint asan fuzz sim bench install clean
BUILD ?= build
ARGS ?=
SEED ?=
SIM ?= sim_*
PREFIX ?= /usr/local

build: $(BUILD)/build.ninja
	@tools/build.sh $(BUILD)

$(BUILD)/build.ninja:
	@tools/packages.sh build
	@meson setup $(BUILD) --prefix $(PREFIX) > $(BUILD)-setup.log 2>&1 || { cat $(BUILD)-setup.log; exit 1; }; rm -f $(BUILD)-setup.log

run:                    # the example shop, live: an event starts a service (ARGS: flags of evoke up)
	@tools/packages.sh run
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@tools/build.sh $(BUILD) evoke evoke-monitor
	@tools/run.sh $(BUILD) $(ARGS)

test:                   # unit, contract, simulation, end to end
	@tools/packages.sh test
	@$(MAKE) --no-print-directory build
	@tools/test.sh $(BUILD) unit corpus contract sim e2e

lint:                   # formatting, clang's warnings, clang-tidy
	@tools/packages.sh lint
	@$(MAKE) --no-print-directory build
	@tools/lint.sh $(BUILD)

asan:                   # unit, contract and simulation tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@tools/packages.sh build
	@[ -f $(BUILD)-asan/build.ninja ] || meson setup $(BUILD)-asan -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false > /dev/null
	@ninja -C $(BUILD)-asan --quiet
	@tools/test.sh $(BUILD)-asan unit corpus contract sim

fuzz:                   # every parser for FUZZ_SECONDS each, new inputs kept in build-fuzz/corpus
	@tools/packages.sh lint
	@tools/fuzz.sh $(BUILD)-fuzz

sim: build              # a minute of new seeds; SEED=n replays one with a trace (SIM=sim_log or sim_evoke: only that program)
	@SIM='$(SIM)' tools/test.sh $(BUILD) sim-explore $(SEED)

bench:
	@tools/packages.sh test
	@$(MAKE) --no-print-directory build
	@bench/run.sh $(BUILD)

install: $(BUILD)/build.ninja # to PREFIX (/usr/local), below DESTDIR if that is set
	@meson configure $(BUILD) --prefix $(PREFIX)
	@tools/build.sh $(BUILD) evoke evoke-monitor evoke.bash _evoke evoke.fish
	@meson install -C $(BUILD) --no-rebuild

clean:
	@rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-fuzz $(BUILD)-clang
