/* The first page of a file that the commit driver writes: HDF5's superblock (version 3), and behind it, where no HDF5
 * object lies, a record of our own. Both are written together, by one write. Knows bytes only. */
#ifndef STORE_FRONT_PAGE_H
#define STORE_FRONT_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#define FRONT_PAGE_SUPERBLOCK 48  /* bytes of a superblock of version 2 or 3 with 8-byte addresses */
#define FRONT_PAGE_WRITTEN    128 /* the superblock and the record */

struct front_page {
    unsigned char superblock[FRONT_PAGE_SUPERBLOCK];
    bool has_record; /* else that place belongs to HDF5: the file is not one of ours */
    bool is_current; /* the record is of the same state as the superblock: no other program has moved the end since */
    /* The record. If it is not current, both ends are the superblock's. */
    unsigned char file_id[16]; /* ties a journal to its file */
    uint64_t sequence;         /* of the commit; grows by one with each */
    uint64_t announced_end;    /* what the superblock says: no object lies behind it */
    uint64_t true_end;         /* no object lies behind this either; the rest is a hole */
};

/* Sets the end of file that a superblock announces: the consistency flags are cleared and the checksum is renewed with
 * it. */
void superblock_set_end(unsigned char *superblock, uint64_t end);

/* Encodes with announced_end in the superblock too. Decodes; false if there is no valid superblock. */
void front_page_encode(const struct front_page *page, unsigned char bytes[FRONT_PAGE_WRITTEN]);
bool front_page_decode(struct front_page *page, const unsigned char bytes[FRONT_PAGE_WRITTEN]);

#endif
