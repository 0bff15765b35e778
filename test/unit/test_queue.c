/* The queue: order, content, bounds, waiting, at every offset of the ring and between two threads. */
#include "harness.h"

#include <pthread.h>
#include <stdlib.h>

#include "write/clock.h"
#include "write/frame.h"
#include "write/queue.h"

#define UNIT MESSAGE_ALIGNMENT

static struct queue *make_queue(size_t units, size_t largest_units, size_t frames, struct counters *counters)
{
    struct queue_bounds bounds = {.bytes = units * UNIT, .frames = frames, .largest = largest_units * UNIT};
    struct queue *queue;
    assert_int_equal(queue_new(&queue, &bounds, counters, NULL), TRAJLOG_OK);
    return queue;
}

/* Every byte behind the header says which message it belongs to. */
static unsigned char pattern(int64_t number, size_t place)
{
    return (unsigned char)(number * 31 + (int64_t)place * 7);
}

static void fill(struct message *message, int64_t number)
{
    frame_begin(message, NULL, 0, number, 0.5 * (double)number);
    unsigned char *bytes = (unsigned char *)message;
    for (size_t i = UNIT; i < message->bytes; i++) bytes[i] = pattern(number, i);
}

static int is_right(const struct message *message, int64_t number)
{
    if (message->step != number || message->time != 0.5 * (double)number) return 0;
    const unsigned char *bytes = (const unsigned char *)message;
    for (size_t i = UNIT; i < message->bytes; i++)
        if (bytes[i] != pattern(number, i)) return 0;
    return 1;
}

static int push(struct queue *queue, size_t units, int64_t number)
{
    struct message *message = queue_reserve(queue, units * UNIT, MESSAGE_FRAME);
    if (message == NULL) return 0;
    fill(message, number);
    queue_publish(queue);
    return 1;
}

static void pop(struct queue *queue, size_t units, int64_t number)
{
    const struct message *message = queue_next(queue, 0);
    assert_non_null(message);
    assert_int_equal(message->bytes, units * UNIT);
    assert_true(is_right(message, number));
    queue_release(queue);
}

static void messages_come_out_as_they_went_in(void **state)
{
    (void)state;
    struct counters counters = {0};
    struct queue *queue = make_queue(8, 4, 100, &counters);
    assert_null(queue_next(queue, 0));
    assert_true(push(queue, 1, 1));
    assert_true(push(queue, 4, 2));
    assert_true(push(queue, 2, 3));
    pop(queue, 1, 1);
    pop(queue, 4, 2);
    assert_true(push(queue, 4, 4));
    pop(queue, 2, 3);
    pop(queue, 4, 4);
    assert_null(queue_next(queue, 0));
    queue_free(queue);
}

static void an_empty_queue_has_room_at_every_offset(void **state)
{
    (void)state;
    for (size_t largest = 1; largest <= 7; largest++) {
        struct counters counters = {0};
        struct queue *queue = make_queue(7, largest, 100, &counters);
        int64_t number = 0;
        /* One unit and then the largest: the pair begins at every offset in turn. */
        for (int turn = 0; turn < 50; turn++) {
            assert_true(push(queue, 1, ++number));
            pop(queue, 1, number);
            assert_true(push(queue, largest, ++number));
            pop(queue, largest, number);
        }
        queue_free(queue);
    }
}

static void the_ring_wraps_around_with_several_messages_in_it(void **state)
{
    (void)state;
    for (size_t capacity = 5; capacity <= 13; capacity++) {
        struct counters counters = {0};
        struct queue *queue = make_queue(capacity, 5, 100, &counters);
        size_t sizes[512];
        int64_t pushed = 0, popped = 0;
        unsigned random = 12345 + (unsigned)capacity;
        while (pushed < 512) {
            random = random * 1103515245 + 12345;
            size_t units = 1 + (random >> 16) % 5;
            if (push(queue, units, pushed)) sizes[pushed++] = units;
            else pop(queue, sizes[popped], popped), popped++;
        }
        while (popped < pushed) pop(queue, sizes[popped], popped), popped++;
        assert_null(queue_next(queue, 0));
        queue_free(queue);
    }
}

