/* Where frames end: the store, or in tests a sink in memory. All but set_last_step can fail; after the first failure
 * nothing but what the sink's owner does to close it is called. Called by one thread at a time. */
#ifndef WRITE_SINK_H
#define WRITE_SINK_H

#include "store/file.h"

struct sink {
    void *context;
    /* A row of a group (its index in the schema); `fields` has one pointer per field, NULL for those not enabled, and
     * is only read during the call. */
    trajlog_status (*append)(void *context, size_t group, int64_t step, double time, const void *const *fields,
                             struct error *error);
    trajlog_status (*add_drop)(void *context, const trajlog_drop *drop, struct error *error);
    void (*set_last_step)(void *context, int64_t step);
    /* Replaces the older checkpoint; it and everything before are synced then. `fields` as above. */
    trajlog_status (*write_checkpoint)(void *context, size_t group, int64_t step, double time,
                                       const void *const *fields, struct error *error);
    /* Everything so far becomes visible and safe. */
    trajlog_status (*commit)(void *context, enum commit_level level, struct error *error);
    /* A sink that borrows rows: `fields` stay as they are until it no longer does, which `settle` brings about. Both may
     * be NULL: it never does. */
    bool (*borrows)(void *context);
    void (*settle)(void *context);
};

#endif
