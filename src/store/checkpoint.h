/* Checkpoints: the last two states that a program gave to go on from. They lie in two slots, that are replaced in turn, so
 * that the newest is never touched. A slot counts only if its sequence is not 0 and its checksum is right.
 *
 * Replacing one, each step durable before the next:
 *
 *     checkpoint_write      the slot's sequence becomes 0; then its fields, step, time and checksum
 *     a synced commit       with all rows before
 *     checkpoint_confirm    its sequence becomes one more than the other's
 *     a synced commit
 *
 * Knows nothing of rows and of commits. */
#ifndef STORE_CHECKPOINT_H
#define STORE_CHECKPOINT_H

#include "store/column.h"

#define CHECKPOINT_SLOTS     2
#define CHECKPOINT_ALGORITHM "FNV-1a 64" /* the attribute `algorithm` of the dataset `checksum` */

struct checkpoint {
    const struct group *model; /* NULL: there is none */
    struct column step, time, sequence, checksum;
    struct column *fields; /* one for each of the model's; those that are not in the file are zeroed */
    struct {
        int64_t sequence; /* as stored */
        int64_t step;
        bool valid;
    } slots[CHECKPOINT_SLOTS];
    int slot;              /* that checkpoint_write chose */
    int64_t next_sequence; /* that it is to get */
};

/* Makes the datasets of a group of checkpoints, or opens them; `location` is the group, in which the parents of all
 * fields exist. Opening reads both states, to see which are valid. Close it also after a failure. */
trajlog_status checkpoint_create(struct checkpoint *checkpoint, struct column_context *context, hid_t location,
                                 const struct group *model, struct error *error);
trajlog_status checkpoint_open(struct checkpoint *checkpoint, struct column_context *context, hid_t location,
                               const struct group *model, struct error *error);

/* States of steps behind `step` count no longer. */
trajlog_status checkpoint_drop_after(struct checkpoint *checkpoint, int64_t step, struct error *error);

/* `fields` has one pointer per field of the group, NULL for those not enabled. */
trajlog_status checkpoint_write(struct checkpoint *checkpoint, int64_t step, double time, const void *const *fields,
                                struct error *error);
trajlog_status checkpoint_confirm(struct checkpoint *checkpoint, struct error *error);

/* Fine on a zeroed one, and twice. */
void checkpoint_close(struct checkpoint *checkpoint);

/* The checksum of a slot: over its sequence, step and time, 8 bytes each, little-endian, and then over its row of each
 * field, in the order of the attribute `paths`. */
uint64_t checkpoint_checksum_begin(int64_t sequence, int64_t step, double time);
uint64_t checkpoint_checksum_add(uint64_t checksum, const void *data, size_t size);

#endif
