#include "store/file.h"

#include <stdlib.h>
#include <string.h>

#include "model/role.h"
#include "model/schema_json.h"
#include "store/attribute.h"
#include "store/define.h"
#include "store/destination.h"
#include "store/h5md.h"
#include "store/hdf5_error.h"
#include "store/hdf5_lock.h"
#include "store/resume.h"

#define MOST_DIRTY_CHUNKS 2048 /* between two commits: bounds the metadata that the driver holds back */

/* ---------------------------------------------------------------------------------------------------------------------
 * Errors and the HDF5 lock
 * ------------------------------------------------------------------------------------------------------------------ */

static void enter(struct hdf5_quiet *quiet)
{
    hdf5_lock();
    hdf5_quiet_begin(quiet);
}

/* What has frozen the file is the cause of whatever libhdf5 says after it; and often libhdf5 says nothing. */
static void find_cause(struct store *store)
{
    struct error cause = {.status = TRAJLOG_OK};
    bool unexplained = store->failure.status == TRAJLOG_OK ||
                       (store->failure.status == TRAJLOG_HDF5_ERROR && store->failure.number == 0);
    if (unexplained && store->driver && driver_error(store->driver, &cause) != TRAJLOG_OK) store->failure = cause;
}

static void leave(struct store *store, struct hdf5_quiet *quiet)
{
    find_cause(store);
    hdf5_quiet_end(quiet);
    hdf5_unlock();
}

/* Every function below writes its error to store->failure; this is how it gets out. */
static trajlog_status report(const struct store *store, struct error *error)
{
    if (store->failure.status != TRAJLOG_OK && error && error->status == TRAJLOG_OK) *error = store->failure;
    return store->failure.status;
}

trajlog_status store_fail(struct store *store, const char *what)
{
    return hdf5_error(&store->failure, "%s: cannot %s", store->path, what);
}

trajlog_status store_fail_memory(struct store *store)
{
    return error_set(&store->failure, TRAJLOG_OUT_OF_MEMORY, 0, "%s: out of memory", store->path);
}

trajlog_status store_fail_state(struct store *store, const char *what)
{
    return error_set(&store->failure, TRAJLOG_INVALID_STATE, 0, "%s: %s", store->path, what);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Create
 * ------------------------------------------------------------------------------------------------------------------ */

const struct driver_io *store_io;

/* Chunks go past libhdf5's chunk cache, so it gets no memory; libhdf5 forgets what a dataset was opened with when SWMR
 * starts. */
hid_t store_access(struct driver *driver, struct error *error)
{
    hid_t properties = H5Pcreate(H5P_FILE_ACCESS);
    if (properties < 0 || H5Pset_fclose_degree(properties, H5F_CLOSE_STRONG) < 0 ||
        H5Pset_cache(properties, 0, 1, 0, 1.0) < 0)
        hdf5_error(error, "cannot make access properties");
    else if (driver_use(driver, properties, error) == TRAJLOG_OK) return properties;
    if (properties >= 0) H5Pclose(properties);
    return H5I_INVALID_HID;
}

static trajlog_status create_hdf5(struct store *store, const char *path)
{
    hid_t access = store_access(store->driver, &store->failure), creation = define_untimed(H5P_FILE_CREATE, 0);
    if (access >= 0 && creation >= 0) store->file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
    if (store->file <= 0) store_fail(store, "create the file");
    if (access >= 0) H5Pclose(access);
    if (creation >= 0) H5Pclose(creation);
    if (store->file <= 0) return store->failure.status;

    TRY(attribute_set_int32(store->file, "trajlog_version", TRAJLOG_FORMAT_VERSION, &store->failure));
    if (H5Fflush(store->file, H5F_SCOPE_LOCAL) < 0) return store_fail(store, "flush the file");
    return TRAJLOG_OK;
}

static trajlog_status create(struct store *store)
{
    const char *path = ownership_path(store->ownership);
    TRY(driver_create(&store->driver, path, store_io, &store->failure));
    store->context.driver = store->driver;
    return create_hdf5(store, path);
}

/* An old file stays until the new one can be shown. */
static trajlog_status create_and_show(struct store *store, trajlog_existing existing)
{
    TRY(create(store));
    return driver_show(store->driver, existing == TRAJLOG_REPLACE, &store->failure);
}

/* Of a run that begins anew, the old rows stay until the new file is complete. */
static trajlog_status resume(struct store *store)
{
    if (store->restart_step != FROM_THE_START) return resume_open(store);
    TRY(resume_check_log(store));
    return create(store);
}

/* Ownership has a lock of its own, which a fork takes as it takes HDF5's: so they are never held together, also not
 * where a host has taken HDF5's. */
static trajlog_status take_ownership(struct store *store, const struct store_options *options)
{
    int depth = hdf5_lock_give_up();
    trajlog_status status = ownership_take(&store->ownership, store->path, options->without_lock, &store->failure);
    hdf5_lock_take_back(depth);
    return status;
}

static void release_ownership(struct store *store)
{
    int depth = hdf5_lock_give_up();
    if (store->ownership) ownership_release(&store->ownership);
    hdf5_lock_take_back(depth);
}

static struct store *allocate(const char *path)
{
    struct store *store = calloc(1, sizeof *store);
    if (!store) return NULL;
    store->context.path = store->path = strdup(path);
    if (store->path) return store;
    free(store);
    return NULL;
}

static void discard(struct store *store);

trajlog_status store_create(struct store **store, const char *path, const struct store_options *options,
                            struct error *error)
{
    struct hdf5_quiet quiet;
    *store = NULL;
    TRY(destination_check(path, options->existing, error));
    struct store *made = allocate(path);
    if (!made) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "%s: out of memory", path);
    if (take_ownership(made, options) == TRAJLOG_OK) {
        enter(&quiet);
        create_and_show(made, options->existing);
        leave(made, &quiet);
    }
    trajlog_status status = report(made, error);
    if (status == TRAJLOG_OK) *store = made;
    else discard(made);
    return status;
}

