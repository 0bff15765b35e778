/* Positions count bytes since the beginning and never wrap; offsets are those of the ring. A message that begins before
 * the end of the ring may run over it: behind the ring lies room for the largest message, which no other message can be
 * using, since the next one to run over begins a whole ring later. So no message is ever split, nothing is lost to
 * padding, and an empty queue has room for the largest message at every offset.
 *
 * Memory that was used a moment ago is in the caches, and both sides are faster there; they also leave the simulation
 * more of them. So a producer that finds the queue empty begins at the front again, and the ring's memory in use is no
 * more than what the consumer was ever behind. Where the producer outruns the consumer for long, the queue is full
 * whatever it holds; so then it goes on with a part of the ring, until it finds the queue empty. What the consumer has to
 * know of it, it learns with the message that it is true for first.
 *
 * New memory is slow: the system has to find and to clear it, and a virtual machine's host may have to do so as well. In
 * a flood that begins with the run, waiting a moment for the consumer gives memory that is warm, and costs nothing, as the
 * consumer is what everything waits for. So as long as the ring lacks pages, a queue that begins small uses the front of
 * it alone; when a moment's patience does not help, the producer leaps over it into the rest, and is asked for none again.
 *
 * In the common case the producer only stores `head` and the consumer only stores `tail`: no lock, no system call. The
 * consumer naps for a limited time when it finds nothing, so that the producer need not wake it for each frame; who has
 * to wait for the other for sure does so under the mutex. */
#include "write/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "write/clock.h"

/* The producer learns of released messages together, when there are that many bytes of them, or this share of the queue, or
 * when the consumer sees no more: its line is not taken from it for each. */
#define MOST_UNTOLD  ((size_t)1 << 16)
#define UNTOLD_SHARE 16
#define KEPT_SHARE   4 /* of the queue, that messages which were read may fill */

/* Looks whether the queue is empty come after this share of it from the front, and then after every such share more. */
#define REACH_SHARE 64
#define LOOK_SHARE  1024
/* A queue is swamped if so many times what it holds went through it, and there was never less in it than this share. */
#define SWAMPED_TIMES 2
#define BUSY_SHARE    16

/* A large ring has large pages, where the system has them. */
#define LARGE_PAGE ((size_t)1 << 21)

struct ring {
    unsigned char *memory;
    size_t size;            /* of the memory */
    _Atomic size_t touched; /* from here on it may lack pages */
};

struct queue {
    struct ring ring; /* replaced under the mutex, while there are no messages; under it the consumer makes pages */
    struct queue_bounds bounds;
    struct counters *counters;

    /* The producer's line. */
    alignas(CACHE_LINE) _Atomic uint64_t head; /* position behind the newest message */
    uint64_t head_frames;
    size_t head_offset;
    size_t reserved; /* bytes of the message that is being filled */
    enum message_kind reserved_kind;
    uint64_t next_look, busy_since; /* positions: where to look next whether it is empty; where it last was nearly so */
    uint64_t seen_tail, seen_tail_frames; /* as of the last look: the true ones may be further */

    size_t span; /* of the ring, in use: bounds.bytes or less */
    bool is_small;

    /* The producer changes these before it publishes the message that they are about; the consumer looks for each. */
    alignas(CACHE_LINE) _Atomic uint64_t front; /* position of the latest message that began at the front */
    size_t front_span;                          /* of the ring since then */
    _Atomic uint64_t leap; /* position of the message, after that one, that began behind the part */
    size_t leap_offset;    /* ... in use until then; all of the ring is in use since */

    /* The consumer's two lines: what it tells the producer, and what is its own. */
    alignas(CACHE_LINE) _Atomic uint64_t tail; /* behind it the producer's room begins */
    _Atomic uint64_t tail_frames;
    alignas(CACHE_LINE) uint64_t next, next_frames; /* position of the oldest message that was not read */
    uint64_t done, done_frames;                     /* at or before it: what was read behind this is kept */
    size_t next_offset, next_span;
    uint64_t seen_head;
    size_t most_untold; /* bytes that are released before the producer is told */
    uint64_t most_untold_frames;

