#include "read/region.h"

#include <string.h>

bool region_intersect(int32_t rank, const struct region *a, const struct region *b, struct region *common)
{
    for (int32_t i = 0; i < rank; i++) {
        int64_t start = a->start[i] > b->start[i] ? a->start[i] : b->start[i];
        int64_t a_end = a->start[i] + a->count[i], b_end = b->start[i] + b->count[i];
        int64_t end = a_end < b_end ? a_end : b_end;
        if (end <= start) return false;
        common->start[i] = start;
        common->count[i] = end - start;
    }
    return true;
}

/* The dimensions from the end on that are whole in both arrays, and the first one that is not, make one run. */
struct runs runs_make(int32_t rank, size_t element_size, const struct region *part, const struct region *from,
                      const struct region *to)
{
    struct runs runs = {.bytes = element_size, .count = 1};
    size_t from_bytes = element_size, to_bytes = element_size, last = element_size;
    bool together = true;
    for (int32_t i = rank - 1; i >= 0; i--) {
        runs.from += (size_t)(part->start[i] - from->start[i]) * from_bytes;
        runs.to += (size_t)(part->start[i] - to->start[i]) * to_bytes;
        last += (size_t)(part->count[i] - 1) * from_bytes;
        if (together) {
            runs.bytes *= (size_t)part->count[i];
            together = part->count[i] == from->count[i] && part->count[i] == to->count[i];
        } else if (part->count[i] > 1) {
            runs.number[runs.levels] = part->count[i];
            runs.from_step[runs.levels] = from_bytes;
            runs.to_step[runs.levels++] = to_bytes;
            runs.count *= part->count[i];
        }
        from_bytes *= (size_t)from->count[i];
        to_bytes *= (size_t)to->count[i];
    }
    runs.from_end = runs.from + last;
    return runs;
}

int runs_each(const struct runs *runs, run_taker take, void *context)
{
    int64_t at[REGION_MAX_RANK] = {0};
    size_t from = runs->from, to = runs->to;
    for (;;) {
        int result = take(context, from, to, runs->bytes);
        if (result != 0) return result;
        int32_t level = 0;
        while (level < runs->levels && ++at[level] == runs->number[level]) {
            at[level] = 0;
            from -= (size_t)(runs->number[level] - 1) * runs->from_step[level];
            to -= (size_t)(runs->number[level] - 1) * runs->to_step[level];
            level++;
        }
        if (level == runs->levels) return 0;
        from += runs->from_step[level];
        to += runs->to_step[level];
    }
}

struct copying {
    const unsigned char *from;
    unsigned char *to;
    size_t skipped;
};

static int copy_run(void *context, size_t from, size_t to, size_t bytes)
{
    const struct copying *copying = context;
    memcpy(copying->to + to, copying->from + (from - copying->skipped), bytes);
    return 0;
}

void runs_copy(const struct runs *runs, const void *from, size_t skipped, void *to)
{
    struct copying copying = {from, to, skipped};
    runs_each(runs, copy_run, &copying);
}