/* A quarter of the queue may be kept; the rest goes round meanwhile. */
static const unsigned char *place_of_next(struct queue *queue)
{
    return (const unsigned char *)queue_reserve(queue, UNIT, MESSAGE_FRAME);
}

static void an_empty_queue_begins_at_the_front(void **state)
{
    (void)state;
    struct counters counters = {0};
    struct queue *queue = make_queue(100, 9, 4096, &counters);
    const unsigned char *front = place_of_next(queue);
    int64_t at_front = 0;
    for (int64_t number = 0; number < 1000; number++) {
        size_t units = 1 + (size_t)number % 9;
        assert_true(push(queue, units, number));
        pop(queue, units, number);
        const unsigned char *place = place_of_next(queue);
        assert_true(place - front < 2 * UNIT); /* it does not look at once */
        at_front += place == front;
    }
    assert_true(at_front > 800);
    /* All of it is there for what comes then. */
    for (int64_t number = 0; number < 100; number++) assert_true(push(queue, 1, number));
    assert_false(push(queue, 1, 100));
    for (int64_t number = 0; number < 100; number++) pop(queue, 1, number);
    queue_free(queue);
}

static void what_is_passed_stays(void **state)
{
    (void)state;
    struct counters counters = {0};
    struct queue *queue = make_queue(8, 2, 100, &counters);
    const struct message *kept[2];
    for (int64_t turn = 0; turn < 20; turn++) {
        for (int64_t i = 0; i < 8; i++) assert_true(push(queue, 1, 10 * turn + i));
        for (int64_t i = 0; i < 2; i++) {
            kept[i] = queue_next(queue, 0);
            assert_true(queue_pass(queue));
        }
        assert_false(queue_pass(queue));
        assert_false(push(queue, 1, 0));
        for (int64_t i = 0; i < 2; i++) assert_true(is_right(kept[i], 10 * turn + i));
        pop(queue, 1, 10 * turn + 2); /* and with it those before */
        for (int64_t i = 0; i < 3; i++) assert_true(push(queue, 1, i));
        assert_false(push(queue, 1, 3));
        for (int64_t i = 3; i < 8; i++) pop(queue, 1, 10 * turn + i);
        for (int64_t i = 0; i < 2; i++) pop(queue, 1, i);
        assert_true(is_right(queue_next(queue, 0), 2));
        assert_true(queue_pass(queue));
        assert_null(queue_next(queue, 0));
        assert_false(queue_reserve(queue, 2 * UNIT, MESSAGE_FRAME) == NULL);
        queue_release_passed(queue);
        assert_true(queue_fill(queue) == 0.0);
    }
    queue_free(queue);
}

static void bytes_are_bounded(void **state)
{
    (void)state;
    struct counters counters = {0};
    struct queue *queue = make_queue(8, 4, 100, &counters);
    assert_true(push(queue, 4, 1));
    assert_true(push(queue, 3, 2));
    assert_false(push(queue, 2, 3));
    assert_true(push(queue, 1, 3));
    assert_false(push(queue, 1, 4));
    assert_int_equal(counter_get(&counters.queue_bytes), 8 * UNIT);
    assert_int_equal(counter_get(&counters.queue_high_bytes), 8 * UNIT);
    assert_int_equal(counter_get(&counters.queue_high_frames), 3);
    assert_true(queue_fill(queue) == 1.0);
    pop(queue, 4, 1);
    assert_true(queue_fill(queue) == 0.5);
    assert_true(push(queue, 4, 4));
    queue_free(queue);
}

static void frames_are_bounded_and_requests_do_not_count(void **state)
{
    (void)state;
    struct counters counters = {0};
    struct queue *queue = make_queue(100, 1, 2, &counters);
    assert_true(push(queue, 1, 1));
    assert_true(push(queue, 1, 2));
    assert_false(push(queue, 1, 3));
    assert_true(queue_fill(queue) == 1.0);
    struct message *request = queue_reserve(queue, UNIT, MESSAGE_FLUSH);
    assert_non_null(request);
    fill(request, 3);
    queue_publish(queue);
    pop(queue, 1, 1);
    assert_true(push(queue, 1, 4));
    assert_false(push(queue, 1, 5));
    pop(queue, 1, 2);
    pop(queue, 1, 3);
    assert_true(push(queue, 1, 5));
    assert_int_equal(counter_get(&counters.queue_high_frames), 2);
    queue_free(queue);
}