    /* The mutex protects the two waits, and `wanted`; the flags are also read without it. */
    alignas(CACHE_LINE) pthread_mutex_t mutex;
    pthread_cond_t work; /* the consumer waits for messages */
    pthread_cond_t room; /* the producer waits for room */
    _Atomic bool consumer_naps;
    _Atomic bool producer_waits;
    size_t wanted;
};

static bool initialise_waits(struct queue *queue)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) return false;
    bool made = false;
    if (pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) != 0) goto out;
    if (pthread_mutex_init(&queue->mutex, NULL) != 0) goto out;
    if (pthread_cond_init(&queue->work, &attributes) != 0) goto no_work;
    if (pthread_cond_init(&queue->room, &attributes) != 0) goto no_room;
    made = true;
    goto out;
no_room:
    pthread_cond_destroy(&queue->work);
no_work:
    pthread_mutex_destroy(&queue->mutex);
out:
    pthread_condattr_destroy(&attributes);
    return made;
}

/* Where the ring has pages already, frames do not pay for page faults. They are made as with a write, but nothing is
 * written, so that the producer may be at work there. False: the system does not do this. */
static bool touch_next_page(struct ring *ring)
{
    size_t touched = ring->touched;
    size_t left = ring->size - touched, size = left < LARGE_PAGE ? left : LARGE_PAGE;
#ifdef MADV_POPULATE_WRITE
    if (madvise(ring->memory + touched, size, MADV_POPULATE_WRITE) == 0) {
        atomic_store_explicit(&ring->touched, touched + size, memory_order_relaxed);
        return true;
    }
#endif
    return false;
}

/* All of it takes milliseconds: the first frames get theirs now, the rest comes when the consumer has nothing to do. */
static trajlog_status make_ring(struct ring *ring, size_t bytes)
{
    size_t alignment = bytes >= LARGE_PAGE ? LARGE_PAGE : MESSAGE_ALIGNMENT;
    if (bytes > SIZE_MAX - alignment) return TRAJLOG_OUT_OF_MEMORY;
    ring->size = (bytes + alignment - 1) / alignment * alignment;
    ring->memory = aligned_alloc(alignment, ring->size);
    if (ring->memory == NULL) return TRAJLOG_OUT_OF_MEMORY;
    if (alignment == LARGE_PAGE) {
        (void)madvise(ring->memory, ring->size, MADV_HUGEPAGE); /* else it has small ones */
        if (touch_next_page(ring)) return TRAJLOG_OK;
    }
    memset(ring->memory, 0, ring->size);
    ring->touched = ring->size;
    return TRAJLOG_OK;
}

static struct queue *make_queue(const struct queue_bounds *bounds)
{
    size_t bytes;
    struct queue *made = aligned_alloc(alignof(struct queue), sizeof *made);
    if (made == NULL) return NULL;
    memset(made, 0, sizeof *made);
    if (!__builtin_add_overflow(bounds->bytes, bounds->largest, &bytes) &&
        make_ring(&made->ring, bytes) == TRAJLOG_OK && initialise_waits(made))
        return made;
    queue_forget(made);
    return NULL;
}

void queue_free(struct queue *queue)
{
    if (queue == NULL) return;
    pthread_cond_destroy(&queue->room);
    pthread_cond_destroy(&queue->work);
    pthread_mutex_destroy(&queue->mutex);
    queue_forget(queue);
}

void queue_forget(struct queue *queue)
{
    if (queue == NULL) return;
    free(queue->ring.memory);
    free(queue);
}

/* Producer. */

static uint64_t head_of(const struct queue *queue)
{
    return atomic_load_explicit(&queue->head, memory_order_relaxed);
}

static void look_at_tail(struct queue *queue)
{
    queue->seen_tail = atomic_load_explicit(&queue->tail, memory_order_seq_cst);
    queue->seen_tail_frames = atomic_load_explicit(&queue->tail_frames, memory_order_relaxed);
}

static size_t used_bytes(const struct queue *queue)
{
    return (size_t)(head_of(queue) - queue->seen_tail);
}

static size_t used_frames(const struct queue *queue)
{
    return (size_t)(queue->head_frames - queue->seen_tail_frames);
}

