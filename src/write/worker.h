/* The worker: a thread that takes messages out of the queue and delivers them. */
#ifndef WRITE_WORKER_H
#define WRITE_WORKER_H

#include "write/delivery.h"
#include "write/queue.h"

struct worker;

/* Starts the thread. `delivery` is the worker's until worker_stop, but for delivery_has_failed; `queue`'s consumer is
 * the worker. OUT_OF_MEMORY, or the errno with which the system refused a thread. */
trajlog_status worker_start(struct worker **worker, struct queue *queue, struct delivery *delivery,
                            struct error *error);

/* Producer: returns when everything published before has been delivered and committed, or discarded after an error.
 * Carries `drop`, and `step` as the last one logged. */
void worker_flush(struct worker *worker, int64_t step, const trajlog_drop *drop);

/* The same, and then ends the thread and frees the worker. Always returns, unless the sink does not. NULL is OK. */
void worker_stop(struct worker *worker, int64_t step, const trajlog_drop *drop);

#endif
