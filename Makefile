# SPDX-License-Identifier: Apache-2.0
# A thin layer over meson and ninja: `make help` lists what there is. Nothing is installed but by
# `make setup` (Debian packages), `make demo` and `make test` (the same, first), and `make install`.

BUILD   ?= build
prefix  ?= /usr/local
DESTDIR ?=
MINUTES ?= 10

.DEFAULT_GOAL := all
.PHONY: all help setup demo test bench fuzz kut conformance soak install format tidy clean

## all: build/strata, usable in place
all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@tools/setup --check build
	@rm -rf $(BUILD)
	@meson setup $(BUILD)

## setup: install what is missing of Debian's packages (tools/packages.txt)
setup:
	@tools/setup

## demo: one image under every architecture there is, beside a plain process, measured
demo:
	@tools/setup build run
	@$(MAKE) --no-print-directory all
	@tools/demo $(BUILD)

## test: everything, about a quarter of an hour; tools/test lint unit runs a part
test:
	@tools/setup
	@tools/test

## bench: our figures beside their peers', and the targets; BAREMETAL=1: those of the hypervisor, beside KVM and Xen on an emulated server
bench:
	@tools/setup
	@$(MAKE) --no-print-directory all
	@$(if $(BAREMETAL),tools/bench_baremetal.py,tools/bench)

## fuzz: every fuzz target, ten minutes each (FUZZ_SECONDS=600); each form of instruction DIFF_CASES=1000 times against the host's CPU; RANDOM_SEEDS=20 walks of random guests; each mutant of a bundle's configuration
fuzz:
	@tools/setup build test
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-600} tools/test build fuzz
	@for engine in interp jit; do \
		DIFF_CASES=$${DIFF_CASES:-1000} DIFF_SEED=$${DIFF_SEED:-$$(date +%s)} \
		build/tests/test_engines_hosted_$${engine}_diff || exit 1; \
	done
	@RANDOM_CASES=$${RANDOM_CASES:-50000} RANDOM_SEEDS=$${RANDOM_SEEDS:-20} RANDOM_SEED=$${RANDOM_SEED:-$$(date +%s)} RANDOM_ROUNDS=20000 \
		build/tests/test_engines_hosted_jit_random
	@tools/apart timeout 1800 python3 $(CURDIR)/tests/system/oci_mutate.py $(CURDIR)/build/strata-oci $$(command -v busybox)

## soak: strata-oci killed at every system call; start, exec, stop and kill for MINUTES=10, looking for leaks; then the hypervisor's slow boots (UEFI, Bochs) and Debian's other inits
soak:
	@tools/setup build run test
	@$(MAKE) --no-print-directory all
	@tools/soak $(MINUTES)
	@STRATA_LAB_LONG=1 bats tests/lab/baremetal.bats tests/lab/baremetal_channel.bats tests/lab/baremetal_line.bats tests/lab/baremetal_selftest.bats tests/lab/baremetal_vmx.bats tests/lab/inits.bats

## kut: kvm-unit-tests from the folder KUT, built elsewhere, on the software CPU (VIRT=hosted), or as guests of strata-hv (VIRT=bare-metal)
kut:
	@tools/setup build run
	@$(MAKE) --no-print-directory all
	@tools/kut $(KUT) --virt $${VIRT:-hosted}

## conformance: the validation programs of runtime-tools, or crun's tests, built elsewhere in SUITE, on strata-oci, crun and runc
conformance:
	@tools/setup build
	@$(MAKE) --no-print-directory all
	@tools/conformance $(SUITE) --write

## install: to $(DESTDIR)$(prefix), with man page, completion and systemd unit
install:
	@tools/setup --check build
	@[ -e build-install/build.ninja ] || { rm -rf build-install; meson setup build-install; }
	@meson configure build-install -Dprefix=$(abspath $(prefix)) -Dbuildtype=release
	@ninja -C build-install
	@DESTDIR=$(DESTDIR) meson install -C build-install --no-rebuild

## format: clang-format on every C file
format:
	@find src include guest hypervisor tests fuzz bench -name '*.[ch]' -exec clang-format -i {} +

## tidy: clang-tidy on every C file of src/ (apt-get install clang-tidy)
tidy: $(BUILD)/build.ninja
	@find src -name '*.c' -exec clang-tidy --quiet -p $(BUILD) {} +

## clean: remove every build directory
clean:
	@rm -rf build build-*

help:
	@sed -n 's/^## /  make /p' $(MAKEFILE_LIST)
