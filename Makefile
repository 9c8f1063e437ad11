# make         build into build/
# make demo    build, then generate text on four devices
# make test    build, then every test
# All of them first install what is missing (Debian, as root). Without this file:
#     cmake -B build && cmake --build build && ctest --test-dir build
BUILD := build
QD_WERROR := OFF
MAKEFLAGS += --no-print-directory
JOBS := $(shell nproc 2>/dev/null || echo 2)

.PHONY: all packages demo test clean

all: packages
	@cmake -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=RelWithDebInfo -DQD_WERROR=$(QD_WERROR)
	@cmake --build $(BUILD) --parallel $(JOBS)

packages:
	@.ci/packages

demo: all
	@.ci/demo $(BUILD)

test: all
	@QUADRIGA_CACHE=$(abspath $(BUILD))/test-cache ctest --test-dir $(BUILD) --output-on-failure -j2

clean:
	rm -rf $(BUILD) build-clang build-sanitize build-coverage build-planted build-swiftshader build-fuzz
