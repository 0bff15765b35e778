/* The journal beside a file, at PATH.journal: blocks with their addresses, under checksums, that bring the file into
 * one consistent state, whatever part of the later writes has reached the disk. A torn journal is as good as none: it
 * is only ever written while the file itself is consistent and durable. */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/status.h"
#include "store/driver_io.h"

#define JOURNAL_SUFFIX ".journal"

enum journal_kind {
    /* The state before a batch, which is about to be written, or was written in part: always to be gone back to. */
    JOURNAL_BATCH = 1,
    /* The state of the last synced commit. The file has gone on since, without sync, in an order that survives a killed
     * process: to be gone back to only after a power loss. */
    JOURNAL_BASE = 2
};

struct journal_block {
    uint64_t address, size;
    unsigned char *data;
    bool raw; /* for the driver: not metadata */
};

/* A set of blocks. Later ones win where they overlap. */
struct journal_blocks {
    struct journal_block *block;
    size_t count, capacity;
};

/* Adds a block with a copy of `data` (NULL: zeros); NULL if there is no memory. */
struct journal_block *journal_blocks_add(struct journal_blocks *blocks, uint64_t address, const void *data,
                                         uint64_t size);
/* Puts what of the blocks lies in [address, address + size) into `data`. */
void journal_blocks_overlay(const struct journal_blocks *blocks, uint64_t address, uint64_t size, void *data);
void journal_blocks_free(struct journal_blocks *blocks);

/* Who wrote a journal, and when. */
struct journal_identity {
    unsigned char file_id[16];
    unsigned char boot_id[16]; /* of the machine's run; zeros: unknown */
    uint64_t sequence;         /* of the commit whose state the journal holds */
};

/* Of the kernel that runs now; zeros if it does not say. */
void journal_boot_id(unsigned char boot_id[16]);

/* A journal that is being written. */
struct journal {
    const struct driver_io *io;
    char *path;
    int descriptor; /* -1: there is none yet */
    bool named;     /* its name is durable */
    uint64_t end;
    struct journal_identity identity;
    const char *operation; /* the call that failed */
};

/* Replaces the journal's content, and returns when it is durable. 0 or an errno. */
int journal_write(struct journal *journal, enum journal_kind kind, const struct journal_identity *identity,
                  const struct journal_blocks *blocks);
/* Adds blocks to it, and returns when they are durable. 0 or an errno. */
int journal_append(struct journal *journal, const struct journal_blocks *blocks);
/* Removes it, and returns when that is durable. 0 or an errno. */
int journal_remove(struct journal *journal);
/* Closes the descriptor and frees the path; the file stays. */
void journal_close(struct journal *journal);

enum journal_finding {
    JOURNAL_NONE,
    JOURNAL_TORN,       /* not complete: it never became valid, or is no journal */
    JOURNAL_FOREIGN,    /* of another file, or left from an older state of this one */
    JOURNAL_NOT_NEEDED, /* the file is in order by itself */
    JOURNAL_NEEDED      /* its blocks must be written, or seen, before the file is used */
};

/* Looks at the journal beside `path`, whose file is open as `descriptor`. *blocks is filled if it is NEEDED; free it in
 * any case. `assume_power_loss`: do not ask whether the machine has been started anew since. Errors: IO_ERROR,
 * OUT_OF_MEMORY. */
trajlog_status journal_inspect(const struct driver_io *io, const char *path, int descriptor, bool assume_power_loss,
                               enum journal_finding *finding, struct journal_blocks *blocks, struct error *error);

/* The same, then writes the blocks to the file, makes that durable, and removes the journal. */
trajlog_status journal_recover(const struct driver_io *io, const char *path, int descriptor, bool assume_power_loss,
                               enum journal_finding *finding, struct error *error);

#endif
