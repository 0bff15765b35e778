/* The slots of a group of checkpoints, which are replaced in turn; see store/checkpoint.h. A state is read whole, since
 * only that shows whether it is right. */
#ifndef READ_SLOT_H
#define READ_SLOT_H

#include <hdf5.h>

#include "read/scan.h"
#include "store/checkpoint.h"

struct slot {
    int64_t sequence; /* 0: being replaced, or never written */
    int64_t step;
    double time;
    uint64_t checksum;
};

/* What the slots say of themselves. Errors as dataset_read. */
trajlog_status slots_read(const struct scan_group *group, struct slot slots[CHECKPOINT_SLOTS], struct error *error);

/* The numbers of those that are complete, by their own word, the newest first; returns how many they are. */
int slots_order(const struct slot slots[CHECKPOINT_SLOTS], int order[CHECKPOINT_SLOTS]);

/* Reads the state in slot `number` and hands it on: `take` gets each field's row, as stored; NULL: nobody wants it.
 * INVALID_FILE: the state is not what the writer put there; else the errors of dataset_read and of `take`. */
typedef trajlog_status (*slot_taker)(size_t field, const struct dataset *dataset, const void *row, void *context,
                                     struct error *error);
trajlog_status slot_read_state(const struct scan_group *group, const struct slot *slot, int number, slot_taker take,
                               void *context, struct error *error);

#endif
