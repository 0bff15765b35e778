#include "store/read_ahead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/header.h"

static struct journal_block *find(const struct read_ahead *ahead, uint64_t address)
{
    for (size_t i = 0; i < ahead->kept.count; i++)
        if (ahead->kept.block[i].address == address) return &ahead->kept.block[i];
    return NULL;
}

/* All copies get the new bytes, where they overlap. */
static void update(struct read_ahead *ahead, uint64_t address, const void *data, size_t size)
{
    struct journal_block written = {.address = address, .size = size, .data = (unsigned char *)data};
    const struct journal_blocks one = {.block = &written, .count = 1};
    for (size_t i = 0; i < ahead->kept.count; i++) {
        struct journal_block *block = &ahead->kept.block[i];
        if (address < block->address + block->size && block->address < address + size)
            journal_blocks_overlay(&one, block->address, block->size, block->data);
    }
}

/* A longer copy replaces a shorter one. */
static int keep(struct read_ahead *ahead, uint64_t address, const void *data, size_t size)
{
    struct journal_block *block = find(ahead, address);
    if (block != NULL && block->size >= size) return 0;
    if (block == NULL) return journal_blocks_add(&ahead->kept, address, data, size) != NULL ? 0 : ENOMEM;
    unsigned char *longer = realloc(block->data, size);
    if (longer == NULL) return ENOMEM;
    memcpy(longer, data, size);
    block->data = longer;
    block->size = size;
    return 0;
}

int read_ahead_written(struct read_ahead *ahead, uint64_t address, const void *data, size_t size, bool is_header)
{
    update(ahead, address, data, size);
    return is_header ? keep(ahead, address, data, size) : 0;
}

static int read_piece(struct read_ahead *ahead, const struct driver_io *io, int descriptor,
                      const struct journal_blocks *held, const struct header_piece *piece)
{
    unsigned char *data = malloc(piece->size);
    if (data == NULL) return ENOMEM;
    int number = io_read_all(io, descriptor, data, piece->size, piece->address);
    if (number == 0) {
        journal_blocks_overlay(held, piece->address, piece->size, data);
        number = read_ahead_written(ahead, piece->address, data, piece->size, true);
    }
    free(data);
    return number;
}

/* The pieces that the messages name, to the end of the list of them. */
static void note_pieces(struct header_messages *messages, struct header_piece *pieces, size_t *count)
{
    struct header_piece piece;
    while (*count < HEADER_MOST_PIECES && header_next_piece(messages, &piece))
        if (piece.size > 0 && piece.size <= HEADER_LARGEST_PIECE && piece.address <= INT64_MAX - HEADER_LARGEST_PIECE)
            pieces[(*count)++] = piece;
}

int read_ahead_header(struct read_ahead *ahead, const struct driver_io *io, int descriptor,
                      const struct journal_blocks *held, uint64_t address, const unsigned char *data, size_t size)
{
    struct header_piece pieces[HEADER_MOST_PIECES];
    struct header_messages first, messages;
    size_t count = 0;
    int number = 0;
    if (header_open(data, size, &first)) {
        messages = first;
        note_pieces(&messages, pieces, &count);
    }
    for (size_t i = 0; i < count && number == 0; i++) {
        number = read_piece(ahead, io, descriptor, held, &pieces[i]);
        if (number != 0) break;
        const struct journal_block *block = find(ahead, pieces[i].address);
        if (header_open_piece(block->data, pieces[i].size, &first, &messages)) note_pieces(&messages, pieces, &count);
        else number = EIO;
    }
    /* Last: what begins a header is not kept without its pieces. */
    return number == 0 ? keep(ahead, address, data, size) : number;
}

bool read_ahead_recall(const struct read_ahead *ahead, uint64_t address, void *data, size_t size)
{
    const struct journal_block *block = find(ahead, address);
    if (block == NULL) return false;
    size_t known = block->size < size ? (size_t)block->size : size;
    memcpy(data, block->data, known);
    memset((unsigned char *)data + known, 0, size - known);
    return true;
}

void read_ahead_free(struct read_ahead *ahead)
{
    journal_blocks_free(&ahead->kept);
}
