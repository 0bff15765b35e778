/* What happens to a log when its process forks or exits, or unloads the library, before trajlog_close. Knows all logs
 * that there are. */
#ifndef WRITE_LIFE_H
#define WRITE_LIFE_H

#include <pthread.h>
#include <stdbool.h>

#include "model/status.h"

struct worker;

enum life_state {
    LIFE_OPEN,
    LIFE_CLOSING, /* in trajlog_close */
    LIFE_ENDED,   /* its file is closed, as the process exits; trajlog_close has only to free it */
    LIFE_LOST,    /* likewise, but amid a call on it, which it is left to for good */
    LIFE_ORPHANED /* the parent process's */
};

/* A log's part. The mutex of life.c protects all but the last two. */
struct life {
    trajlog_writer *next;
    enum life_state state;
    struct worker *worker;    /* the log's, if it has one */
    _Atomic pthread_t thread; /* the last one in a call on the log */
    bool in_call;             /* it still is; only looked at by the thread itself */
};

/* Takes in a log that was made; `has_file`: it is to be closed at exit. OUT_OF_MEMORY. */
trajlog_status life_begin(trajlog_writer *log, bool has_file, struct error *error);
/* The log has a worker now. */
void life_set_worker(trajlog_writer *log, struct worker *worker);

/* Around calls that take time, or call the caller back. */
void life_enter(trajlog_writer *log);
void life_leave(trajlog_writer *log);

/* For trajlog_close: what there is to be closed. LIFE_OPEN becomes LIFE_CLOSING; of the others, only the log's memory is
 * there to be freed, but for LIFE_LOST. */
enum life_state life_close(trajlog_writer *log);
/* And then, unless it is lost: nobody knows the log any more. */
void life_end(trajlog_writer *log);

#endif