/* The producer has leapt, and come to the end of the ring, before the consumer left the front. */
static bool is_front_in_use(const struct queue *queue)
{
    uint64_t leap = atomic_load_explicit(&queue->leap, memory_order_relaxed);
    return queue->seen_tail < leap && head_of(queue) - leap >= queue->span - queue->leap_offset;
}

static bool has_room(const struct queue *queue, size_t bytes, enum message_kind kind)
{
    if (kind == MESSAGE_FRAME && used_frames(queue) >= queue->bounds.frames) return false;
    return queue->span - used_bytes(queue) >= bytes && !is_front_in_use(queue);
}

/* There is no message. */
static void begin_at_front(struct queue *queue, size_t span)
{
    queue->head_offset = 0;
    queue->busy_since = head_of(queue);
    queue->next_look = head_of(queue) + queue->bounds.bytes / REACH_SHARE;
    queue->span = queue->front_span = span;
    queue->is_small = false;
    atomic_store_explicit(&queue->front, head_of(queue), memory_order_relaxed);
}

/* What a queue that begins small uses: as much as has pages, and some more if that is little. */
static size_t small_span(const struct queue *queue)
{
    const struct queue_bounds *bounds = &queue->bounds;
    size_t least = 2 * bounds->largest > QUEUE_NARROW ? 2 * bounds->largest : QUEUE_NARROW;
    size_t touched = atomic_load_explicit(&queue->ring.touched, memory_order_relaxed);
    size_t covered = touched > bounds->largest ? touched - bounds->largest : 0; /* messages run over the end */
    return covered > least ? covered / MESSAGE_ALIGNMENT * MESSAGE_ALIGNMENT : least;
}

/* The same, with all of the ring, or with a part if behind that and its longest message there is room for one more. */
static void begin_anew(struct queue *queue)
{
    const struct queue_bounds *bounds = &queue->bounds;
    size_t span = bounds->bytes, small = bounds->begins_small ? small_span(queue) : span;
    bool is_small = small < span && 2 * bounds->largest <= span - small;
    begin_at_front(queue, is_small ? small : span);
    queue->is_small = is_small;
}

/* Where the part in use ends, also the longest message that began in it. What follows begins there. From now on the queue
 * begins with all of it: a producer's patience is asked for once. */
static void leap_into_the_rest(struct queue *queue)
{
    queue->bounds.begins_small = false;
    queue->head_offset = queue->leap_offset = queue->span + queue->bounds.largest;
    queue->span = queue->bounds.bytes;
    queue->is_small = false;
    atomic_store_explicit(&queue->leap, head_of(queue), memory_order_relaxed);
}

trajlog_status queue_new(struct queue **queue, const struct queue_bounds *bounds, struct counters *counters,
                         struct error *error)
{
    struct queue *made = *queue = make_queue(bounds);
    if (made == NULL)
        return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0,
                         "no memory for a queue of %zu bytes and the largest frame (%zu)", bounds->bytes,
                         bounds->largest);
    made->bounds = *bounds;
    begin_anew(made);
    made->most_untold = bounds->bytes / UNTOLD_SHARE < MOST_UNTOLD ? bounds->bytes / UNTOLD_SHARE : MOST_UNTOLD;
    made->most_untold_frames = bounds->frames / UNTOLD_SHARE;
    made->counters = counters;
    counter_set(&counters->queue_bytes, (int64_t)bounds->bytes);
    return TRAJLOG_OK;
}

static void look_whether_empty(struct queue *queue)
{
    look_at_tail(queue);
    if (used_bytes(queue) == 0) {
        begin_anew(queue);
        return;
    }
    queue->next_look = head_of(queue) + queue->bounds.bytes / LOOK_SHARE;
    if (used_bytes(queue) <= queue->bounds.bytes / BUSY_SHARE) queue->busy_since = head_of(queue);
}

static size_t narrow_span(const struct queue *queue)
{
    size_t frames = 4 * queue->bounds.largest;
    return frames > QUEUE_NARROW ? frames : QUEUE_NARROW;
}

