/* Threads that help with tasks, such as encoding or decoding chunks. They see only tasks: no file, no libhdf5, no queue. */
#ifndef STORE_THREADS_H
#define STORE_THREADS_H

#include "model/status.h"
#include "store/helpers.h"

struct threads;

/* Starts so many threads, which block all signals. `name`: static, what debuggers and top show, at most 15 letters.
 * OUT_OF_MEMORY, or the errno with which the system refused one. */
trajlog_status threads_start(struct threads **threads, int count, const char *name, struct error *error);
struct helpers threads_helpers(struct threads *threads);

/* Ends the threads, which have no task any more, and frees. NULL is OK. */
void threads_stop(struct threads *threads);
/* In a forked child, that has no such threads: only the memory. */
void threads_forget(struct threads *threads);

#endif