trajlog_status store_resume(struct store **store, const char *path, int64_t step, const struct store_options *options,
                            struct error *error)
{
    struct hdf5_quiet quiet;
    *store = NULL;
    TRY(destination_check_existing(path, error));
    struct store *made = allocate(path);
    if (!made) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "%s: out of memory", path);
    made->resumed = true;
    made->restart_step = step;
    made->accept_additions = options->accept_additions;
    if (take_ownership(made, options) == TRAJLOG_OK) {
        enter(&quiet);
        resume(made);
        leave(made, &quiet);
    }
    trajlog_status status = report(made, error);
    if (status == TRAJLOG_OK) *store = made;
    else discard(made);
    return status;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Define
 * ------------------------------------------------------------------------------------------------------------------ */

static trajlog_status define(struct store *store, const struct schema *schema)
{
    if (store->schema) return store_fail_state(store, "the groups have been defined already");
    if (store->filed) return resume_define(store, schema);
    TRY(define_allocate(store, schema));
    /* Before the groups: on a page before theirs, which commits write last. So it never is ahead of the rows. */
    TRY(attribute_set_int64(store->file, "actual_steps", 0, &store->failure));
    for (size_t i = 0; i < store->group_count; i++)
        if (store->groups[i].model->enabled) TRY(define_group(store, &store->groups[i]));
    TRY(define_bookkeeping(store));
    TRY(define_json(store, store->file, "trajlog_schema", schema_to_json(schema)));
    return define_json(store, store->file, "group_names", schema_group_names_json(schema));
}

trajlog_status store_define(struct store *store, const struct schema *schema, struct error *error)
{
    struct hdf5_quiet quiet;
    if (store->failure.status != TRAJLOG_OK) return report(store, error);
    enter(&quiet);
    define(store, schema);
    leave(store, &quiet);
    return report(store, error);
}

bool store_has_once(const struct store *store, size_t group)
{
    return group < store->group_count && store->groups[group].written;
}

