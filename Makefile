# trajlog: make help explains the targets.

BUILD  ?= build
CC     ?= gcc
AR     ?= ar
PYTHON ?= /usr/bin/python3
prefix ?= /usr/local

CFLAGS ?= -O2 -g
WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
HDF5_CFLAGS := $(shell pkg-config --cflags hdf5)
HDF5_LIBS := $(shell pkg-config --libs hdf5)
JANSSON_CFLAGS := $(shell pkg-config --cflags jansson)
JANSSON_LIBS := $(shell pkg-config --libs jansson)

ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -pthread $(WARNINGS) $(CFLAGS)
INCLUDES = -Iinclude -Isrc $(HDF5_CFLAGS) $(JANSSON_CFLAGS)
LIBS = $(HDF5_LIBS) $(JANSSON_LIBS) -lz -lm -pthread

LIBRARY_SOURCES = $(wildcard src/model/*.c src/store/*.c src/write/*.c src/read/*.c)
LIBRARY_OBJECTS = $(LIBRARY_SOURCES:%.c=$(BUILD)/obj/%.o)

all: $(BUILD)/libtrajlog-internal.a

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(INCLUDES) -MMD -MP -c $< -o $@

# All names visible: for our own tests, which look inside.
$(BUILD)/libtrajlog-internal.a: $(LIBRARY_OBJECTS)
	@rm -f $@
	$(AR) rcs $@ $^

# Unit tests: test/unit/test_NAME.c makes build/test/test_NAME.
$(BUILD)/test/%: test/unit/%.c $(BUILD)/libtrajlog-internal.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(INCLUDES) -Itest $< $(BUILD)/libtrajlog-internal.a -o $@ $(LDFLAGS) -lcmocka $(LIBS)

-include $(LIBRARY_OBJECTS:.o=.d)
.PHONY: all
