/* trajlog_recover. It belongs to those who read, and who never open a log for writing: the writer's resume does all this
 * by itself. What is written to the file is the store's business (store/recover.c). */
#include <stdlib.h>

#include "read/condition.h"
#include "read/reader.h"
#include "store/hdf5_lock.h"
#include "store/ownership.h"
#include "store/recover.h"

/* The lock of ownership and HDF5's are never held together, also not where a host has taken HDF5's. */
static trajlog_status take(struct ownership **ownership, const char *path, bool without_lock, struct error *error)
{
    int depth = hdf5_lock_give_up();
    trajlog_status status = ownership_take(ownership, path, without_lock, error);
    hdf5_lock_take_back(depth);
    return status;
}

static void give_back(struct ownership **ownership)
{
    int depth = hdf5_lock_give_up();
    ownership_release(ownership);
    hdf5_lock_take_back(depth);
}

static bool is_in_order(const struct condition *condition)
{
    return condition_is_closed(condition) && condition->journal == JOURNAL_NONE && !condition->is_unfinished;
}

static bool is_even(const struct scan_group *group)
{
    if (group->once || group->checkpoint) return true;
    bool even = group->step.extent == group->rows && group->time.extent == group->rows;
    for (size_t i = 0; i < group->field_count; i++) {
        const struct dataset *dataset = &group->fields[i].dataset;
        even = even && (!dataset->name || dataset->handle < 0 || dataset->extent == group->rows);
    }
    return even;
}

/* Some datasets of a group may have rows of a commit that others have not. *schema is to be freed; NULL: there are none
 * such. What cannot be read is broken in a way that no crash explains: it is not touched. Before the file is taken: for
 * readers, the journal of a file that somebody owns is the owner's business. */
static trajlog_status find_uneven(const char *path, struct schema **schema, struct error *error)
{
    struct scan *scan = NULL;
    bool even = true;
    *schema = NULL;
    TRY(scan_open(&scan, path, NULL, NULL, error));
    for (size_t i = 0; i < scan->group_count; i++) even = even && is_even(&scan->groups[i]);
    if (!even) {
        *schema = scan->schema;
        scan->schema = NULL;
    }
    scan_close(scan);
    return TRAJLOG_OK;
}

/* `uneven`: the schema of a file some of whose datasets have rows that others have not; else NULL. */
static trajlog_status recover_owned(const char *path, const struct schema *uneven, trajlog_recovery *recovery,
                                    struct error *error)
{
    struct condition before, after;
    TRY(condition_look(&before, path, true, error));
    recovery->journal = condition_journal(&before);
    if (is_in_order(&before)) return TRAJLOG_OK;
    if (uneven) TRY(store_even_out(path, uneven, error));
    TRY(store_recover(path, NULL, error));
    recovery->changed = 1;
    TRY(condition_look(&after, path, true, error));
    recovery->removed_bytes = before.bytes > after.bytes ? before.bytes - after.bytes : 0;
    return TRAJLOG_OK;
}

static trajlog_status recover_file(const char *path, bool without_lock, trajlog_recovery *recovery, struct error *error)
{
    struct condition condition;
    struct ownership *ownership = NULL;
    struct schema *uneven = NULL;
    TRY(condition_look(&condition, path, without_lock, error));
    TRY(find_uneven(path, &uneven, error));
    trajlog_status status = TRAJLOG_OK;
    if (!condition.writer_is_alive && is_in_order(&condition)) goto out;
    status = take(&ownership, path, without_lock, error);
    if (status != TRAJLOG_OK) goto out;
    status = recover_owned(ownership_path(ownership), uneven, recovery, error);
    give_back(&ownership);
out:
    schema_free(uneven);
    return status;
}

static trajlog_status find_and_recover(const char *path, bool without_lock, trajlog_recovery *recovery,
                                       struct error *error)
{
    char *real = NULL;
    TRY(reader_real_path(path, &real, error));
    trajlog_status status = recover_file(real, without_lock, recovery, error);
    free(real);
    return status;
}

trajlog_status trajlog_recover(const char *path, int32_t no_lock, trajlog_recovery *recovery)
{
    struct error error = {0};
    trajlog_recovery done = {0};
    trajlog_status status = TRAJLOG_OK;
    if (recovery && recovery->struct_size < sizeof recovery->struct_size)
        status = error_set(&error, TRAJLOG_INVALID_ARGUMENT, 0, "struct_size is %zu: expected sizeof(trajlog_recovery)",
                           recovery->struct_size);
    if (status == TRAJLOG_OK) status = find_and_recover(path, no_lock != 0, &done, &error);
    if (recovery && recovery->struct_size >= sizeof recovery->struct_size)
        reader_give(recovery, recovery->struct_size, &done, sizeof done);
    return reader_end_file(path, status, &error);
}