/* Then what waits is much the same whether the queue is large or small. */
static bool is_swamped(const struct queue *queue)
{
    size_t bytes = queue->bounds.bytes;
    return queue->span == bytes && narrow_span(queue) <= bytes / 2 && used_bytes(queue) > bytes / 2 &&
           (head_of(queue) - queue->busy_since) / SWAMPED_TIMES >= bytes;
}

static struct message *take_room(struct queue *queue, size_t bytes, enum message_kind kind)
{
    struct message *message = (struct message *)(void *)(queue->ring.memory + queue->head_offset);
    queue->reserved = message->bytes = bytes;
    queue->reserved_kind = message->kind = kind;
    return message;
}

struct message *queue_reserve(struct queue *queue, size_t bytes, enum message_kind kind)
{
    if (head_of(queue) >= queue->next_look) look_whether_empty(queue);
    if (!has_room(queue, bytes, kind)) {
        look_at_tail(queue);
        if (!has_room(queue, bytes, kind)) return NULL;
    }
    return take_room(queue, bytes, kind);
}

static void wake_consumer(struct queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    if (atomic_load_explicit(&queue->consumer_naps, memory_order_relaxed)) {
        atomic_store_explicit(&queue->consumer_naps, false, memory_order_relaxed);
        pthread_cond_signal(&queue->work);
    }
    pthread_mutex_unlock(&queue->mutex);
}

static bool wait_for_room(struct queue *queue, size_t bytes, enum message_kind kind, int64_t deadline)
{
    wake_consumer(queue);
    pthread_mutex_lock(&queue->mutex);
    queue->wanted = bytes;
    /* The flag, then the look; the consumer: the tail, then the flag. One of the two sees the other's. */
    atomic_store_explicit(&queue->producer_waits, true, memory_order_seq_cst);
    const struct timespec limit = clock_timespec(deadline);
    int waited = 0;
    for (;;) {
        look_at_tail(queue);
        if (waited != 0 || has_room(queue, bytes, kind)) break;
        if (deadline == INT64_MAX) pthread_cond_wait(&queue->room, &queue->mutex);
        else waited = pthread_cond_timedwait(&queue->room, &queue->mutex, &limit);
    }
    atomic_store_explicit(&queue->producer_waits, false, memory_order_relaxed);
    pthread_mutex_unlock(&queue->mutex);
    return has_room(queue, bytes, kind);
}

/* Returns whether there is room now. */
static bool be_patient(struct queue *queue, size_t bytes, enum message_kind kind, int64_t deadline)
{
    int64_t patience = clock_now() + QUEUE_PATIENCE;
    if (wait_for_room(queue, bytes, kind, patience < deadline ? patience : deadline)) return true;
    leap_into_the_rest(queue);
    return has_room(queue, bytes, kind);
}

static bool wait_with_all_of_it(struct queue *queue, size_t bytes, enum message_kind kind, int64_t deadline)
{
    const bool narrows = kind == MESSAGE_FRAME && is_swamped(queue);
    (void)wait_for_room(queue, narrows ? queue->span : bytes, kind, deadline);
    if (narrows && used_bytes(queue) == 0) begin_at_front(queue, narrow_span(queue));
    return has_room(queue, bytes, kind);
}

struct message *queue_reserve_wait(struct queue *queue, size_t bytes, enum message_kind kind, int64_t deadline)
{
    struct message *message = queue_reserve(queue, bytes, kind);
    if (message != NULL) return message;
    bool found = queue->is_small && be_patient(queue, bytes, kind, deadline);
    found = found || wait_with_all_of_it(queue, bytes, kind, deadline);
    return found ? take_room(queue, bytes, kind) : NULL;
}

bool queue_is_empty(struct queue *queue)
{
    look_at_tail(queue);
    return used_bytes(queue) == 0;
}

/* The consumer looks at the ring and its bounds where it has a message, and otherwise under the mutex. */
static void replace_ring(struct queue *queue, const struct ring *ring, const struct queue_bounds *bounds)
{
    pthread_mutex_lock(&queue->mutex);
    free(queue->ring.memory);
    queue->ring = *ring;
    queue->bounds.bytes = bounds->bytes;
    queue->bounds.largest = bounds->largest;
    pthread_mutex_unlock(&queue->mutex);
    counter_set(&queue->counters->queue_bytes, (int64_t)bounds->bytes);
}