static void what_is_not_published_is_not_seen(void **state)
{
    (void)state;
    struct counters counters = {0};
    struct queue *queue = make_queue(4, 3, 100, &counters);
    assert_true(push(queue, 1, 1));
    struct message *abandoned = queue_reserve(queue, 3 * UNIT, MESSAGE_FRAME);
    assert_non_null(abandoned);
    fill(abandoned, 99);
    pop(queue, 1, 1);
    assert_null(queue_next(queue, 0));
    assert_true(push(queue, 2, 2));
    pop(queue, 2, 2);
    assert_null(queue_next(queue, 0));
    queue_free(queue);
}

static void waiting_ends_at_the_deadline(void **state)
{
    (void)state;
    struct counters counters = {0};
    struct queue *queue = make_queue(2, 1, 100, &counters);
    assert_true(push(queue, 1, 1));
    assert_true(push(queue, 1, 2));
    int64_t deadline = clock_now() + 10000000;
    assert_null(queue_reserve_wait(queue, UNIT, MESSAGE_FRAME, deadline));
    assert_true(clock_now() >= deadline);
    pop(queue, 1, 1);
    assert_non_null(queue_reserve_wait(queue, UNIT, MESSAGE_FRAME, deadline));
    queue_free(queue);
}

static void it_grows_at_every_offset(void **state)
{
    (void)state;
    for (size_t offset = 0; offset < 5; offset++) {
        struct counters counters = {0};
        struct queue *queue = make_queue(5, 2, 100, &counters);
        struct queue_bounds larger = {.bytes = 9 * UNIT, .frames = 100, .largest = 7 * UNIT};
        for (size_t i = 0; i < offset; i++) {
            assert_true(push(queue, 1, (int64_t)i));
            pop(queue, 1, (int64_t)i);
        }
        assert_true(queue_is_empty(queue));
        assert_int_equal(queue_enlarge(queue, &larger, NULL), TRAJLOG_OK);
        assert_int_equal(counter_get(&counters.queue_bytes), 9 * UNIT);
        for (int64_t number = 0; number < 20; number++) {
            assert_true(push(queue, 7, number));
            assert_false(queue_is_empty(queue));
            assert_true(push(queue, 2, number + 1));
            assert_false(push(queue, 1, 0));
            pop(queue, 7, number);
            pop(queue, 2, number + 1);
        }
        queue_free(queue);
    }
}

static void bounds_beyond_all_memory_leave_it_as_it_is(void **state)
{
    (void)state;
    struct counters counters = {0};
    struct error error = {0};
    struct queue *queue = make_queue(5, 2, 100, &counters);
    struct queue_bounds larger = {.bytes = SIZE_MAX / UNIT * UNIT, .frames = 100, .largest = 7 * UNIT};
    assert_true(push(queue, 2, 1));
    assert_int_equal(queue_enlarge(queue, &larger, &error), TRAJLOG_OUT_OF_MEMORY);
    pop(queue, 2, 1);
    assert_true(push(queue, 2, 2));
    queue_free(queue);
}

/* Two threads. */

struct traffic {
    struct queue *queue;
    int64_t count;       /* messages */
    size_t largest;      /* units */
    int64_t pause_every; /* the consumer rests now and then */
    int64_t wrong;
};

static size_t units_of(int64_t number, size_t largest)
{
    uint64_t mixed = (uint64_t)number * UINT64_C(0x9E3779B97F4A7C15);
    return 1 + (size_t)(mixed >> 40) % largest;
}

static void *consume(void *argument)
{
    struct traffic *traffic = argument;
    for (int64_t number = 0; number < traffic->count; number++) {
        const struct message *message;
        while ((message = queue_next(traffic->queue, 1000000)) == NULL) {
        }
        if (message->bytes != units_of(number, traffic->largest) * UNIT || !is_right(message, number)) traffic->wrong++;
        if (traffic->pause_every > 0 && number % traffic->pause_every == 0)
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        queue_release(traffic->queue);
    }
    return NULL;
}

