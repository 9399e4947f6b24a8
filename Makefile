# demo: set up, build, fetch a model, let it speak.   test: set up, all tests.   check: what to run before a commit.
# test-devices: the tensor, capture and conformance suites, whole, on every device that computes, or on DEVICES="...".
# bench: the numbers.   house: times of calls, what is counted of the sources, whether programs launch the recorded kernels;
# with OLD=program also every workload against that older release build, in turns.
# Everything that is missing is installed by scripts/setup.

MODELS ?= $(or $(AZULEJO_MODELS),$(HOME)/.cache/azulejo/models)
BIN = .build/release/azulejo
# What any device must do, and the devices that compute.
SUITES = ^(TensorsTests|CaptureTests)[.]
DEVICES ?= cpu late interpreter

.PHONY: demo test test-devices check bench house setup build

setup:
	@scripts/setup

build: setup
	swift build -c release --product azulejo

demo: build
	@scripts/fetch-models smollm2
	@$(BIN) generate --model "$(MODELS)/SmolLM2-135M-Instruct.Q4_1.gguf" --prompt "What is the capital of France?" --mode compiled --compare

test:
	@scripts/setup browser
	@scripts/fetch-models
	swift build --build-tests
	AZULEJO_VERIFY=1 swift test --skip-build --quiet
	AZULEJO_DEVICE=late AZULEJO_TESTS=quick swift test --skip-build --quiet --filter '$(SUITES)'
	AZULEJO_DEVICE=interpreter AZULEJO_TESTS=quick swift test --skip-build --quiet --filter '$(SUITES)'
	.build/debug/azulejo bench all --once --mode compiled --limits Tests/Oracle/kernel_limits.json
	.build/debug/azulejo fuzz --seed 3 --count 150 --minutes 5 --limit 120
	.build/debug/azulejo hostile --cases Tests/Oracle/pytorch_ops.json --seed 3 --count 400 --limit 120
	scripts/fuzz-formats --once
	scripts/test-optimised

test-devices: setup
	swift build --build-tests
	for device in $(DEVICES); do \
	  AZULEJO_DEVICE=$$device swift test --skip-build --quiet --filter '$(SUITES)' || exit 1; \
	done

check: setup
	swift format lint --strict --parallel --recursive Sources Tests Benchmarks Package.swift
	swift build --build-tests
	AZULEJO_VERIFY=1 AZULEJO_TESTS=quick swift test --skip-build --quiet

bench: build
	@scripts/fetch-models
	swift build -c release --product AzulejoBench
	@.build/release/AzulejoBench
	@$(BIN) calibrate
	@$(BIN) bench all --mode eager --mode compiled --checks Tests/Oracle/workload_checks.json

house: build
	@scripts/fetch-models
	swift build -c release --product HouseReport
	swift build -c release --product AzulejoBench
	@.build/release/AzulejoBench tiny_add guards replay
	@if [ -n "$(OLD)" ]; then scripts/compare-builds "$(OLD)" $(BIN) --model "$(MODELS)/SmolLM2-135M-Instruct.Q4_1.gguf" || true; fi
	@.build/release/HouseReport . "$$($(BIN) replay Tests/Oracle/replay/x86-64-v4.txt --cases Tests/Oracle/pytorch_ops.json --json)"
