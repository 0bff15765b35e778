/* What is behind trajlog_writer, trajlog_group and trajlog_field. Knows everything of this room; its functions are
 * spread over writer.c (create, resume, close, errors), declare.c, start.c (from declarations to a running log), log.c (a
 * step), request.c (flush, sync, checkpoint), statistics.c; life.c calls those that have to do with forks and exits.
 *
 * Errors: a function that fails puts its error into log->pending and returns the status. At the public face the error
 * then either sticks to the log (writer_stick) or was only this call's (writer_refuse). */
#ifndef WRITE_WRITER_H
#define WRITE_WRITER_H

#include "model/config.h"
#include "store/file.h"
#include "store/threads.h"
#include "write/life.h"
#include "write/particles.h"
#include "write/view.h"
#include "write/worker.h"

/* The latest step of a group that was not due, in case that it turns out to be the last. Two, so that a step that is
 * refused in the middle of copying leaves the one before. */
struct held_frame {
    void *sections[2]; /* NULL: the group holds nothing */
    int latest;
    bool filled;
    int64_t step;
};

struct trajlog_field {
    trajlog_group *group;
    struct field *model;
    struct view view;
};

struct trajlog_group {
    trajlog_writer *log;
    struct group *model;
    uint32_t index;         /* in the schema */
    trajlog_field **fields; /* as the model's */
    struct schedule schedule;
    struct particles_view particles;
    struct held_frame held;
    void *once; /* a `once` group's fields, from start to the file */
};

/* One step, as trajlog_log gets it. */
struct moment {
    int64_t step;
    double time;
    const void *state;
    int64_t clock; /* clock_now(), where anything needs it */
};

struct progress_settings {
    trajlog_progress_callback callback;
    void *context;
    int64_t interval, next; /* nanoseconds; clock_now() of the next report */
    int64_t from_step;      /* the first one that this process logged */
};

/* Where a log was taken up. */
struct resumption {
    bool resumed;
    int64_t step;
    bool continues; /* the file has a run already, that began with the log's first_step: this is not its first step */
};

/* The first step that was refused for its data, and not logged since. */
struct loss {
    struct error error;
    int64_t step;
};

struct trajlog_writer {
    struct counters counters;
    struct life life;

    /* All that a step on which nothing is due looks at. */
    int64_t step_floor; /* a step must exceed it: the last one, the restart step, or a checkpoint's */
    int64_t last_step;  /* logged; INT64_MIN: none */
    double last_time;   /* of that, of the last row kept, or of a checkpoint */
    int64_t skip_until; /* nothing is to be done for steps before this one */
    bool failed;        /* `error` is set */

    bool prepared; /* the schema is complete, and what a run needs is allocated */
    bool complete; /* the schema is complete: no declaration is accepted any more */
    bool defined;  /* the store knows them */
    bool started;  /* the file has its groups */
    bool running;  /* and steps are being logged */
    bool needs_clock;
    int64_t first_step, first_clock;
    int64_t total_steps;
    struct progress_settings progress;
    struct resumption resumption;
    struct loss loss;

    struct frame_layout layout;
    trajlog_group **timed; /* enabled, with a time axis */
    size_t timed_count;
    uint32_t *due; /* [timed_count]: groups that are due at this step, by their index in the schema */
    size_t due_count;
    bool *is_due;         /* [timed_count] */
    trajlog_drop dropped; /* not yet told to the worker */

    struct delivery delivery;
    struct queue *queue;        /* NULL in synchronous mode */
    struct worker *worker;      /* likewise */
    struct threads *encoders;   /* NULL: none */
    struct message *only_frame; /* synchronous mode's */

    char *path;
    struct schema *schema;
    struct config *config;
    struct settings settings;
    trajlog_group **groups; /* as the schema's */
    struct store *store;

    trajlog_group *checkpoint; /* NULL: none was added */

    struct error error;   /* sticks */
    struct error refusal; /* of the latest call that was refused */
    struct error pending; /* of the call that is under way */
};

/* writer.c */
trajlog_status writer_stick(trajlog_writer *log);
trajlog_status writer_refuse(trajlog_writer *log);
/* The sticking error, if there is one: the caller's own, or the worker's. */
trajlog_status writer_sticking(trajlog_writer *log);
/* Refuses a call that would have to wait for the worker, in a thread that holds the HDF5 lock. */
trajlog_status writer_refuse_holder(trajlog_writer *log, const char *call);
/* All of closing but the freeing. */
void writer_end(trajlog_writer *log);
/* The same for a log that a call is under way on: what was accepted is committed by the worker, then the file closed. */
void writer_cut(trajlog_writer *log, struct worker *worker);
/* For calls on NULL. */
trajlog_status refuse_null(const char *call, const char *what);
trajlog_status refuse_no_log(const char *call);

/* start.c: in this order; the first two do nothing when repeated. Nothing is done to the file before writer_define, so
 * that a first step that is refused leaves it as it was. */
trajlog_status writer_complete_schema(trajlog_writer *log); /* applies the configuration */
trajlog_status writer_check_filters(const trajlog_field *field);
trajlog_status writer_prepare(trajlog_writer *log); /* checks views, allocates; compares with a resumed file */
trajlog_status writer_copy_once(trajlog_writer *log, const struct moment *moment);
void writer_continue(trajlog_writer *log, const struct moment *moment);         /* schedules of a resumed run */
trajlog_status writer_define(trajlog_writer *log, const struct moment *moment); /* NULL: there is no `once` data */
trajlog_status writer_start(trajlog_writer *log);
void writer_free_run(trajlog_writer *log);

/* A group has more particles than there is room for: rare, and may wait until the queue is empty. */
trajlog_status writer_make_room(trajlog_group *group);

/* log.c */
/* How many particles there are now, and in which order; before group_copy. */
trajlog_status group_look(trajlog_group *group);
trajlog_status group_copy(trajlog_group *group, void *section, const void *state);
/* Whether step and time may come now; and what is wrong with them, as a refusal. */
bool writer_accepts(const trajlog_writer *log, int64_t step, double time);
trajlog_status writer_refuse_moment(trajlog_writer *log, int64_t step, double time);
/* At close, while this thread does not hold the HDF5 lock: the rows that trajlog_with_last asks for. */
void writer_log_last(trajlog_writer *log);

/* statistics.c */
void writer_report_progress(trajlog_writer *log, int64_t clock);

#endif
