/* In what condition a file was left: closed, killed, or with its writer at work; and what lies beside it. Reads the
 * first page and the journal; knows nothing of what is in the file. */
#ifndef READ_CONDITION_H
#define READ_CONDITION_H

#include <stdbool.h>

#include "store/front_page.h"
#include "store/journal.h"

struct condition {
    int64_t bytes; /* the size of the file */
    bool writer_is_alive;
    bool is_unfinished;           /* a file that a run was making when it was killed, or makes now, lies beside it */
    enum journal_finding journal; /* NONE while the writer is alive: then it is its business */
    bool has_front;               /* a superblock that the commit driver can keep; older ones say nothing here */
    struct front_page front;      /* as the journal says that it is */
};

/* `path` is the file's own, with all symbolic links followed. `is_mine`: the caller has taken it, and is no writer to
 * reckon with. NOT_FOUND, IO_ERROR, INVALID_FILE (no HDF5 file),
 * OUT_OF_MEMORY. */
trajlog_status condition_look(struct condition *condition, const char *path, bool is_mine, struct error *error);

/* Where what it holds ends. */
int64_t condition_end(const struct condition *condition);

/* Whether it is as a clean close leaves it: nothing behind its end, no journal needed. */
bool condition_is_closed(const struct condition *condition);

/* The same journal, in the public words. */
trajlog_journal condition_journal(const struct condition *condition);

#endif