trajlog_status queue_enlarge(struct queue *queue, const struct queue_bounds *bounds, struct error *error)
{
    size_t bytes;
    struct ring ring = {.memory = NULL};
    if (bounds->bytes <= queue->bounds.bytes && bounds->largest <= queue->bounds.largest) return TRAJLOG_OK;
    if (__builtin_add_overflow(bounds->bytes, bounds->largest, &bytes) || make_ring(&ring, bytes) != TRAJLOG_OK)
        return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0,
                         "no memory for a queue of %zu bytes and the largest frame (%zu)", bounds->bytes,
                         bounds->largest);
    /* There is as much room as there is at all when there is nothing else. */
    (void)wait_for_room(queue, queue->span, MESSAGE_FLUSH, INT64_MAX);
    replace_ring(queue, &ring, bounds);
    begin_anew(queue);
    return TRAJLOG_OK;
}

/* What was seen of the tail may be old: it is looked at again only before something is made of it. */
static void note_high_water(struct queue *queue)
{
    struct counters *counters = queue->counters;
    if ((int64_t)used_bytes(queue) <= counter_get(&counters->queue_high_bytes) &&
        (int64_t)used_frames(queue) <= counter_get(&counters->queue_high_frames))
        return;
    look_at_tail(queue);
    if ((int64_t)used_bytes(queue) > counter_get(&counters->queue_high_bytes))
        counter_set(&counters->queue_high_bytes, (int64_t)used_bytes(queue));
    if ((int64_t)used_frames(queue) > counter_get(&counters->queue_high_frames))
        counter_set(&counters->queue_high_frames, (int64_t)used_frames(queue));
}

static bool is_third_full(const struct queue *queue)
{
    return used_bytes(queue) > queue->span / 3 || used_frames(queue) > queue->bounds.frames / 3;
}

void queue_publish(struct queue *queue)
{
    queue->head_offset += queue->reserved;
    if (queue->head_offset >= queue->span) queue->head_offset -= queue->span;
    if (queue->reserved_kind == MESSAGE_FRAME) queue->head_frames++;
    atomic_store_explicit(&queue->head, head_of(queue) + queue->reserved, memory_order_release);
    note_high_water(queue);
    if (queue->reserved_kind != MESSAGE_FRAME) {
        wake_consumer(queue);
        return;
    }
    if (!is_third_full(queue)) return;
    look_at_tail(queue);
    /* A nap that begins just now is missed here, and ends by itself. */
    if (is_third_full(queue) && atomic_load_explicit(&queue->consumer_naps, memory_order_relaxed)) wake_consumer(queue);
}

double queue_fill(const struct queue *queue)
{
    uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    uint64_t tail_frames = atomic_load_explicit(&queue->tail_frames, memory_order_relaxed);
    size_t span = queue->is_small ? queue->bounds.bytes : queue->span;
    double bytes = (double)(head_of(queue) - tail) / (double)span;
    double frames = (double)(queue->head_frames - tail_frames) / (double)queue->bounds.frames;
    return bytes > frames ? bytes : frames;
}

/* Consumer. */

static bool sees_message(struct queue *queue)
{
    if (queue->seen_head == queue->next) queue->seen_head = atomic_load_explicit(&queue->head, memory_order_acquire);
    return queue->seen_head != queue->next;
}

static void take_nap(struct queue *queue, int64_t nap)
{
    const struct timespec limit = clock_timespec(clock_now() + nap);
    pthread_mutex_lock(&queue->mutex);
    atomic_store_explicit(&queue->consumer_naps, true, memory_order_relaxed);
    /* Who published a request takes the mutex afterwards, so it is seen here, or its signal comes during the wait. */
    if (!sees_message(queue)) pthread_cond_timedwait(&queue->work, &queue->mutex, &limit);
    atomic_store_explicit(&queue->consumer_naps, false, memory_order_relaxed);
    pthread_mutex_unlock(&queue->mutex);
}

