/* The store as a sink. */
#ifndef WRITE_STORE_SINK_H
#define WRITE_STORE_SINK_H

#include "store/file.h"
#include "write/sink.h"

struct sink store_sink(struct store *store);

#endif
