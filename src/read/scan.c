#include "read/scan.h"

#include <errno.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/schema_json.h"
#include "read/attribute.h"
#include "read/decoders.h"
#include "read/input.h"
#include "store/hdf5_error.h"
#include "store/hdf5_lock.h"

/* How often a file is tried that changes while it is looked at, and how long to let it settle. */
#define ATTEMPTS  20
#define SETTLE_MS 2

static trajlog_status no_memory(struct error *error)
{
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory to open it");
}

trajlog_status scan_copy(char **copy, const char *text, struct error *error)
{
    *copy = strdup(text);
    return *copy ? TRAJLOG_OK : no_memory(error);
}

trajlog_status scan_make_groups(struct scan *scan, size_t count, struct error *error)
{
    scan->groups = calloc(count ? count : 1, sizeof *scan->groups);
    if (!scan->groups) return no_memory(error);
    scan->group_count = count;
    return TRAJLOG_OK;
}

trajlog_status scan_make_fields(struct scan_group *group, const char *name, size_t count, struct error *error)
{
    TRY(scan_copy(&group->name, name, error));
    group->fields = calloc(count ? count : 1, sizeof *group->fields);
    group->field_infos = calloc(count ? count : 1, sizeof *group->field_infos);
    if (!group->fields || !group->field_infos) return no_memory(error);
    group->field_count = count;
    return TRAJLOG_OK;
}

trajlog_status scan_open_group(const struct scan *scan, const char *name, int64_t *object, struct error *error)
{
    bool found;
    trajlog_status status = object_open(scan->file, name, object, &found, error);
    if (status == TRAJLOG_OK && !found) status = error_set(error, TRAJLOG_INVALID_FILE, 0, "it is missing");
    if (status == TRAJLOG_OK && H5Iget_type(*object) != H5I_GROUP) {
        H5Oclose(*object);
        status = error_set(error, TRAJLOG_INVALID_FILE, 0, "it is not an HDF5 group");
    }
    if (status != TRAJLOG_OK) error_prefix(error, "group \"%s\"", name);
    return status;
}

static trajlog_status scan_root(struct scan *scan, struct error *error)
{
    int64_t version;
    bool is_log, is_seed;
    TRY(attribute_get_integer(scan->file, "trajlog_version", &version, &is_log, error));
    if (is_log) return scan_log(scan, version, error);
    htri_t names = H5Aexists(scan->file, "group_names");
    is_seed = names > 0;
    if (is_seed) return scan_seed(scan, error);
    return error_set(error, TRAJLOG_INVALID_FILE, 0,
                     "this HDF5 file is not a log: it has neither attribute \"trajlog_version\" nor \"group_names\"");
}

static trajlog_status scan_file(struct scan *scan, const char *path, struct error *error)
{
    struct hdf5_quiet quiet;
    hdf5_lock();
    hdf5_quiet_begin(&quiet);
    trajlog_status status = input_open(path, &scan->file, &scan->limits.source, error);
    if (status == TRAJLOG_OK) status = scan_root(scan, error);
    if (status == TRAJLOG_OK) status = scan_describe(scan, error);
    hdf5_quiet_end(&quiet);
    hdf5_unlock();
    return status;
}

static trajlog_status choose_decoders(struct scan *scan, struct decoders *decoders, struct error *error)
{
    if (!decoders) decoders = scan->decoders = decoders_new(0);
    scan->limits.decoders = decoders;
    return decoders ? TRAJLOG_OK : no_memory(error);
}

static trajlog_status scan_once(struct scan **scan, const char *path, const char *filters, struct decoders *decoders,
                                struct file_moment *moment, struct error *error)
{
    TRY(input_look(path, moment, error));
    struct scan *made = calloc(1, sizeof *made);
    if (!made) return no_memory(error);
    made->file = H5I_INVALID_HID;
    made->limits.file_bytes = moment->bytes;
    made->info.actual_steps = -1;
    trajlog_status status = scan_copy(&made->path, path, error);
    if (status == TRAJLOG_OK) status = scan_copy(&made->filters, filters ? filters : "", error);
    made->limits.filters = made->filters;
    if (status == TRAJLOG_OK) status = choose_decoders(made, decoders, error);
    if (status == TRAJLOG_OK) status = scan_file(made, path, error);
    if (status == TRAJLOG_OK) *scan = made;
    else scan_close(made);
    /* What libhdf5 cannot open is a broken file, or one in mid-update. */
    if (status == TRAJLOG_HDF5_ERROR) status = error->status = TRAJLOG_INVALID_FILE;
    return status;
}

static bool changed_since(const char *path, const struct file_moment *before)
{
    struct file_moment now;
    struct timespec pause = {0, SETTLE_MS * 1000000};
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR) continue;
    return input_look(path, &now, NULL) != TRAJLOG_OK || !file_moment_equal(before, &now);
}

/* A file may be met in the middle of an update. A second look at one that has come to rest is enough. */
trajlog_status scan_open(struct scan **scan, const char *path, const char *filters, struct decoders *decoders,
                         struct error *error)
{
    trajlog_status status = TRAJLOG_OK;
    bool last = false;
    *scan = NULL;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        struct file_moment moment = {0};
        error_clear(error);
        status = scan_once(scan, path, filters, decoders, &moment, error);
        bool can_change = status == TRAJLOG_INVALID_FILE || status == TRAJLOG_IO_ERROR;
        if (!can_change || last) break;
        last = !changed_since(path, &moment);
    }
    return status;
}

static void free_group(struct scan_group *group)
{
    dataset_close(&group->step);
    dataset_close(&group->time);
    dataset_close(&group->sequence);
    dataset_close(&group->checksum);
    for (size_t i = 0; i < group->field_count; i++) {
        dataset_close(&group->fields[i].dataset);
        free(group->fields[i].metadata);
        free(group->fields[i].description);
    }
    free(group->fields);
    free(group->field_infos);
    free(group->name);
    free(group->frequency);
    free(group->metadata);
}

void scan_close(struct scan *scan)
{
    struct hdf5_quiet quiet;
    if (!scan) return;
    hdf5_lock();
    hdf5_quiet_begin(&quiet);
    for (size_t i = 0; i < scan->group_count; i++) free_group(&scan->groups[i]);
    dataset_close(&scan->dropped);
    if (scan->file >= 0) H5Fclose(scan->file);
    source_release(scan->limits.source);
    hdf5_quiet_end(&quiet);
    hdf5_unlock();
    decoders_free(scan->decoders);
    schema_free(scan->schema);
    free(scan->groups);
    free(scan->path);
    free(scan->filters);
    free(scan->metadata);
    free(scan->environment);
    free(scan->schema_text);
    free(scan);
}

const struct scan_group *scan_find_group(const struct scan *scan, const char *name)
{
    for (size_t i = 0; i < scan->group_count; i++)
        if (strcmp(scan->groups[i].name, name) == 0) return &scan->groups[i];
    return NULL;
}

const struct dataset *scan_find_dataset(const struct scan_group *group, const char *name)
{
    if (group->step.name && strcmp(name, "step") == 0) return &group->step;
    if (group->time.name && strcmp(name, "time") == 0) return &group->time;
    for (size_t i = 0; i < group->field_count; i++)
        if (strcmp(group->fields[i].dataset.name, name) == 0) return &group->fields[i].dataset;
    return NULL;
}

struct axis scan_axis(const struct scan_group *group)
{
    struct axis axis = {group->rows, group->step.name ? &group->step : NULL, group->time.name ? &group->time : NULL};
    return axis;
}