/* What is there to do before a nap. */
static bool is_ring_touched(struct queue *queue)
{
    struct ring *ring = &queue->ring;
    pthread_mutex_lock(&queue->mutex);
    bool is_touched = ring->touched == ring->size;
    if (!is_touched && !touch_next_page(ring)) ring->touched = ring->size;
    pthread_mutex_unlock(&queue->mutex);
    return is_touched;
}

/* The front first: there may have been a leap at the same position, to a message that was not published. */
static void find_place(struct queue *queue)
{
    if (queue->next == atomic_load_explicit(&queue->front, memory_order_relaxed)) {
        queue->next_offset = 0;
        queue->next_span = queue->front_span;
    } else if (queue->next == atomic_load_explicit(&queue->leap, memory_order_relaxed)) {
        queue->next_offset = queue->leap_offset;
        queue->next_span = queue->bounds.bytes;
    }
}

const struct message *queue_next(struct queue *queue, int64_t nap)
{
    if (!sees_message(queue)) {
        if (nap > 0 && is_ring_touched(queue)) take_nap(queue, nap);
        if (!sees_message(queue)) return NULL;
    }
    find_place(queue);
    return (const struct message *)(const void *)(queue->ring.memory + queue->next_offset);
}

/* A waiting producer is left to sleep until it has room for more than one small frame: at most half of the queue, so
 * that the two do not take turns for each. Under the mutex: while the producer waits, its own side stands still. */
static bool is_worth_waking(const struct queue *queue)
{
    const struct queue_bounds *bounds = &queue->bounds;
    size_t bytes = queue->span - (size_t)(head_of(queue) - queue->done);
    size_t frames = bounds->frames - (size_t)(queue->head_frames - queue->done_frames);
    return bytes >= queue->wanted && bytes >= queue->span / 2 && frames > 0 && frames >= bounds->frames / 2;
}

static void wake_producer(struct queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    bool waits = atomic_load_explicit(&queue->producer_waits, memory_order_relaxed);
    if (waits && is_worth_waking(queue)) pthread_cond_signal(&queue->room);
    pthread_mutex_unlock(&queue->mutex);
}

static void tell_producer(struct queue *queue)
{
    atomic_store_explicit(&queue->tail_frames, queue->done_frames, memory_order_relaxed);
    atomic_store_explicit(&queue->tail, queue->done, memory_order_seq_cst);
    if (atomic_load_explicit(&queue->producer_waits, memory_order_seq_cst)) wake_producer(queue);
}

static void pass(struct queue *queue)
{
    const struct message *message = (const struct message *)(const void *)(queue->ring.memory + queue->next_offset);
    if (message->kind == MESSAGE_FRAME) queue->next_frames++;
    queue->next += message->bytes;
    queue->next_offset += message->bytes;
    if (queue->next_offset >= queue->next_span) queue->next_offset -= queue->next_span;
}

bool queue_pass(struct queue *queue)
{
    const struct queue_bounds *bounds = &queue->bounds;
    if (queue->next - queue->done >= queue->next_span / KEPT_SHARE ||
        queue->next_frames - queue->done_frames >= bounds->frames / KEPT_SHARE)
        return false;
    pass(queue);
    return true;
}

void queue_release(struct queue *queue)
{
    pass(queue);
    queue->done = queue->next;
    queue->done_frames = queue->next_frames;
    uint64_t untold = queue->done - atomic_load_explicit(&queue->tail, memory_order_relaxed);
    uint64_t untold_frames = queue->done_frames - atomic_load_explicit(&queue->tail_frames, memory_order_relaxed);
    if (untold > queue->most_untold || untold_frames > queue->most_untold_frames || !sees_message(queue))
        tell_producer(queue);
}

void queue_release_passed(struct queue *queue)
{
    if (queue->done == queue->next) return;
    queue->done = queue->next;
    queue->done_frames = queue->next_frames;
    tell_producer(queue);
}

uint64_t queue_read(const struct queue *queue)
{
    return queue->next;
}

/* Any thread. */

uint64_t queue_published(const struct queue *queue)
{
    return atomic_load_explicit(&queue->head, memory_order_acquire);
}

void queue_wake(struct queue *queue)
{
    wake_consumer(queue);
}
