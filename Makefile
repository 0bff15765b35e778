# trajlog: `make help` explains the targets.

BUILD  ?= build
AR     ?= ar
OBJCOPY ?= objcopy
PYTHON ?= /usr/bin/python3
DEMO   ?= demo.h5

# Where `make install` puts things; below DESTDIR, if that is set.
prefix       ?= /usr/local
exec_prefix  ?= $(prefix)
bindir       ?= $(exec_prefix)/bin
libdir       ?= $(exec_prefix)/lib
includedir   ?= $(prefix)/include
mandir       ?= $(prefix)/share/man
pkgconfigdir ?= $(libdir)/pkgconfig

ifneq ($(filter setup setup-ci,$(MAKECMDGOALS)),)
# ----------------------------------------------------------------------------------------------------------------------
# `make setup demo`: the packages first. What is there to build with is looked for afterwards, by a second make that gets
# the other goals; this one knows nothing of them.

AFTER_SETUP := $(filter-out setup setup-ci,$(MAKECMDGOALS))

setup: ## install what building and testing needs (Debian, Ubuntu; elsewhere: print it)
	@scripts/setup

setup-ci: ## the same, and what only .ci/run needs: LAMMPS, MDAnalysis, VOTCA, clang, cmake, valgrind
	@scripts/setup ci

after-setup: $(filter setup setup-ci,$(MAKECMDGOALS))
	@rm -f $(BUILD)/config.mk
	$(if $(AFTER_SETUP),+@$(MAKE) --no-print-directory $(AFTER_SETUP))

$(AFTER_SETUP): after-setup
	@:

.PHONY: setup setup-ci after-setup $(AFTER_SETUP)

else
# ----------------------------------------------------------------------------------------------------------------------

all: library tool examples ## the library, the tool and the examples (the default)

# Goals that need no libraries do not look for any.
ifneq ($(filter-out help clean config uninstall format readers,$(or $(MAKECMDGOALS),all)),)
include $(BUILD)/config.mk
endif

# The version is in the public header, and nowhere else.
header_number = $(shell sed -n 's/^\#define TRAJLOG_VERSION_$(1) \([0-9]*\).*/\1/p' include/trajlog.h)
MAJOR   := $(call header_number,MAJOR)
VERSION := $(MAJOR).$(call header_number,MINOR).$(call header_number,PATCH)

# For the one file that is C++: the compiler that belongs to CC.
ifeq ($(origin CXX),default)
CXX = $(subst clang,clang++,$(subst gcc,g++,$(patsubst cc,c++,$(CC))))
endif

# One line for each file that is made; V=1 shows the whole command.
Q = $(if $(V),,@echo '  $@';)

CFLAGS ?= -O2 -g
WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith $(if $(WERROR),-Werror)
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -pthread $(WARNINGS) $(CFLAGS)
ALL_CXXFLAGS = -std=c++17 $(filter-out -std=% -Wstrict-prototypes -Wmissing-prototypes,$(ALL_CFLAGS))
CODEC_CFLAGS = $(ZLIB_CFLAGS) $(if $(HAVE_ISAL),-DHAVE_ISAL $(ISAL_CFLAGS)) \
    $(if $(HAVE_LIBDEFLATE),-DHAVE_LIBDEFLATE $(LIBDEFLATE_CFLAGS))
INCLUDES = -Iinclude -Isrc $(HDF5_CFLAGS) $(JANSSON_CFLAGS) $(CODEC_CFLAGS)
LIBS = $(HDF5_LIBS) $(JANSSON_LIBS) $(LIBDEFLATE_LIBS) $(ISAL_LIBS) $(ZLIB_LIBS) -lm -pthread
DEPENDENCIES = -MMD -MP -MF $@.d

