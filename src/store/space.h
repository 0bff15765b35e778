/* Where the blocks of a file go. Hands out addresses such that no metadata block of at most a page crosses a page's
 * border, object headers share pages, and abandoned raw blocks are used again. Pure: knows neither file nor HDF5. */
#ifndef STORE_SPACE_H
#define STORE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPACE_PAGE 4096
#define SPACE_NONE UINT64_MAX

enum space_kind {
    SPACE_FRONT,  /* the superblock */
    SPACE_HEADER, /* object headers, and what else changes at each commit */
    SPACE_OTHER,  /* all other metadata */
    SPACE_RAW
};

/* A page that is being filled. */
struct space_page {
    uint64_t next, limit; /* next == limit: none */
};

struct space_retired {
    uint64_t address, size;
    uint64_t commit, base; /* counts when it was retired */
    double time;           /* when it may be used again */
};

struct space {
    uint64_t end; /* no block lies behind it */
    struct space_page headers, nodes, others;
    struct space_retired *retired;
    size_t retired_count, retired_capacity;
    uint64_t last_raw, last_raw_size; /* the latest raw block handed out; size 0: none */
    uint64_t commits, bases;          /* commits; commits that survive a power loss */
    bool has_base;                    /* a power loss would lead back to one of those */
    unsigned long long reused;
};

/* The address of a new block; SPACE_NONE if the file would exceed 2^62 bytes. `now`: seconds, monotonic. */
uint64_t space_allocate(struct space *space, enum space_kind kind, uint64_t size, double now);

/* What is allocated from here on starts on new pages: of headers; of everything, so that all blocks allocated later lie
 * at or behind the end, which is returned. */
void space_begin_headers(struct space *space);
uint64_t space_begin_pages(struct space *space);

/* libhdf5 sets the end itself when it opens a file and when it extends its last block. */
void space_set_end(struct space *space, uint64_t end);

/* The raw block may be handed out again from `time` on. Forgets it if there is no memory: it is only space. */
void space_retire(struct space *space, uint64_t address, uint64_t size, double time);

void space_free(struct space *space);

#endif