static struct message *reserve_somehow(struct queue *queue, size_t bytes, enum message_kind kind, int64_t number)
{
    struct message *message = NULL;
    if (number % 3 == 0) message = queue_reserve(queue, bytes, kind);
    if (number % 3 == 1) message = queue_reserve_wait(queue, bytes, kind, clock_now() + 20000);
    return message != NULL ? message : queue_reserve_wait(queue, bytes, kind, INT64_MAX);
}

static void exchange(size_t capacity, size_t largest, size_t frames, int64_t count, int64_t pause_every)
{
    struct counters counters = {0};
    struct queue *queue = make_queue(capacity, largest, frames, &counters);
    struct traffic traffic = {.queue = queue, .count = count, .largest = largest, .pause_every = pause_every};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, consume, &traffic), 0);
    for (int64_t number = 0; number < count; number++) {
        enum message_kind kind = number % 17 == 0 ? MESSAGE_FLUSH : MESSAGE_FRAME;
        fill(reserve_somehow(queue, units_of(number, largest) * UNIT, kind, number), number);
        queue_publish(queue);
    }
    pthread_join(thread, NULL);
    assert_int_equal(traffic.wrong, 0);
    assert_true(counter_get(&counters.queue_high_bytes) <= (int64_t)(capacity * UNIT));
    assert_true(counter_get(&counters.queue_high_frames) <= (int64_t)frames);
    queue_free(queue);
}

/* The ring is replaced again and again, at last by one that the consumer makes pages for. */
static void two_threads_and_a_growing_queue(void **state)
{
    (void)state;
    struct counters counters = {0};
    struct queue *queue = make_queue(3, 3, 4096, &counters);
    struct traffic traffic = {.queue = queue, .count = 4000, .largest = 3};
    struct queue_bounds bounds = {.bytes = 3 * UNIT, .frames = 4096, .largest = 3 * UNIT};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, consume, &traffic), 0);
    for (int64_t number = 0; number < traffic.count; number++) {
        if (number % 200 == 199) {
            bounds.bytes = bounds.bytes * 3 / (2 * UNIT) * UNIT + UNIT;
            bounds.largest += UNIT;
            assert_int_equal(queue_enlarge(queue, &bounds, NULL), TRAJLOG_OK);
        }
        fill(reserve_somehow(queue, units_of(number, 3) * UNIT, MESSAGE_FRAME, number), number);
        queue_publish(queue);
    }
    pthread_join(thread, NULL);
    assert_int_equal(traffic.wrong, 0);
    queue_free(queue);
}

/* Messages of a MiB, in a queue for 32 of them. */

#define LARGE ((size_t)1 << 20)

struct flood {
    struct queue *queue;
    int64_t pushed, popped;
};

static bool push_large(struct flood *flood, struct message *message)
{
    if (message == NULL) return false;
    frame_begin(message, NULL, 0, flood->pushed++, 0);
    queue_publish(flood->queue);
    return true;
}

static int push_all_that_fit(struct flood *flood)
{
    int count = 0;
    while (push_large(flood, queue_reserve(flood->queue, LARGE, MESSAGE_FRAME))) count++;
    return count;
}

static void pop_large(struct flood *flood, int count)
{
    for (; count > 0; count--) {
        const struct message *message = queue_next(flood->queue, 0);
        assert_non_null(message);
        assert_int_equal(message->bytes, LARGE);
        assert_int_equal(message->step, flood->popped++);
        queue_release(flood->queue);
    }
}

static void *pop_small(void *argument)
{
    nanosleep(&(struct timespec){.tv_nsec = 2 * QUEUE_PATIENCE}, NULL); /* longer than a producer's patience */
    pop_large(argument, (int)(QUEUE_NARROW / LARGE));
    return NULL;
}

static void *pop_all(void *argument)
{
    struct flood *flood = argument;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); /* most likely, the producer waits then */
    pop_large(flood, 32);
    return NULL;
}

/* The queue is full, and another message comes. */
static void push_and_wait(struct flood *flood)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, pop_all, flood), 0);
    assert_true(push_large(flood, queue_reserve_wait(flood->queue, LARGE, MESSAGE_FRAME, INT64_MAX)));
    pthread_join(thread, NULL);
}

