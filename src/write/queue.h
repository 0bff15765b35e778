/* The bounded queue between the caller's thread (the producer) and the worker (the consumer): one of each. A ring of
 * bytes in which every message is contiguous. Knows nothing of what is in the messages behind their header. */
#ifndef WRITE_QUEUE_H
#define WRITE_QUEUE_H

#include <stdbool.h>

#include "model/status.h"
#include "write/counters.h"
#include "write/message.h"

struct queue;

struct queue_bounds {
    size_t bytes;      /* of all messages in the queue; a multiple of MESSAGE_ALIGNMENT, at least `largest` */
    size_t frames;     /* in the queue, at least 1; requests do not count */
    size_t largest;    /* the largest message; a multiple of MESSAGE_ALIGNMENT */
    bool begins_small; /* with what has memory; the rest is for queue_reserve_wait, and from then on for all */
};

/* A producer that outruns the consumer for long goes on with so much of the queue, or with four of the largest messages; a
 * queue that begins small does so with at least as much, or two. */
#define QUEUE_NARROW ((size_t)8 << 20)
/* So many nanoseconds the producer waits for the consumer, once, before it takes the rest. */
#define QUEUE_PATIENCE INT64_C(20000000)

/* Allocates bytes + largest of memory. `counters` gets the high-water marks. OUT_OF_MEMORY. */
trajlog_status queue_new(struct queue **queue, const struct queue_bounds *bounds, struct counters *counters,
                         struct error *error);
void queue_free(struct queue *queue);
/* The same in a forked child, where the worker's copy waits for ever: only the memory. */
void queue_forget(struct queue *queue);

/* Producer: room for a message of `bytes` (at most `largest`, a multiple of MESSAGE_ALIGNMENT), with `bytes` and `kind`
 * filled in; NULL if there is no room now. The consumer sees nothing of it before queue_publish; a message that is not
 * published is simply forgotten, and its place is given out again. An empty queue always has room. */
struct message *queue_reserve(struct queue *queue, size_t bytes, enum message_kind kind);

/* The same, waits until there is room; NULL if clock_now() has passed `deadline` (INT64_MAX: none) and there is not. A queue
 * that began small is given its rest after QUEUE_PATIENCE, or at the deadline if that comes first. */
struct message *queue_reserve_wait(struct queue *queue, size_t bytes, enum message_kind kind, int64_t deadline);

/* Makes the reserved message the consumer's. Requests wake it at once; for frames it is woken when there are many. */
void queue_publish(struct queue *queue);

/* Producer, which has reserved nothing: waits until the consumer has released everything, and gives the queue larger bounds;
 * `frames` stays as it is. OUT_OF_MEMORY. */
trajlog_status queue_enlarge(struct queue *queue, const struct queue_bounds *bounds, struct error *error);
bool queue_is_empty(struct queue *queue);

/* Producer: how full what it uses of the queue is, 0 to 1, by bytes or frames, whichever is more. */
double queue_fill(const struct queue *queue);

/* Consumer: the oldest message that was not passed; when there is none, gives memory to a part of the ring that has none yet, or naps for at
 * most `nap` nanoseconds; then NULL if none came. */
const struct message *queue_next(struct queue *queue, int64_t nap);

/* Consumer: done with this message, and those passed before; their room is the producer's again, at the latest with some
 * more, and at once if there are none. */
void queue_release(struct queue *queue);

/* Consumer: goes on to the next message, but keeps this one as it is; false, and nothing happens, if those that are kept
 * would fill more than a part of the queue. queue_release_passed: done with all of them. */
bool queue_pass(struct queue *queue);
void queue_release_passed(struct queue *queue);

/* How many bytes of messages were published since the queue was made, any thread; read, consumer. */
uint64_t queue_published(const struct queue *queue);
uint64_t queue_read(const struct queue *queue);

/* Ends the consumer's nap. Any thread. */
void queue_wake(struct queue *queue);

#endif