LIBRARY_SOURCES := $(wildcard src/model/*.c src/store/*.c src/write/*.c src/read/*.c)
LIBRARY_OBJECTS := $(LIBRARY_SOURCES:%.c=$(BUILD)/obj/%.o)
TOOL_SOURCES    := $(wildcard src/tool/*.c)
TOOL_OBJECTS    := $(TOOL_SOURCES:%.c=$(BUILD)/obj/%.o)
BENCH_SHARED    := bench/harness.c bench/frames.c
EXAMPLE_SOURCES := $(filter-out $(if $(HAVE_LAMMPS),,examples/lammps_log.c),$(wildcard examples/*.c))
EXAMPLES        := $(EXAMPLE_SOURCES:%.c=$(BUILD)/%)
UNIT_TESTS      := $(patsubst test/unit/%.c,$(BUILD)/test/%,$(wildcard test/unit/test_*.c))
TEST_PROGRAMS   := $(patsubst test/%.c,$(BUILD)/test/%,$(wildcard test/programs/*.c test/crash/*.c test/campaign/*.c))
BENCHMARKS      := $(patsubst bench/%.c,$(BUILD)/bench/%,$(filter-out $(BENCH_SHARED),$(wildcard bench/*.c)))
C_FILES         := $(wildcard include/*.h src/*/*.[ch] examples/*.[ch] examples/*.cpp examples/lammps/fmt/*.h \
    test/*.h test/*/*.[ch] bench/*.[ch])

SHARED_NAME = libtrajlog.so.$(VERSION)
SONAME      = libtrajlog.so.$(MAJOR)
LIBRARIES   = $(BUILD)/libtrajlog.a $(BUILD)/libtrajlog.so

library: $(LIBRARIES) ## build/libtrajlog.a and build/libtrajlog.so
tool: $(if $(TOOL_SOURCES),$(BUILD)/trajlog) ## build/trajlog, the command
examples: $(EXAMPLES) ## build/examples/*; lammps_log where LAMMPS is installed

# ----------------------------------------------------------------------------------------------------------------------
# What is there to build with

config: ## look for libraries anew, and show what was found
	@rm -f $(BUILD)/config.mk
	@$(MAKE) -s --no-print-directory $(BUILD)/config.mk
	@cat $(BUILD)/config.mk

$(BUILD)/config.mk: scripts/configure
	@PYTHON='$(PYTHON)' CXX='$(CXX)' scripts/configure $@

# Changes when compiler or options do: then everything is built anew.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(CC) $(CXX) $(ALL_CFLAGS) $(INCLUDES) $(LDFLAGS) $(LIBS)' | cmp -s - $@ || \
	    printf '%s\n' '$(CC) $(CXX) $(ALL_CFLAGS) $(INCLUDES) $(LDFLAGS) $(LIBS)' >$@

# ----------------------------------------------------------------------------------------------------------------------
# The library

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(INCLUDES) $(DEPENDENCIES) -c $< -o $@

# For our own tests, which look inside: internal names can be linked.
$(BUILD)/libtrajlog-internal.a: $(LIBRARY_OBJECTS)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

# For everybody else. Hidden names are made local, so that a host's own queue_push does not meet ours; that takes one
# object for the whole library.
$(BUILD)/libtrajlog.a: $(LIBRARY_OBJECTS)
	@rm -f $@
	@$(LD) -r -o $(BUILD)/obj/trajlog.o $^
	@$(OBJCOPY) --localize-hidden $(BUILD)/obj/trajlog.o
	$(Q)$(AR) rcs $@ $(BUILD)/obj/trajlog.o

# A sanitizer's run-time functions come with the program: then not every name is known here.
NO_UNDEFINED = $(if $(findstring -fsanitize,$(LDFLAGS)),,-Wl,-z,defs)
$(BUILD)/$(SHARED_NAME): $(LIBRARY_OBJECTS)
	$(Q)$(CC) -shared $(CFLAGS) $(LDFLAGS) -Wl,-soname,$(SONAME) -Wl,--as-needed $(NO_UNDEFINED) $^ -o $@ $(LIBS)

$(BUILD)/libtrajlog.so: $(BUILD)/$(SHARED_NAME)
	@ln -sf $(SHARED_NAME) $(BUILD)/$(SONAME)
	@ln -sf $(SONAME) $@

# ----------------------------------------------------------------------------------------------------------------------
# Programs: the tool and the examples see the public header only, and carry the library with them.

PUBLIC_CFLAGS = -Iinclude $(JANSSON_CFLAGS)
$(TOOL_OBJECTS): INCLUDES = $(PUBLIC_CFLAGS)

$(BUILD)/trajlog: $(TOOL_OBJECTS) $(BUILD)/libtrajlog.a
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed $^ -o $@ $(LIBS)

$(BUILD)/examples/%: examples/%.c $(BUILD)/libtrajlog.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(PUBLIC_CFLAGS) $(DEPENDENCIES) $(filter-out %.h,$^) -o $@ $(LDFLAGS) -Wl,--as-needed $(LIBS)

# LAMMPS is C++, and so is the fix that lammps_log gives it.
LAMMPS_OBJECTS := $(if $(HAVE_LAMMPS),$(BUILD)/examples/lammps_log.o $(BUILD)/examples/lammps_fix.o)
$(BUILD)/examples/lammps_log.o: examples/lammps_log.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(PUBLIC_CFLAGS) $(LAMMPS_CFLAGS) $(DEPENDENCIES) -c $< -o $@
$(BUILD)/examples/lammps_fix.o: examples/lammps_fix.cpp $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(CXX) $(ALL_CXXFLAGS) $(LAMMPS_CXXFLAGS) $(DEPENDENCIES) -c $< -o $@
$(BUILD)/examples/lammps_log: $(LAMMPS_OBJECTS) $(BUILD)/libtrajlog.a
	$(Q)$(CXX) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed $(filter %.o %.a,$^) -o $@ $(LAMMPS_LIBS) $(LIBS)

COMMA = ,

# Tests call HDF5 as its release 1.10 was called; later ones keep that.
TEST_CFLAGS = -Itest -DH5_USE_110_API

# Unit tests: test/unit/test_NAME.c makes build/test/test_NAME. Where memory is to be short, it is so for our objects.
$(BUILD)/test/test_faults: TEST_LDFLAGS = $(addprefix -Wl$(COMMA)--wrap=,malloc calloc realloc aligned_alloc strdup \
    strndup asprintf realpath free)
$(BUILD)/test/%: test/unit/%.c $(BUILD)/libtrajlog-internal.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(INCLUDES) $(CMOCKA_CFLAGS) $(TEST_CFLAGS) $(DEPENDENCIES) $(filter-out %.h,$^) -o $@ \
	    $(LDFLAGS) $(TEST_LDFLAGS) $(or $(CMOCKA_LIBS),-lcmocka) $(LIBS)

# Programs that crash, and look inside: test/crash/NAME.c makes build/test/crash/NAME.
$(BUILD)/test/crash/%: test/crash/%.c $(BUILD)/libtrajlog-internal.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(INCLUDES) $(TEST_CFLAGS) $(DEPENDENCIES) $< $(filter %.a,$^) -o $@ $(LDFLAGS) $(LIBS)

# Programs that black-box tests run: test/programs/NAME.c makes build/test/programs/NAME, linked as a user's would be.
# Those to be killed are in test/campaign.
define USER_PROGRAM
@mkdir -p $(@D)
$(Q)$(CC) $(ALL_CFLAGS) -Iinclude -DH5_USE_110_API $(HDF5_CFLAGS) $(DEPENDENCIES) $(filter-out %.h,$^) -o $@ $(LDFLAGS) $(LIBS)
endef
$(BUILD)/test/programs/%: test/programs/%.c $(BUILD)/libtrajlog.a
	$(USER_PROGRAM)
$(BUILD)/test/campaign/%: test/campaign/%.c $(BUILD)/libtrajlog.a
	$(USER_PROGRAM)

# Benchmarks: bench/NAME.c makes build/bench/NAME. Linked as a user's program, but for commit, which looks inside.
$(BUILD)/bench/%.o: bench/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(INCLUDES) $(DEPENDENCIES) -c $< -o $@

BENCH_OBJECTS = $(BENCH_SHARED:%.c=$(BUILD)/%.o)
BENCH_LIBRARY = $(BUILD)/libtrajlog.a
$(BUILD)/bench/commit: BENCH_LIBRARY = $(BUILD)/libtrajlog-internal.a
$(BUILD)/bench/commit: $(BUILD)/libtrajlog-internal.a
$(BUILD)/bench/%: $(BUILD)/bench/%.o $(BENCH_OBJECTS) $(BUILD)/libtrajlog.a
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed $(filter %.o,$^) $(BENCH_LIBRARY) -o $@ $(LIBS)
.SECONDARY: $(BENCHMARKS:%=%.o) $(BENCH_OBJECTS)

-include $(addsuffix .d,$(LIBRARY_OBJECTS) $(TOOL_OBJECTS) $(EXAMPLES) $(LAMMPS_OBJECTS) $(UNIT_TESTS) $(TEST_PROGRAMS) \
    $(BENCHMARKS:%=%.o) $(BENCH_OBJECTS))

# ----------------------------------------------------------------------------------------------------------------------
# Trying it

demo: all ## simulate argon, log it to demo.h5, and show what is in the file
	rm -f $(DEMO)
	$(BUILD)/examples/md_argon --out $(DEMO)
	$(BUILD)/trajlog info $(DEMO)

# Two processes where pytest-xdist is installed; PYTEST_FLAGS can say more: make test PYTEST_FLAGS='-k queue'.
PYTEST = TRAJLOG_BUILD='$(abspath $(BUILD))' CC='$(CC)' $(PYTHON) -B -m pytest -q \
    -o cache_dir='$(abspath $(BUILD))/pytest' $(if $(HAVE_XDIST),-n 2 --dist loadgroup)
TESTS ?= test
# What these need to be built.
NEEDED ?= tests

# What Debian does not have; apart from BUILD, as builds of all kinds share it.
READERS = build/venv
readers: $(READERS)/installed ## programs from PyPI that read H5MD files, in build/venv, for the tests
$(READERS)/installed: test/requirements.txt
	$(PYTHON) -m venv --system-site-packages $(READERS)
	$(READERS)/bin/python -m pip install -q --disable-pip-version-check -r test/requirements.txt
	@touch $@

tests: all $(UNIT_TESTS) $(TEST_PROGRAMS) ## build the tests, without running them

test: $(NEEDED) ## all tests: the C tests, and the Python tests that look at the files from outside
	$(PYTEST) $(PYTEST_FLAGS) $(TESTS)

test-hdf5-matrix: ## the tests against the HDF5 of Debian 12, 13 and sid, each in a debootstrap folder (root only)
	scripts/hdf5-matrix

ASAN_FLAGS = -fsanitize=address,undefined -fno-sanitize-recover=undefined
TSAN_FLAGS = -fsanitize=thread
# Left out: what is not about our code at run time, or about LAMMPS's and MPI's as well, or measures memory, or is the same
# again for very long, or looks at the physics of an example. Of what is random there is less.
UNSANITIZED = $(addprefix test/outside/test_,header.py install.py lammps.py readme.py symbols.py)
NOT_FOR_ASAN = -k 'not (memory_does_not_grow or lammps or allocates_nothing or allocate_nothing or of_a_large_group \
    or energy_is_kept or momentum_stays_zero)'
FEWER = TRAJLOG_FAULTS=60 TRAJLOG_POWER_STATES=100 TRAJLOG_KILLS=10

test-asan: ## the C tests and the programs under AddressSanitizer and UndefinedBehaviorSanitizer
	@LSAN_OPTIONS=suppressions=$(abspath test/leaks.supp):print_suppressions=0 $(FEWER) \
	    $(MAKE) --no-print-directory test BUILD=$(BUILD)/asan CFLAGS='-O1 -g -fno-omit-frame-pointer $(ASAN_FLAGS)' \
	    LDFLAGS='$(ASAN_FLAGS)' PYTEST_FLAGS="$(NOT_FOR_ASAN) $(PYTEST_FLAGS)" \
	    TESTS='test/unit $(filter-out $(UNSANITIZED),$(wildcard test/outside/test_*.py))'

# ThreadSanitizer needs memory where address space randomization may put something else; where we may switch it off, we do.
UNRANDOMIZED = $(shell setarch --addr-no-randomize true 2>/dev/null && echo setarch --addr-no-randomize)

# What starts threads.
THREADED = $(foreach name,queue* worker* writer* life resume checkpoint growth stream cells,$(wildcard test/unit/test_$(name).c))

test-tsan: ## queue, worker, writer and the reader's threads under ThreadSanitizer
	@$(UNRANDOMIZED) $(MAKE) --no-print-directory test BUILD=$(BUILD)/tsan CFLAGS='-O1 -g $(TSAN_FLAGS)' LDFLAGS='$(TSAN_FLAGS)' \
	    TESTS='$(THREADED)' NEEDED='$(THREADED:test/unit/%.c=$(BUILD)/tsan/test/%)'

# What a slow machine and two processes need for one test under valgrind. It has no floating-point exceptions.
VALGRIND = TRAJLOG_TEST_SECONDS=1200 TRAJLOG_WRAPPER='valgrind -q --error-exitcode=99 --leak-check=full \
    --show-leak-kinds=definite --errors-for-leak-kinds=definite --suppressions=test/valgrind.supp' \
    $(PYTEST) -o timeout=1200 -k 'not floating_point_environment' $(PYTEST_FLAGS)

test-valgrind: tests ## the C tests under valgrind
	$(VALGRIND) test/unit

# Of each part of the library what is quick; a process with valgrind takes half a second to begin.
QUICK_IN_VALGRIND = journal schema driver store checkpoint queue worker ownership rows heap map

valgrind-quick: tests ## a part of them, in a minute or two
	$(VALGRIND) $(QUICK_IN_VALGRIND:%=test/unit/test_%.c)

long-test: tests ## 10^6 scalar rows, and 10^5 frames of 1000 particles (2.4 GB): memory and cost stay flat
	TRAJLOG_LONG=1 $(PYTEST) -rP $(PYTEST_FLAGS) test/outside/test_writer_file.py -k memory_does_not_grow

kill-test: tests ## 200 random kills, which are part of the tests too
	$(PYTEST) $(PYTEST_FLAGS) test/campaign/test_kill.py

soak: tests ## 10,000 kills and 100,000 power losses; can be stopped, and goes on: build/soak.json
	$(PYTHON) -B test/campaign/soak.py --build $(BUILD) --state $(BUILD)/soak.json

reliability: tests ## what a kill leaves of files that others write too: the table of doc/reliability.md
	$(PYTHON) -B test/campaign/compare.py --build $(BUILD) --document doc/reliability.md

# The functions that scripts/lint.h tells about, where they are defined.
ERROR_SOURCES = src/model/status.c src/store/hdf5_error.c
LARGEST_FIRST = xargs ls -S
TIDY = $(LARGEST_FIRST) | xargs -P 2 -I FILE clang-tidy --quiet FILE -- -std=c11 -D_GNU_SOURCE $(INCLUDES) $(LAMMPS_CFLAGS)

lint: ## check the format with clang-format, and the code with clang-tidy
	clang-format --dry-run -Werror $(C_FILES)
	@printf '%s\n' $(filter-out $(ERROR_SOURCES),$(LIBRARY_SOURCES)) | $(TIDY) -include scripts/lint.h
	@printf '%s\n' $(ERROR_SOURCES) $(TOOL_SOURCES) $(EXAMPLE_SOURCES) | $(TIDY)
	@$(if $(HAVE_LAMMPS),clang-tidy --quiet examples/lammps_fix.cpp -- -std=c++17 -D_GNU_SOURCE $(LAMMPS_CXXFLAGS))

format: ## let clang-format rewrite the C files
	clang-format -i $(C_FILES)

# ----------------------------------------------------------------------------------------------------------------------
# Benchmarks: TRAJLOG_BENCH_DIR is where they write, TRAJLOG_BENCH_FRAMES=file:particles what; doc/performance.md says more.

benchmarks: all $(BENCHMARKS) ## build the benchmarks, without running them

bench: benchmarks ## all benchmarks: a table, and build/bench.json
	$(PYTHON) -B bench/run.py --build $(BUILD)
	$(PYTHON) -B bench/report.py --build $(BUILD)

bench-quick: benchmarks ## the same in less than a minute, and less exactly
	$(PYTHON) -B bench/run.py --build $(BUILD) --quick
	$(PYTHON) -B bench/report.py --build $(BUILD)

# ----------------------------------------------------------------------------------------------------------------------
# Installing

INSTALL = install

$(BUILD)/trajlog.pc: trajlog.pc.in $(BUILD)/config.mk FORCE
	@sed -e 's|@prefix@|$(prefix)|' -e 's|@libdir@|$(libdir)|' -e 's|@includedir@|$(includedir)|' \
	    -e 's|@version@|$(VERSION)|' -e 's|@requires@|$(PC_REQUIRES)|' -e 's|@libs@|$(PC_LIBS)|' $< >$@

install: library tool $(BUILD)/trajlog.pc ## header, libraries, trajlog.pc, man pages and tool, to prefix=/usr/local; DESTDIR=
	$(INSTALL) -d $(DESTDIR)$(bindir) $(DESTDIR)$(libdir) $(DESTDIR)$(includedir) $(DESTDIR)$(pkgconfigdir) \
	    $(DESTDIR)$(mandir)/man1 $(DESTDIR)$(mandir)/man3
	$(INSTALL) -m 644 include/trajlog.h $(DESTDIR)$(includedir)/trajlog.h
	$(INSTALL) -m 644 $(BUILD)/libtrajlog.a $(DESTDIR)$(libdir)/libtrajlog.a
	$(INSTALL) -m 755 $(BUILD)/$(SHARED_NAME) $(DESTDIR)$(libdir)/$(SHARED_NAME)
	ln -sf $(SHARED_NAME) $(DESTDIR)$(libdir)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(libdir)/libtrajlog.so
	$(INSTALL) -m 644 $(BUILD)/trajlog.pc $(DESTDIR)$(pkgconfigdir)/trajlog.pc
	$(INSTALL) -m 755 $(BUILD)/trajlog $(DESTDIR)$(bindir)/trajlog
	$(INSTALL) -m 644 doc/trajlog.1 $(DESTDIR)$(mandir)/man1/trajlog.1
	$(INSTALL) -m 644 doc/trajlog.3 $(DESTDIR)$(mandir)/man3/trajlog.3

uninstall: ## remove what `make install` with the same prefix and DESTDIR has put there
	rm -f $(DESTDIR)$(includedir)/trajlog.h $(DESTDIR)$(libdir)/libtrajlog.a $(DESTDIR)$(libdir)/libtrajlog.so \
	    $(DESTDIR)$(libdir)/$(SONAME) $(DESTDIR)$(libdir)/$(SHARED_NAME) $(DESTDIR)$(pkgconfigdir)/trajlog.pc \
	    $(DESTDIR)$(bindir)/trajlog $(DESTDIR)$(mandir)/man1/trajlog.1 $(DESTDIR)$(mandir)/man3/trajlog.3

clean: ## remove what was built
	rm -rf $(BUILD) $(DEMO)

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1\t/p' Makefile | awk -F'\t' '{ printf "  %-16s %s\n", $$1, $$2 }'
	@echo 'Variables: CC CXX CFLAGS LDFLAGS BUILD WERROR=1 V=1 PYTHON prefix DESTDIR HDF5_CFLAGS HDF5_LIBS PYTEST_FLAGS'

FORCE:

.PHONY: all library tool examples benchmarks bench bench-quick config demo readers tests test test-hdf5-matrix \
    test-asan test-tsan long-test kill-test soak reliability test-valgrind valgrind-quick lint format \
    install uninstall clean help FORCE
.DELETE_ON_ERROR:
endif