/* Three times what the queue holds, without a pause, until the producer has to wait. How many fit then. */
static int swamp(struct flood *flood)
{
    push_all_that_fit(flood);
    for (int i = 0; i < 5; i++) {
        pop_large(flood, 16);
        assert_int_equal(push_all_that_fit(flood), 16);
    }
    push_and_wait(flood);
    return 1 + push_all_that_fit(flood);
}

static void a_swamped_queue_goes_on_with_a_part_until_it_is_empty(void **state)
{
    (void)state;
    const int narrow = (int)(QUEUE_NARROW / LARGE);
    struct counters counters = {0};
    struct flood flood = {.queue = make_queue(32 * LARGE / UNIT, LARGE / UNIT, 4096, &counters)};
    int fit = 32;
    /* Where the other thread was faster, the producer did not have to wait. */
    for (int i = 0; fit == 32 && i < 1000; i++) fit = swamp(&flood);
    assert_int_equal(fit, narrow);
    for (int i = 1; i < 50; i++) {
        pop_large(&flood, i % narrow);
        assert_int_equal(push_all_that_fit(&flood), i % narrow);
    }
    pop_large(&flood, narrow);
    assert_true(push_large(&flood, queue_reserve(flood.queue, LARGE, MESSAGE_FRAME)));
    pop_large(&flood, 1);
    assert_int_equal(push_all_that_fit(&flood), 32);
    pop_large(&flood, 32);
    for (fit = 32; fit == 32;) {
        fit = swamp(&flood);
        pop_large(&flood, fit);
    }
    const struct queue_bounds larger = {.bytes = 40 * LARGE, .frames = 4096, .largest = 2 * LARGE};
    assert_int_equal(queue_enlarge(flood.queue, &larger, NULL), TRAJLOG_OK);
    assert_int_equal(push_all_that_fit(&flood), 40);
    queue_free(flood.queue);
}

static void a_burst_has_all_of_the_queue(void **state)
{
    (void)state;
    struct counters counters = {0};
    struct flood flood = {.queue = make_queue(32 * LARGE / UNIT, LARGE / UNIT, 4096, &counters)};
    for (int i = 0; i < 10; i++) {
        assert_int_equal(push_all_that_fit(&flood), 32);
        push_and_wait(&flood);
        pop_large(&flood, 1);
    }
    queue_free(flood.queue);
}

/* A queue for 32 of them that begins small: until a quarter of it is full, and then with all of it. */

#define SMALL ((int)(QUEUE_NARROW / LARGE))

static struct flood make_small(struct counters *counters)
{
    struct flood flood = {.queue = NULL};
    struct queue_bounds bounds = {.bytes = 32 * LARGE, .frames = 4096, .largest = LARGE, .begins_small = true};
    assert_int_equal(queue_new(&flood.queue, &bounds, counters, NULL), TRAJLOG_OK);
    return flood;
}

static int push_all_with_patience(struct flood *flood)
{
    int count = 0;
    while (push_large(flood, queue_reserve_wait(flood->queue, LARGE, MESSAGE_FRAME, clock_now() + 3 * QUEUE_PATIENCE)))
        count++;
    return count;
}

/* Behind the part in use one message's room is left free, and there is none at the front until what was there is read. */
static void a_small_queue_leaps_at_every_offset(void **state)
{
    (void)state;
    for (int before = 0; before <= 2 * SMALL + 1; before++) {
        struct counters counters = {0};
        struct flood flood = make_small(&counters);
        for (int i = 0; i < before; i++) { /* one is always left, so that the queue does not begin anew */
            assert_true(push_large(&flood, queue_reserve(flood.queue, LARGE, MESSAGE_FRAME)));
            if (i > 0) pop_large(&flood, 1);
        }
        assert_int_equal(push_all_that_fit(&flood), SMALL - (before > 0));
        assert_true(queue_fill(flood.queue) == 0.25);
        int64_t begin = clock_now();
        assert_int_equal(push_all_with_patience(&flood), 32 - SMALL - 1);
        assert_true(clock_now() - begin >= QUEUE_PATIENCE);
        assert_true(queue_fill(flood.queue) == 31.0 / 32.0);
        pop_large(&flood, SMALL - 1);
        assert_int_equal(push_all_that_fit(&flood), 0);
        pop_large(&flood, 1);
        assert_int_equal(push_all_that_fit(&flood), SMALL + 1);
        for (int i = 1; i < 40; i++) {
            pop_large(&flood, i % 32);
            assert_int_equal(push_all_that_fit(&flood), i % 32);
        }
        pop_large(&flood, 32);
        assert_true(push_large(&flood, queue_reserve(flood.queue, LARGE, MESSAGE_FRAME)));
        pop_large(&flood, 1);
        assert_int_equal(push_all_that_fit(&flood), 32); /* anew, and no longer small */
        queue_free(flood.queue);
    }
}

