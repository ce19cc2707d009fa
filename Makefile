# The front end: every target installs what is missing, configures and builds with CMake, and then does what it says.
BUILD ?= build
BUILD_ASAN ?= build-asan
BUILD_FUZZ ?= build-fuzz
BUILD_COVERAGE ?= build-coverage
FUZZ_SECONDS ?= 60
PREFIX ?= /usr/local
DESTDIR ?=
BENCH_ARGS ?=
FAULTS ?= all
DURATION ?= 60
CMAKE_ARGS ?=
JOBS ?= $(shell nproc)

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
MAKEFLAGS += --no-print-directory

# Shows each file as it is made and nothing else: a build that has nothing to do is silent.
only_news = | awk '!/Built target|^Consolidate compiler/ { print; fflush() }'

# $(call build,DIRECTORY,CMAKE-ARGUMENTS,TARGET): all, without one
build = [ -f $(1)/Makefile ] || cmake -S . -B $(1) -G 'Unix Makefiles' $(2) >$(1).log 2>&1 || { cat $(1).log; exit 1; }; \
	rm -f $(1).log; \
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL cmake --build $(1) --parallel $(JOBS) --target $(or $(3),all) -- --no-print-directory $(only_news)
comma := ,

.PHONY: all packages build build-asan build-fuzz demo test test-full fuzz fuzz-coverage faults load soak bench install clean help
.DEFAULT_GOAL := all

all: build

packages:
	@deploy/install-packages.sh

build: packages
	@$(call build,$(BUILD),$(CMAKE_ARGS))

# After the other tree: two builds at once would only take turns.
build-asan: build
	@$(call build,$(BUILD_ASAN),-DSANITIZE=address$(comma)undefined $(CMAKE_ARGS))

# What is fuzzed, and no more.
build-fuzz: packages
	@$(call build,$(BUILD_FUZZ),-DCMAKE_C_COMPILER=clang -DFUZZ=ON -DBUILD_TESTS=OFF -DSANITIZE=fuzzer-no-link$(comma)address$(comma)undefined $(CMAKE_ARGS),fuzzers)

demo: build
	@deploy/demo.sh $(BUILD)/bin

test: build build-asan build-fuzz
	@BUILD=$(BUILD) BUILD_ASAN=$(BUILD_ASAN) BUILD_FUZZ=$(BUILD_FUZZ) tests/run.sh

test-full: build build-asan build-fuzz
	@deploy/install-packages.sh deploy/packages-full.txt
	@FULL=1 BUILD=$(BUILD) BUILD_ASAN=$(BUILD_ASAN) BUILD_FUZZ=$(BUILD_FUZZ) tests/run.sh

fuzz: build-fuzz
	@tests/fuzz/fuzz.sh $(BUILD_FUZZ) $(FUZZ_SECONDS) $(HARNESSES)

fuzz-coverage: packages
	@$(call build,$(BUILD_COVERAGE),-DCMAKE_C_COMPILER=clang -DFUZZ=ON -DBUILD_TESTS=OFF -DSANITIZE=fuzzer-no-link '-DCMAKE_C_FLAGS=-fprofile-instr-generate -fcoverage-mapping' $(CMAKE_ARGS),fuzzers)
	@tests/fuzz/coverage.sh $(BUILD_COVERAGE)

# Everything fails once: every error of every call, at every place that it is called from. Hours, where `make test-full` takes each once.
faults: build build-asan
	@SPLITSOCK_BIN=$(abspath $(BUILD_ASAN))/bin SPLITSOCK_FAULTS=$(FAULTS) LSAN_OPTIONS=suppressions=$(CURDIR)/tests/lsan.supp:print_suppressions=0 \
		$(BUILD_ASAN)/bin/test-faults

load: build
	@SPLITSOCK_BIN=$(abspath $(BUILD))/bin SPLITSOCK_LOAD=full $(BUILD)/bin/test-boundary --filter 'load/!(soak)' --jobs 1

soak: build
	@SPLITSOCK_BIN=$(abspath $(BUILD))/bin SPLITSOCK_SOAK=$(DURATION) $(BUILD)/bin/test-boundary --filter load/soak --jobs 1

bench: build
	@$(BUILD)/bin/splitsock-bench $(BENCH_ARGS)
	@[ -n "$(BENCH_ARGS)" ] || { echo; $(BUILD)/bin/splitsock-bench-frames; }
	@[ -n "$(BENCH_ARGS)" ] || { echo; $(BUILD)/bin/bench-policy; }

install: build
	@cmake -S . -B $(BUILD) -DCMAKE_INSTALL_PREFIX=$(abspath $(PREFIX)) >/dev/null
	@DESTDIR=$(DESTDIR) cmake --install $(BUILD)

clean:
	rm -rf $(BUILD) $(BUILD_ASAN) $(BUILD_FUZZ) $(BUILD_COVERAGE)

help:
	@echo 'make           build everything into $(BUILD)/bin (and install missing Debian packages first)'
	@echo 'make demo      show what splitsock does, with unmodified programs'
	@echo 'make test      run every test, plain and with sanitizers  [SUITES="unit boundary"]'
	@echo 'make test-full the same, and many more programs           [SUITES=programs-full]'
	@echo 'make faults    every call fails once, at every place      [FAULTS=all|each]'
	@echo 'make load      10,000 of everything                       (as root, for the descriptors)'
	@echo 'make soak      everything mixed, and what drifts          [DURATION=seconds]'
	@echo 'make fuzz      run each fuzzer for a while, on a corpus that grows  [FUZZ_SECONDS=$(FUZZ_SECONDS) HARNESSES="session client"]'
	@echo 'make fuzz-coverage  what the corpora reach of what they are for'
	@echo 'make bench     measure, packet sockets too (as root)    [BENCH_ARGS=...]'
	@echo 'make install   install                                    [PREFIX=$(PREFIX) DESTDIR=]'
	@echo 'make clean     remove $(BUILD) and $(BUILD_ASAN)'
