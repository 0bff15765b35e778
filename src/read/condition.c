#include "read/condition.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "read/input.h"
#include "store/driver.h"
#include "store/ownership.h"

static trajlog_status look_beside(struct condition *condition, const char *path, struct error *error)
{
    static const char *const suffixes[] = {NEW_SUFFIX, FIRST_SUFFIX};
    for (size_t i = 0; i < 2; i++) {
        char *name = path_with_suffix(path, suffixes[i]);
        if (!name) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory for a name");
        if (access(name, F_OK) == 0) condition->is_unfinished = true;
        free(name);
    }
    return TRAJLOG_OK;
}

static trajlog_status look_inside(struct condition *condition, int descriptor, const char *path, struct error *error)
{
    unsigned char bytes[FRONT_PAGE_WRITTEN];
    struct journal_blocks blocks = {0};
    if (!condition->writer_is_alive)
        TRY(journal_inspect(&driver_io_system, path, descriptor, false, &condition->journal, &blocks, error));
    int number = io_read_all(&driver_io_system, descriptor, bytes, sizeof bytes, 0);
    journal_blocks_overlay(&blocks, 0, sizeof bytes, bytes);
    journal_blocks_free(&blocks);
    if (number != 0) return error_set(error, TRAJLOG_IO_ERROR, number, "the file cannot be read");
    condition->has_front = front_page_decode(&condition->front, bytes);
    return TRAJLOG_OK;
}

trajlog_status condition_look(struct condition *condition, const char *path, bool is_mine, struct error *error)
{
    struct file_moment moment;
    memset(condition, 0, sizeof *condition);
    condition->writer_is_alive = !is_mine && ownership_is_taken(path);
    TRY(input_look(path, &moment, error));
    condition->bytes = moment.bytes;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return error_set(error, TRAJLOG_IO_ERROR, errno, "the file cannot be opened");
    trajlog_status status = look_inside(condition, descriptor, path, error);
    close(descriptor);
    return status == TRAJLOG_OK ? look_beside(condition, path, error) : status;
}

int64_t condition_end(const struct condition *condition)
{
    bool says = condition->has_front && condition->front.true_end <= (uint64_t)condition->bytes;
    return says ? (int64_t)condition->front.true_end : condition->bytes;
}

bool condition_is_closed(const struct condition *condition)
{
    if (condition->writer_is_alive || condition->journal == JOURNAL_NEEDED) return false;
    return !condition->has_front || (condition->front.announced_end == condition->front.true_end &&
                                     condition->front.true_end == (uint64_t)condition->bytes);
}

trajlog_journal condition_journal(const struct condition *condition)
{
    if (condition->journal == JOURNAL_NONE) return TRAJLOG_JOURNAL_NONE;
    return condition->journal == JOURNAL_NEEDED ? TRAJLOG_JOURNAL_NEEDED : TRAJLOG_JOURNAL_UNUSED;
}
