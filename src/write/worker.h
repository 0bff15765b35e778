/* The worker: a thread that takes messages out of the queue and delivers them. */
#ifndef WRITE_WORKER_H
#define WRITE_WORKER_H

#include "write/delivery.h"
#include "write/queue.h"

struct worker;

#define ANY_CPU (-1)

/* Starts the thread, on this CPU or on any. `delivery` is the worker's until worker_stop, but for delivery_has_failed; `queue`'s consumer is
 * the worker. OUT_OF_MEMORY, or the errno with which the system refused a thread;
 * INVALID_ARGUMENT: it has no such CPU, or does not let us run there. */
trajlog_status worker_start(struct worker **worker, struct queue *queue, struct delivery *delivery, int cpu,
                            struct error *error);

/* Producer: asks for a flush, a sync or a checkpoint, and returns when everything published before has been delivered and
 * that was done, or all was discarded after an error. Carries `drop`; `step` and `time` as in struct message. */
void worker_ask(struct worker *worker, enum message_kind kind, int64_t step, double time, const trajlog_drop *drop);

/* Flushes, and then ends the thread and frees the worker. Always returns, unless the sink does not. NULL is OK. */
void worker_stop(struct worker *worker, int64_t step, const trajlog_drop *drop);

/* For a process that exits, from any thread: when what was published before is delivered and committed, the thread ends,
 * the delivery has failed, and nothing is freed. The producer may be amid a call, which may then wait for ever. */
void worker_cut(struct worker *worker);
/* In a forked child, that has no such thread: only the memory. */
void worker_forget(struct worker *worker);

#endif
