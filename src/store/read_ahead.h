/* Copies of all object headers that libhdf5 has read or written, for a disk that fails: where a read of one fails, it
 * gets the copy. What libhdf5 does when it cannot read (part of) a header again, header.h tells. Knows bytes and
 * addresses only. */
#ifndef STORE_READ_AHEAD_H
#define STORE_READ_AHEAD_H

#include "store/journal.h"

struct read_ahead {
    struct journal_blocks kept; /* no two with the same address */
};

/* A header, or a piece of one, that is about to be given to libhdf5. Reads the pieces that it goes on in: what is held
 * back, in `held`, lies over the file. 0 or an errno. */
int read_ahead_header(struct read_ahead *ahead, const struct driver_io *io, int descriptor,
                      const struct journal_blocks *held, uint64_t address, const unsigned char *data, size_t size);

/* Bytes that libhdf5 has written. `is_header`: they are (a piece of) one. 0 or an errno. */
int read_ahead_written(struct read_ahead *ahead, uint64_t address, const void *data, size_t size, bool is_header);

/* Puts the copy that begins at `address` into `data`, and zeros behind it; false if there is none. */
bool read_ahead_recall(const struct read_ahead *ahead, uint64_t address, void *data, size_t size);

void read_ahead_free(struct read_ahead *ahead);

#endif
