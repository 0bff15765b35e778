/* The commit driver's state, and what its files do with it; nobody else includes this. The reasoning is in driver.c. */
#ifndef STORE_DRIVER_STATE_H
#define STORE_DRIVER_STATE_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/chunk_index.h"
#include "store/driver.h"
#include "store/front_page.h"
#include "store/guard.h"
#include "store/journal.h"
#include "store/read_ahead.h"
#include "store/space.h"

enum phase {
    PHASE_NEW,   /* under its other name; everything is written at once */
    PHASE_BATCH, /* an existing file before its batch: what overwrites is held back */
    PHASE_ROWS,  /* metadata is held back */
    PHASE_READING
};

/* One block of metadata that is read again and again. */
struct rereading {
    haddr_t address, end; /* of the block; of what was read last */
    int times;
};

/* What a raw block is to be written from, instead of `place`; NULL: nothing. */
struct pieces {
    const void *place;
    const void *const *piece;
    size_t count, size;
};

/* A block of an index of chunks that is larger than a page. */
struct large_block {
    uint64_t place[2]; /* the first is its name; the second is 0 until it is needed */
    uint64_t size;
    int now;    /* which place the file refers to */
    bool moves; /* to the other one, in the commit that is being made */
    uint64_t parent, parent_size;
    size_t place_in_parent; /* of its address */
};

struct large_blocks {
    struct large_block *block;
    size_t count, capacity;
};

struct driver {
    const struct driver_io *io;
    char *path, *new_path;
    int descriptor;
    pid_t process;
    enum phase phase;
    bool attached, finishing;
    bool abandoned; /* to be freed when libhdf5 lets go of the file */
    enum commit_level finish_level;

    unsigned char superblock[FRONT_PAGE_SUPERBLOCK]; /* as libhdf5 wrote it */
    struct front_page front;                         /* as it is, or was, in the file */
    unsigned char boot_id[16];
    uint64_t size;          /* of the file, at least */
    bool size_is_new;       /* since the last sync */
    uint64_t settled_size;  /* its size since the last commit */
    uint64_t end_at_commit; /* true end at the last commit */
    uint64_t end_at_open;   /* true end when the file was opened */
    uint64_t reserved;      /* blocks of the disk are taken up to here; UINT64_MAX: only when they are written */
    uint64_t base_end;      /* blocks that lie before it are older than the base of the journal, or than the batch */
    struct space space;
    struct journal_blocks held; /* in the order of writing */
    struct large_blocks large;  /* all that libhdf5 has seen */
    bool changed;               /* since the last base */
    struct guard guard;
    struct journal journal;
    struct rereading rereading;
    struct read_ahead ahead;

    struct pieces pieces;
    struct error failure;
    struct driver_counts counts;
};

/* ---- driver_write.c ---- */

/* After the first failure: nothing is written any more. Returns the failure's status. */
trajlog_status driver_freeze(struct driver *driver, int number, const char *operation);
bool driver_is_forked_copy(const struct driver *driver);
bool driver_is_frozen(const struct driver *driver);

/* All these freeze the driver if they fail. */
trajlog_status driver_write_bytes(struct driver *driver, uint64_t address, const void *data, size_t size);
/* The same for what the guard may have to put back. */
trajlog_status driver_write_guarded(struct driver *driver, uint64_t address, const void *data, size_t size);
trajlog_status driver_sync(struct driver *driver);
trajlog_status driver_extend_to(struct driver *driver, uint64_t size);
/* Announces another end, if the file comes near the old one. */
trajlog_status driver_make_room(struct driver *driver);
/* Makes the file longer for commits to come. */
trajlog_status driver_stay_ahead(struct driver *driver);

/* The first page: as it is to be, with libhdf5's superblock and the true end; written; and whether it need not be. */
void driver_encode_front(const struct driver *driver, struct front_page *front,
                         unsigned char bytes[FRONT_PAGE_WRITTEN]);
trajlog_status driver_write_front(struct driver *driver);
bool driver_front_is_up_to_date(const struct driver *driver);

/* ---- driver_held.c ---- */

void driver_hold(struct driver *driver, uint64_t address, const void *data, size_t size, bool raw);
/* The held blocks of one kind, in their order, as they will be when all is written. */
trajlog_status driver_select_blocks(struct driver *driver, bool headers, struct journal_blocks *selected);
trajlog_status driver_write_blocks(struct driver *driver, const struct journal_blocks *blocks);

/* ---- driver_index.c ---- */

/* What an address of libhdf5's is held back under; and where that is in the file. Mostly the same. */
uint64_t driver_index_name(const struct driver *driver, uint64_t address);
uint64_t driver_index_place(const struct driver *driver, uint64_t name);
/* Looks for large blocks in metadata that libhdf5 has read. 0 or an errno. */
int driver_index_note(struct driver *driver, uint64_t address, const void *data, size_t size);
/* Replaces those of the blocks that are large by what is to be written instead; when all is written, the file refers to
 * their other places. Freezes the driver if it fails. */
trajlog_status driver_index_redirect(struct driver *driver, struct journal_blocks *others);
void driver_index_settle(struct driver *driver);

/* ---- driver_headers.c ---- */

/* Of the pages with object headers. */
enum header_order { FIRST_PAGE_FIRST, LAST_PAGE_FIRST };

/* Those that are held back, sorted. */
trajlog_status driver_select_headers(struct driver *driver, struct journal_blocks *headers);
/* How many of the headers, which are sorted, are written by one write, since they share the pages of the first one; and
 * how many bytes those are, with what lies between the headers. */
size_t driver_header_run(const struct journal_block *block, size_t count, uint64_t *size);
/* One write for each page. If one fails, tries to put back what was there on all of them. */
trajlog_status driver_write_headers(struct driver *driver, const struct journal_blocks *headers,
                                    enum header_order order);

/* ---- driver_commit.c ---- */

/* Takes in what is about to be overwritten, and makes the journal able to put it back. */
trajlog_status driver_guard(struct driver *driver, const struct journal_blocks *others,
                            const struct journal_blocks *headers);
trajlog_status driver_flush_rows(struct driver *driver);
/* Makes the file as it is durable, and what a power loss leads back to. */
trajlog_status driver_make_base(struct driver *driver);

/* ---- driver_publish.c ---- */

trajlog_status driver_publish_batch(struct driver *driver);

/* ---- driver_close.c ---- */

/* What driver_finish has asked for, when libhdf5 has written all that it had. */
void driver_close_cleanly(struct driver *driver);
void driver_close_descriptor(struct driver *driver);

#endif
