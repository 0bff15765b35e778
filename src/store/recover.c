/* The driver does it all: opening a file through it replays the journal and finds the true end, and closing the file
 * makes the end exact. That libhdf5 opens the file in between is a test that it can. */
#include "store/recover.h"

#include <hdf5.h>

#include "store/driver.h"
#include "store/file.h"
#include "store/hdf5_error.h"
#include "store/hdf5_lock.h"

static hid_t open_hdf5(struct driver *driver, const char *path, struct error *error)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), file = H5I_INVALID_HID;
    trajlog_status status = access < 0 ? hdf5_error(error, "cannot make access properties") : TRAJLOG_OK;
    if (status == TRAJLOG_OK) status = driver_use(driver, access, error);
    if (status == TRAJLOG_OK) file = H5Fopen(path, H5F_ACC_RDWR, access);
    if (status == TRAJLOG_OK && file < 0 && driver_error(driver, error) == TRAJLOG_OK)
        hdf5_error(error, "%s: cannot open the file", path);
    if (access >= 0) H5Pclose(access);
    return file;
}

static trajlog_status close_cleanly(struct driver *driver, hid_t file, const char *path, struct error *error)
{
    trajlog_status status = driver_finish(driver, COMMIT_SYNCED, error);
    herr_t closed = H5Fclose(file);
    TRY(status);
    TRY(driver_error(driver, error));
    return closed < 0 ? hdf5_error(error, "%s: cannot close the file", path) : TRAJLOG_OK;
}

static trajlog_status reopen_and_close(const char *path, const struct driver_io *io, struct error *error)
{
    struct driver *driver = NULL;
    TRY(driver_open(&driver, path, io, error));
    struct error failure = {0};
    hid_t file = open_hdf5(driver, path, &failure);
    if (file >= 0) close_cleanly(driver, file, path, &failure);
    driver_destroy(driver);
    if (failure.status != TRAJLOG_OK && error && error->status == TRAJLOG_OK) *error = failure;
    return failure.status;
}

trajlog_status store_recover(const char *path, const struct driver_io *io, struct error *error)
{
    struct hdf5_quiet quiet;
    hdf5_lock();
    hdf5_quiet_begin(&quiet);
    trajlog_status status = reopen_and_close(path, io, error);
    hdf5_quiet_end(&quiet);
    hdf5_unlock();
    return status;
}

trajlog_status store_even_out(const char *path, const struct schema *schema, struct error *error)
{
    const struct store_options options = {.without_lock = true}; /* the caller has it */
    struct store *store;
    TRY(store_resume(&store, path, INT64_MAX, &options, error));
    trajlog_status status = store_define(store, schema, error);
    if (status == TRAJLOG_OK) status = store_start(store, error);
    trajlog_status closed = store_close(store, status == TRAJLOG_OK ? error : NULL);
    return status == TRAJLOG_OK ? closed : status;
}
