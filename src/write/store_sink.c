#include "write/store_sink.h"

static trajlog_status append(void *context, size_t group, int64_t step, double time, const void *const *fields,
                             struct error *error)
{
    return store_append(context, group, step, time, fields, error);
}

static trajlog_status add_drop(void *context, const trajlog_drop *drop, struct error *error)
{
    return store_add_drop(context, drop, error);
}

static void set_last_step(void *context, int64_t step)
{
    store_set_last_step(context, step);
}

static trajlog_status write_checkpoint(void *context, size_t group, int64_t step, double time,
                                       const void *const *fields, struct error *error)
{
    return store_write_checkpoint(context, group, step, time, fields, error);
}

static trajlog_status commit(void *context, enum commit_level level, struct error *error)
{
    return store_commit(context, level, error);
}

static bool borrows(void *context)
{
    return store_borrows(context);
}

static void settle(void *context)
{
    store_settle(context);
}

struct sink store_sink(struct store *store)
{
    return (struct sink){store, append, add_drop, set_last_step, write_checkpoint, commit, borrows, settle};
}
