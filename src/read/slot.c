#include "read/slot.h"

#include <stdlib.h>

trajlog_status slots_read(const struct scan_group *group, struct slot slots[CHECKPOINT_SLOTS], struct error *error)
{
    int64_t sequence[CHECKPOINT_SLOTS], step[CHECKPOINT_SLOTS];
    double time[CHECKPOINT_SLOTS];
    uint64_t checksum[CHECKPOINT_SLOTS];
    TRY(dataset_read(&group->sequence, 0, 1, CHECKPOINT_SLOTS, sequence, error));
    TRY(dataset_read(&group->step, 0, 1, CHECKPOINT_SLOTS, step, error));
    TRY(dataset_read(&group->time, 0, 1, CHECKPOINT_SLOTS, time, error));
    TRY(dataset_read(&group->checksum, 0, 1, CHECKPOINT_SLOTS, checksum, error));
    for (int i = 0; i < CHECKPOINT_SLOTS; i++) slots[i] = (struct slot){sequence[i], step[i], time[i], checksum[i]};
    return TRAJLOG_OK;
}

int slots_order(const struct slot slots[CHECKPOINT_SLOTS], int order[CHECKPOINT_SLOTS])
{
    int count = 0;
    for (int i = 0; i < CHECKPOINT_SLOTS; i++) {
        if (slots[i].sequence <= 0) continue;
        int place = count++;
        for (; place > 0 && slots[order[place - 1]].sequence < slots[i].sequence; place--)
            order[place] = order[place - 1];
        order[place] = i;
    }
    return count;
}

static trajlog_status read_row(const struct dataset *dataset, int number, uint64_t *checksum, slot_taker take,
                               size_t field, void *context, struct error *error)
{
    void *row = NULL;
    TRY(rows_allocate(dataset, dataset->type, 1, &row, error));
    trajlog_status status = dataset_read(dataset, number, 1, 1, row, error);
    if (status == TRAJLOG_OK) *checksum = checkpoint_checksum_add(*checksum, row, dataset->bytes);
    if (status == TRAJLOG_OK && take) status = take(field, dataset, row, context, error);
    free(row);
    return status;
}

trajlog_status slot_read_state(const struct scan_group *group, const struct slot *slot, int number, slot_taker take,
                               void *context, struct error *error)
{
    uint64_t checksum = checkpoint_checksum_begin(slot->sequence, slot->step, slot->time);
    for (size_t i = 0; i < group->field_count; i++) {
        const struct dataset *dataset = &group->fields[i].dataset;
        trajlog_status status = read_row(dataset, number, &checksum, take, i, context, error);
        if (status != TRAJLOG_OK) error_prefix(error, "field \"%s\"", dataset->name);
        TRY(status);
    }
    if (checksum == slot->checksum) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_INVALID_FILE, 0,
                     "the state of step %lld, in slot %d, is damaged: its checksum is %016llx, and %016llx was written",
                     (long long)slot->step, number, (unsigned long long)checksum, (unsigned long long)slot->checksum);
}