static void patience_ends_at_the_deadline(void **state)
{
    (void)state;
    struct counters counters = {0};
    struct flood flood = make_small(&counters);
    assert_int_equal(push_all_that_fit(&flood), SMALL);
    int64_t begin = clock_now();
    for (int i = 0; i < 3; i++)
        assert_true(push_large(&flood, queue_reserve_wait(flood.queue, LARGE, MESSAGE_FRAME, 0)));
    assert_true(clock_now() - begin < QUEUE_PATIENCE);
    pop_large(&flood, SMALL + 3);
    queue_free(flood.queue);
    flood = make_small(&counters);
    assert_int_equal(push_all_that_fit(&flood), SMALL);
    begin = clock_now(); /* not to the deadline, if that is far */
    assert_true(
        push_large(&flood, queue_reserve_wait(flood.queue, LARGE, MESSAGE_FRAME, begin + 1000 * QUEUE_PATIENCE)));
    assert_true(clock_now() - begin < 500 * QUEUE_PATIENCE);
    queue_free(flood.queue);
}

/* The consumer makes pages of 2 MiB when it has nothing else to do, at first for 2 messages. Over the end of what the queue
 * uses, a message may run; and behind that there is room for another one, or all of the queue is used. */
static void a_small_queue_uses_what_has_memory(void **state)
{
    (void)state;
    for (int naps = 0; naps <= 16; naps++) {
        struct counters counters = {0};
        struct flood flood = make_small(&counters);
        for (int i = 0; i < naps; i++) assert_null(queue_next(flood.queue, 1));
        assert_true(push_large(&flood, queue_reserve(flood.queue, LARGE, MESSAGE_FRAME)));
        pop_large(&flood, 1);
        int covered = 2 * (1 + naps) - 1, small = covered > SMALL ? covered : SMALL;
        int fit = push_all_that_fit(&flood);
        if (fit != 32) assert_int_equal(fit, small); /* a system without MADV_POPULATE_WRITE has made all pages */
        if (small > 30) assert_int_equal(fit, 32);
        pop_large(&flood, fit);
        queue_free(flood.queue);
    }
}

static void a_small_queue_grows(void **state)
{
    (void)state;
    struct counters counters = {0};
    struct flood flood = make_small(&counters);
    assert_int_equal(push_all_that_fit(&flood), SMALL);
    pthread_t thread;
    struct flood popped = flood; /* its own count */
    popped.popped = 0;
    const struct queue_bounds larger = {
        .bytes = 40 * LARGE, .frames = 4096, .largest = 2 * LARGE, .begins_small = true};
    assert_int_equal(pthread_create(&thread, NULL, pop_small, &popped), 0);
    assert_int_equal(queue_enlarge(flood.queue, &larger, NULL), TRAJLOG_OK);
    pthread_join(thread, NULL);
    flood.popped = popped.popped;
    assert_int_equal(push_all_that_fit(&flood), SMALL);
    assert_int_equal(push_all_with_patience(&flood), 40 - SMALL - 2);
    pop_large(&flood, 38);
    queue_free(flood.queue);
}

struct rush {
    struct flood flood;
    int64_t count;
    bool naps;
};

static size_t bytes_of(int64_t number)
{
    return LARGE / 8 * units_of(number, 8);
}

static void fill_ends(struct message *message, int64_t number)
{
    frame_begin(message, NULL, 0, number, 0);
    ((unsigned char *)message)[message->bytes - 1] = pattern(number, 1);
}

