/* The first step of the run that made the file: what total_steps counts from. An attribute of the bookkeeping group. */
#include "store/attribute.h"
#include "store/define.h"
#include "store/hdf5_error.h"
#include "store/hdf5_lock.h"

#define FIRST_STEP "first_step"

static bool read_first_step(const struct store *store, int64_t *step)
{
    hid_t attribute = H5Aopen_by_name(store->file, BOOKKEEPING, FIRST_STEP, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0) return false;
    bool is_read = H5Aread(attribute, H5T_NATIVE_INT64, step) >= 0;
    H5Aclose(attribute);
    return is_read;
}

bool store_first_step(const struct store *store, int64_t *step)
{
    struct hdf5_quiet quiet;
    if (store->failure.status != TRAJLOG_OK) return false;
    hdf5_lock();
    hdf5_quiet_begin(&quiet);
    bool known = read_first_step(store, step);
    hdf5_quiet_end(&quiet);
    hdf5_unlock();
    return known;
}

static trajlog_status set_first_step(struct store *store, int64_t step)
{
    hid_t group = H5Gopen2(store->file, BOOKKEEPING, H5P_DEFAULT);
    if (group < 0) return store_fail(store, "open the group of bookkeeping");
    htri_t exists = H5Aexists(group, FIRST_STEP);
    if (exists > 0) attribute_rewrite_int64(group, FIRST_STEP, step, &store->failure);
    else attribute_set_int64(group, FIRST_STEP, step, &store->failure);
    H5Gclose(group);
    return store->failure.status;
}

trajlog_status store_set_first_step(struct store *store, int64_t step, struct error *error)
{
    struct hdf5_quiet quiet;
    if (store->failure.status == TRAJLOG_OK) {
        hdf5_lock();
        hdf5_quiet_begin(&quiet);
        if (store->schema == NULL || store->started) store_fail_state(store, "the first step is told before the start");
        else set_first_step(store, step);
        hdf5_quiet_end(&quiet);
        hdf5_unlock();
    }
    if (store->failure.status != TRAJLOG_OK && error != NULL && error->status == TRAJLOG_OK) *error = store->failure;
    return store->failure.status;
}