bool store_last_moment(const struct store *store, int64_t *step, double *time)
{
    if (!store->has_kept) return false;
    *step = store->kept_step;
    *time = store->kept_time;
    return true;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Once
 * ------------------------------------------------------------------------------------------------------------------ */

static trajlog_status write_once_field(struct store *store, hid_t location, const struct group *model,
                                       const struct field *field, const void *data)
{
    struct column_layout layout = define_layout(model, field);
    TRY(column_write_once(&store->context, location, &layout, data, &store->failure));
    hid_t dataset = H5Dopen2(location, field->name, H5P_DEFAULT);
    if (dataset < 0) return store_fail(store, "open a dataset that was just written");
    trajlog_status status = define_field_attributes(store, dataset, field);
    H5Dclose(dataset);
    return status;
}

static trajlog_status once_is_written(struct store_group *group)
{
    group->written = true;
    group->rows = 1;
    return TRAJLOG_OK;
}

static trajlog_status write_once(struct store *store, struct store_group *group, hid_t location, int64_t step,
                                 double time, const void *const *fields)
{
    const struct group *model = group->model;
    for (size_t i = 0; i < model->field_count; i++) {
        if (!model->fields[i]->enabled) continue;
        htri_t exists = H5Lexists(location, model->fields[i]->name, H5P_DEFAULT);
        if (exists < 0) return store_fail(store, "look for a dataset");
        if (exists == 0) TRY(write_once_field(store, location, model, model->fields[i], fields[i]));
    }
    if (group->rows == 1) return once_is_written(group); /* in an earlier run, but for fields that were added */
    TRY(attribute_set_int64(location, "step", step, &store->failure));
    TRY(attribute_set_float64(location, "time", time, &store->failure));
    return once_is_written(group);
}

static trajlog_status check_once(struct store *store, size_t group)
{
    if (!store->schema || store->started)
        return store_fail_state(store, "`once` data come between definition and start");
    if (group >= store->group_count || !store->groups[group].model->enabled ||
        !group_is_once(store->groups[group].model) || store->groups[group].written)
        return store_fail_state(store, "no `once` group that waits for its data has this number");
    return TRAJLOG_OK;
}

static trajlog_status open_and_write_once(struct store *store, size_t index, int64_t step, double time,
                                          const void *const *fields)
{
    TRY(check_once(store, index));
    struct store_group *group = &store->groups[index];
    hid_t location = H5Gopen2(store->file, group->model->name, H5P_DEFAULT);
    if (location < 0) return store_fail(store, "open a `once` group");
    trajlog_status status = write_once(store, group, location, step, time, fields);
    H5Gclose(location);
    return status;
}

trajlog_status store_write_once(struct store *store, size_t group, int64_t step, double time, const void *const *fields,
                                struct error *error)
{
    struct hdf5_quiet quiet;
    if (store->failure.status != TRAJLOG_OK) return report(store, error);
    enter(&quiet);
    open_and_write_once(store, group, step, time, fields);
    leave(store, &quiet);
    return report(store, error);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------------------------------------------------------ */

/* Up to which row appending to the group stays in memory. */
static int64_t group_next_write(const struct store_group *group)
{
    int64_t next = column_next_write(&group->step), other = column_next_write(&group->time);
    if (other < next) next = other;
    for (size_t i = 0; i < group->model->field_count; i++) {
        if (group->fields[i].dataset <= 0) continue;
        other = column_next_write(&group->fields[i]);
        if (other < next) next = other;
    }
    return next;
}

static trajlog_status publish(struct store *store)
{
    if (H5Fflush(store->file, H5F_SCOPE_LOCAL) < 0) return store_fail(store, "flush the file");
    /* A file that was begun anew takes the place of rows that may have been synced: after a power loss there is the one
     * or the other. */
    return driver_publish(store->driver, store->resumed ? COMMIT_SYNCED : COMMIT_FLUSHED, &store->failure);
}

/* A file that is resumed has its H5MD tree, which grows by what was added. */
static trajlog_status present(struct store *store)
{
    if (!store->filed) return h5md_present(store->file, store->path, store->schema, &store->failure);
    if (!store->filed_changed) return TRAJLOG_OK;
    return h5md_present(store->file, store->path, store->filed, &store->failure);
}

static trajlog_status flush(struct store *store, bool last);

static trajlog_status start(struct store *store)
{
    if (!store->schema || store->started) return store_fail_state(store, "started twice, or before definition");
    for (size_t i = 0; i < store->group_count; i++) {
        struct store_group *group = &store->groups[i];
        if (group->step.dataset > 0) group->next_write = group_next_write(group);
    }
    TRY(present(store));
    if (H5Fstart_swmr_write(store->file) < 0) return store_fail(store, "start SWMR writing");
    if (store->filed) {
        TRY(resume_take_up(store));
        TRY(flush(store, false));
    }
    TRY(publish(store));
    store->started = true;
    return TRAJLOG_OK;
}

trajlog_status store_start(struct store *store, struct error *error)
{
    struct hdf5_quiet quiet;
    if (store->failure.status != TRAJLOG_OK) return report(store, error);
    enter(&quiet);
    start(store);
    leave(store, &quiet);
    return report(store, error);
}

/* A row that fills no chunk: nothing can fail. */
static void gather_row(struct store *store, struct store_group *group, int64_t step, double time,
                       const void *const *fields)
{
    column_gather(&group->step, &step);
    column_gather(&group->time, &time);
    for (size_t i = 0; i < group->model->field_count; i++)
        if (group->fields[i].dataset > 0) column_gather(&group->fields[i], fields[i]);
    group->rows++;
    store->unsaved = true;
}

/* The number of particles of a frame, where it varies. */
static int64_t particles_of(const struct store_group *group, const void *const *fields)
{
    int64_t particles = 0;
    if (group->capacity > 0) memcpy(&particles, fields[group->count_field], sizeof particles);
    return particles;
}

static trajlog_status append_fields(struct store *store, struct store_group *group, const void *const *fields)
{
    int64_t particles = particles_of(group, fields);
    for (size_t i = 0; i < group->model->field_count; i++) {
        struct column *column = &group->fields[i];
        if (column->dataset <= 0) continue;
        if (column->varies) TRY(column_append_particles(column, fields[i], particles, &store->failure));
        else TRY(column_append(column, fields[i], &store->failure));
    }
    return TRAJLOG_OK;
}

static trajlog_status append_row(struct store *store, struct store_group *group, int64_t step, double time,
                                 const void *const *fields)
{
    TRY(column_append(&group->step, &step, &store->failure));
    TRY(column_append(&group->time, &time, &store->failure));
    TRY(append_fields(store, group, fields));
    group->rows++;
    store->unsaved = true;
    return TRAJLOG_OK;
}

static trajlog_status commit(struct store *store, enum commit_level level);

/* All datasets of particles get wider with the same commit. */
static trajlog_status grow(struct store *store, struct store_group *group, int64_t particles)
{
    group->capacity = capacity_for(group->capacity, particles, group->model->most);
    for (size_t i = 0; i < group->model->field_count; i++) {
        struct column *column = &group->fields[i];
        if (column->dataset > 0 && column->varies) TRY(column_grow(column, group->capacity, &store->failure));
    }
    return TRAJLOG_OK;
}

/* A row that fills a chunk somewhere, or has more particles than any before. */
static trajlog_status append_and_write(struct store *store, struct store_group *group, int64_t step, double time,
                                       const void *const *fields)
{
    struct hdf5_quiet quiet;
    int64_t particles = particles_of(group, fields);
    enter(&quiet);
    if (particles > group->capacity) grow(store, group, particles);
    if (store->failure.status == TRAJLOG_OK) append_row(store, group, step, time, fields);
    group->next_write = group_next_write(group);
    if (store->failure.status == TRAJLOG_OK && store->context.chunks >= MOST_DIRTY_CHUNKS)
        commit(store, COMMIT_FLUSHED);
    leave(store, &quiet);
    return store->failure.status;
}

trajlog_status store_append(struct store *store, size_t group, int64_t step, double time, const void *const *fields,
                            struct error *error)
{
    if (store->failure.status != TRAJLOG_OK) return report(store, error);
    if (!store->started || group >= store->group_count || store->groups[group].step.dataset <= 0) {
        store_fail_state(store, "no group that takes rows now has this number");
        return report(store, error);
    }
    struct store_group *target = &store->groups[group];
    bool in_memory = target->rows + 1 < target->next_write;
    if (in_memory && target->capacity == 0) {
        gather_row(store, target, step, time, fields);
        return TRAJLOG_OK;
    }
    if (in_memory && particles_of(target, fields) <= target->capacity) append_row(store, target, step, time, fields);
    else append_and_write(store, target, step, time, fields);
    return report(store, error);
}

void store_may_borrow(struct store *store)
{
    store->context.may_borrow = true;
}

bool store_borrows(const struct store *store)
{
    return store->context.borrowed > 0;
}

void store_settle(struct store *store)
{
    for (size_t i = 0; i < store->group_count && store->context.borrowed > 0; i++)
        for (size_t k = 0; k < store->groups[i].model->field_count && store->groups[i].step.dataset > 0; k++)
            if (store->groups[i].fields[k].dataset > 0) column_settle(&store->groups[i].fields[k]);
}

trajlog_status store_add_drop(struct store *store, const trajlog_drop *drop, struct error *error)
{
    struct hdf5_quiet quiet;
    int64_t row[3] = {drop->first_step, drop->last_step, drop->frames};
    if (store->failure.status != TRAJLOG_OK) return report(store, error);
    if (!store->started) {
        store_fail_state(store, "frames cannot be dropped before the start");
        return report(store, error);
    }
    enter(&quiet);
    column_append(&store->dropped, row, &store->failure);
    store->unsaved = true;
    leave(store, &quiet);
    return report(store, error);
}

void store_set_last_step(struct store *store, int64_t step)
{
    store->unsaved = store->unsaved || !store->has_steps || step != store->last_step;
    store->last_step = step;
    store->has_steps = true;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Commit
 * ------------------------------------------------------------------------------------------------------------------ */

static trajlog_status commit_column(struct store *store, struct column *column, bool last)
{
    return last ? column_finish(column, &store->failure) : column_commit(column, &store->failure);
}

static trajlog_status commit_group(struct store *store, struct store_group *group, bool last)
{
    TRY(commit_column(store, &group->step, last));
    TRY(commit_column(store, &group->time, last));
    for (size_t i = 0; i < group->model->field_count; i++)
        if (group->fields[i].dataset > 0) TRY(commit_column(store, &group->fields[i], last));
    return TRAJLOG_OK;
}

static trajlog_status commit_last_step(struct store *store)
{
    if (!store->has_steps) return TRAJLOG_OK;
    int64_t steps = store->last_step < INT64_MAX ? store->last_step + 1 : INT64_MAX;
    return attribute_rewrite_int64(store->file, "actual_steps", steps, &store->failure);
}

/* All rows into libhdf5, and out of it into the driver. */
static trajlog_status flush(struct store *store, bool last)
{
    for (size_t i = 0; i < store->group_count; i++)
        if (store->groups[i].step.dataset > 0) TRY(commit_group(store, &store->groups[i], last));
    TRY(commit_column(store, &store->dropped, last));
    TRY(commit_last_step(store));
    if (H5Fflush(store->file, H5F_SCOPE_LOCAL) < 0) return store_fail(store, "flush the file");
    store->context.chunks = 0;
    store->unsaved = false;
    return TRAJLOG_OK;
}

static trajlog_status commit(struct store *store, enum commit_level level)
{
    if (!store->started) return store_fail_state(store, "nothing can be committed before the start");
    bool last = level == COMMIT_LAST;
    if (!store->unsaved && level == COMMIT_FLUSHED) return TRAJLOG_OK;
    if (store->unsaved || last) {
        TRY(flush(store, last));
        store->commits++;
    }
    store->ever_synced = store->ever_synced || level == COMMIT_SYNCED;
    return driver_commit(store->driver, last ? COMMIT_FLUSHED : level, &store->failure);
}

trajlog_status store_commit(struct store *store, enum commit_level level, struct error *error)
{
    struct hdf5_quiet quiet;
    if (store->failure.status != TRAJLOG_OK) return report(store, error);
    enter(&quiet);
    commit(store, level);
    leave(store, &quiet);
    return report(store, error);
}

/* What it counts as is committed behind all that it says. */
static trajlog_status write_checkpoint(struct store *store, size_t group, int64_t step, double time,
                                       const void *const *fields)
{
    const struct group *model = store->checkpoint.model;
    if (!store->started || !model || group >= store->group_count || store->groups[group].model != model)
        return store_fail_state(store, "no group that takes checkpoints now has this number");
    TRY(checkpoint_write(&store->checkpoint, step, time, fields, &store->failure));
    store->unsaved = true;
    TRY(commit(store, COMMIT_SYNCED));
    TRY(checkpoint_confirm(&store->checkpoint, &store->failure));
    store->unsaved = true;
    return commit(store, COMMIT_SYNCED);
}

trajlog_status store_write_checkpoint(struct store *store, size_t group, int64_t step, double time,
                                      const void *const *fields, struct error *error)
{
    struct hdf5_quiet quiet;
    if (store->failure.status != TRAJLOG_OK) return report(store, error);
    enter(&quiet);
    write_checkpoint(store, group, step, time, fields);
    leave(store, &quiet);
    return report(store, error);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Close
 * ------------------------------------------------------------------------------------------------------------------ */

static void close_columns(struct store *store)
{
    for (size_t i = 0; i < store->group_count; i++) {
        struct store_group *group = &store->groups[i];
        column_close(&group->step);
        column_close(&group->time);
        for (size_t j = 0; j < group->model->field_count; j++) column_close(&group->fields[j]);
        free(group->fields);
    }
    column_close(&store->dropped);
    checkpoint_close(&store->checkpoint);
    store->group_count = 0;
}

/* Without this, closing leaves the file as a kill would: at its last commit; a resumed one that was not started, as it
 * was. */
static trajlog_status finish(struct store *store)
{
    if (store->resumed && !store->started) return TRAJLOG_OK;
    enum commit_level level = store->ever_synced ? COMMIT_SYNCED : COMMIT_FLUSHED;
    if (store->started) TRY(commit(store, COMMIT_LAST));
    else TRY(publish(store));
    return driver_finish(store->driver, level, &store->failure);
}

static void close_file(struct store *store)
{
    pipeline_free(store->context.pipeline);
    store->context.pipeline = NULL;
    close_columns(store);
    if (store->file > 0 && H5Fclose(store->file) < 0) store_fail(store, "close the file");
    store->file = 0;
    find_cause(store);
    driver_destroy(store->driver);
    store->driver = NULL;
}

/* Closes and frees whatever there is of it. */
static void discard(struct store *store)
{
    struct hdf5_quiet quiet;
    enter(&quiet);
    close_file(store);
    leave(store, &quiet);
    release_ownership(store);
    encoder_free(store->context.encoder);
    schema_free(store->filed);
    free(store->groups);
    free(store->path);
    free(store);
}

trajlog_status store_close(struct store *store, struct error *error)
{
    struct hdf5_quiet quiet;
    if (!store) return TRAJLOG_OK;
    enter(&quiet);
    if (store->failure.status == TRAJLOG_OK) finish(store);
    close_file(store);
    leave(store, &quiet);
    trajlog_status status = report(store, error);
    discard(store);
    return status;
}

void store_abandon(struct store *store)
{
    if (!store) return;
    pipeline_forget(store->context.pipeline);
    store->context.pipeline = NULL;
    discard(store);
}

trajlog_status store_set_helpers(struct store *store, const struct helpers *helpers, struct error *error)
{
    return pipeline_new(&store->context.pipeline, helpers, error);
}

int64_t store_rows(const struct store *store, size_t group)
{
    return group < store->group_count ? store->groups[group].rows : 0;
}

int64_t store_commits(const struct store *store)
{
    return store->commits;
}