static void *consume_rush(void *argument)
{
    struct rush *rush = argument;
    for (int64_t number = 0; number < rush->count; number++) {
        const struct message *message;
        while ((message = queue_next(rush->flood.queue, rush->naps ? 1000 : 0)) == NULL)
            queue_release_passed(rush->flood.queue);
        assert_int_equal(message->step, number);
        assert_int_equal(message->bytes, bytes_of(number));
        assert_int_equal(((const unsigned char *)message)[message->bytes - 1], pattern(number, 1));
        /* Now and then longer than the producer is patient, and now and then long enough for it to come to a stop. */
        if (number % 500 == 250) nanosleep(&(struct timespec){.tv_nsec = 3 * QUEUE_PATIENCE / 2}, NULL);
        if (number % 40 == 39) nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
        if (number % 3 == 0 && queue_pass(rush->flood.queue)) continue;
        queue_release(rush->flood.queue);
    }
    queue_release_passed(rush->flood.queue);
    return NULL;
}

static void two_threads_and_a_small_queue(void **state)
{
    (void)state;
    for (int naps = 0; naps < 2; naps++) {
        struct counters counters = {0};
        struct rush rush = {.flood = make_small(&counters), .count = 4000, .naps = naps};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, consume_rush, &rush), 0);
        for (int64_t number = 0; number < rush.count; number++) {
            fill_ends(queue_reserve_wait(rush.flood.queue, bytes_of(number), MESSAGE_FRAME, INT64_MAX), number);
            queue_publish(rush.flood.queue);
            if (number % 900 == 899) nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        }
        pthread_join(thread, NULL);
        assert_true(queue_is_empty(rush.flood.queue));
        queue_free(rush.flood.queue);
    }
}

/* TRAJLOG_TEST_OPERATIONS=1000000 for the long form. */
static int64_t operations(void)
{
    const char *text = getenv("TRAJLOG_TEST_OPERATIONS");
    return text != NULL ? strtoll(text, NULL, 10) : 20000;
}

static void two_threads_and_a_roomy_queue(void **state)
{
    (void)state;
    exchange(1000, 9, 4096, operations(), 0);
}

static void two_threads_and_a_tight_queue(void **state)
{
    (void)state;
    exchange(9, 9, 4096, operations() / 4, 0);
    exchange(13, 5, 4096, operations() / 4, 0);
}

static void two_threads_and_few_frames(void **state)
{
    (void)state;
    exchange(1000, 3, 1, operations() / 4, 0);
    exchange(1000, 3, 5, operations() / 4, 0);
}

static void two_threads_and_a_slow_consumer(void **state)
{
    (void)state;
    exchange(64, 9, 16, operations() / 4, 50);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(messages_come_out_as_they_went_in),
    cmocka_unit_test(an_empty_queue_has_room_at_every_offset),
    cmocka_unit_test(the_ring_wraps_around_with_several_messages_in_it),
    cmocka_unit_test(an_empty_queue_begins_at_the_front),
    cmocka_unit_test(what_is_passed_stays),
    cmocka_unit_test(bytes_are_bounded),
    cmocka_unit_test(frames_are_bounded_and_requests_do_not_count),
    cmocka_unit_test(what_is_not_published_is_not_seen),
    cmocka_unit_test(waiting_ends_at_the_deadline),
    cmocka_unit_test(it_grows_at_every_offset),
    cmocka_unit_test(bounds_beyond_all_memory_leave_it_as_it_is),
    cmocka_unit_test(two_threads_and_a_growing_queue),
    cmocka_unit_test(a_swamped_queue_goes_on_with_a_part_until_it_is_empty),
    cmocka_unit_test(a_burst_has_all_of_the_queue),
    cmocka_unit_test(a_small_queue_leaps_at_every_offset),
    cmocka_unit_test(patience_ends_at_the_deadline),
    cmocka_unit_test(a_small_queue_uses_what_has_memory),
    cmocka_unit_test(a_small_queue_grows),
    cmocka_unit_test(two_threads_and_a_small_queue),
    cmocka_unit_test(two_threads_and_a_roomy_queue),
    cmocka_unit_test(two_threads_and_a_tight_queue),
    cmocka_unit_test(two_threads_and_few_frames),
    cmocka_unit_test(two_threads_and_a_slow_consumer),
};

TEST_MAIN(tests)
