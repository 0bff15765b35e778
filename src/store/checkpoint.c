#include "store/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "store/attribute.h"
#include "store/checksum.h"

/* ---------------------------------------------------------------------------------------------------------------------
 * Checksums
 * ------------------------------------------------------------------------------------------------------------------ */

/* Fowler, Noll and Vo's hash, variant 1a, of 64 bits. */
uint64_t checkpoint_checksum_add(uint64_t checksum, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) checksum = (checksum ^ bytes[i]) * UINT64_C(0x100000001b3);
    return checksum;
}

uint64_t checkpoint_checksum_begin(int64_t sequence, int64_t step, double time)
{
    unsigned char bytes[24];
    uint64_t time_bits;
    memcpy(&time_bits, &time, sizeof time_bits);
    put_u64(bytes, (uint64_t)sequence);
    put_u64(bytes + 8, (uint64_t)step);
    put_u64(bytes + 16, time_bits);
    return checkpoint_checksum_add(UINT64_C(0xcbf29ce484222325), bytes, sizeof bytes);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Making and opening
 * ------------------------------------------------------------------------------------------------------------------ */

typedef trajlog_status column_maker(struct column *, struct column_context *, hid_t, const struct column_layout *,
                                    int64_t, struct error *);

static trajlog_status make_fields(struct checkpoint *checkpoint, struct column_context *context, hid_t location,
                                  column_maker *make, struct error *error)
{
    const struct group *model = checkpoint->model;
    for (size_t i = 0; i < model->field_count; i++) {
        const struct field *field = model->fields[i];
        struct column_layout layout = {
            .group = model->name, .field = field->name, .type = field->stored_type, .shape = field->shape};
        if (field->enabled) TRY(make(&checkpoint->fields[i], context, location, &layout, CHECKPOINT_SLOTS, error));
    }
    return TRAJLOG_OK;
}

static trajlog_status make_columns(struct checkpoint *checkpoint, struct column_context *context, hid_t location,
                                   const struct group *model, column_maker *make, struct error *error)
{
    const struct {
        struct column *column;
        const char *name;
        trajlog_type type;
    } own[] = {{&checkpoint->step, "step", TRAJLOG_INT64},
               {&checkpoint->time, "time", TRAJLOG_FLOAT64},
               {&checkpoint->sequence, "sequence", TRAJLOG_INT64},
               {&checkpoint->checksum, "checksum", TRAJLOG_UINT64}};
    checkpoint->model = model;
    checkpoint->fields = calloc(model->field_count + 1, sizeof *checkpoint->fields);
    if (!checkpoint->fields) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "%s: out of memory", context->path);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        struct column_layout layout = {.group = model->name, .field = own[i].name, .type = own[i].type};
        TRY(make(own[i].column, context, location, &layout, CHECKPOINT_SLOTS, error));
    }
    return make_fields(checkpoint, context, location, make, error);
}

trajlog_status checkpoint_create(struct checkpoint *checkpoint, struct column_context *context, hid_t location,
                                 const struct group *model, struct error *error)
{
    memset(checkpoint, 0, sizeof *checkpoint);
    TRY(make_columns(checkpoint, context, location, model, column_create_slots, error));
    return attribute_set_text(checkpoint->checksum.dataset, "algorithm", CHECKPOINT_ALGORITHM, error);
}

static trajlog_status add_row(const struct column *column, int64_t slot, uint64_t *checksum, struct error *error)
{
    void *row = malloc(column->row_bytes);
    if (!row) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "%s: out of memory", column->context->path);
    trajlog_status status = column_read(column, slot, 1, row, error);
    if (status == TRAJLOG_OK) *checksum = checkpoint_checksum_add(*checksum, row, column->row_bytes);
    free(row);
    return status;
}

static trajlog_status read_slot(struct checkpoint *checkpoint, int slot, struct error *error)
{
    int64_t sequence, step;
    double time;
    uint64_t stored, checksum;
    TRY(column_read(&checkpoint->sequence, slot, 1, &sequence, error));
    checkpoint->slots[slot].sequence = sequence;
    if (sequence <= 0) return TRAJLOG_OK;
    TRY(column_read(&checkpoint->step, slot, 1, &step, error));
    TRY(column_read(&checkpoint->time, slot, 1, &time, error));
    TRY(column_read(&checkpoint->checksum, slot, 1, &stored, error));
    checksum = checkpoint_checksum_begin(sequence, step, time);
    for (size_t i = 0; i < checkpoint->model->field_count; i++)
        if (checkpoint->fields[i].dataset > 0) TRY(add_row(&checkpoint->fields[i], slot, &checksum, error));
    checkpoint->slots[slot].step = step;
    checkpoint->slots[slot].valid = checksum == stored;
    return TRAJLOG_OK;
}

trajlog_status checkpoint_open(struct checkpoint *checkpoint, struct column_context *context, hid_t location,
                               const struct group *model, struct error *error)
{
    memset(checkpoint, 0, sizeof *checkpoint);
    TRY(make_columns(checkpoint, context, location, model, column_open_slots, error));
    for (int slot = 0; slot < CHECKPOINT_SLOTS; slot++) TRY(read_slot(checkpoint, slot, error));
    return TRAJLOG_OK;
}

void checkpoint_close(struct checkpoint *checkpoint)
{
    column_close(&checkpoint->step);
    column_close(&checkpoint->time);
    column_close(&checkpoint->sequence);
    column_close(&checkpoint->checksum);
    for (size_t i = 0; checkpoint->fields && i < checkpoint->model->field_count; i++)
        column_close(&checkpoint->fields[i]);
    free(checkpoint->fields);
    checkpoint->fields = NULL;
    checkpoint->model = NULL;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------------------------------------------------ */

static trajlog_status set_sequence(struct checkpoint *checkpoint, int slot, int64_t sequence, struct error *error)
{
    TRY(column_write_slot(&checkpoint->sequence, slot, &sequence, error));
    checkpoint->slots[slot].sequence = sequence;
    checkpoint->slots[slot].valid = sequence > 0;
    return TRAJLOG_OK;
}

trajlog_status checkpoint_drop_after(struct checkpoint *checkpoint, int64_t step, struct error *error)
{
    for (int slot = 0; slot < CHECKPOINT_SLOTS; slot++) {
        bool kept = checkpoint->slots[slot].valid && checkpoint->slots[slot].step <= step;
        /* One that a power loss has torn does not count either; if the whole one beside it goes, it would be all there is. */
        if (kept || checkpoint->slots[slot].sequence <= 0) continue;
        TRY(set_sequence(checkpoint, slot, 0, error));
    }
    return TRAJLOG_OK;
}

/* One that does not count, or else the older one. */
static int choose_slot(const struct checkpoint *checkpoint)
{
    for (int slot = 0; slot < CHECKPOINT_SLOTS; slot++)
        if (!checkpoint->slots[slot].valid) return slot;
    return checkpoint->slots[0].sequence < checkpoint->slots[1].sequence ? 0 : 1;
}

static trajlog_status write_fields(struct checkpoint *checkpoint, const void *const *fields, uint64_t *checksum,
                                   struct error *error)
{
    for (size_t i = 0; i < checkpoint->model->field_count; i++) {
        struct column *column = &checkpoint->fields[i];
        if (column->dataset <= 0) continue;
        TRY(column_write_slot(column, checkpoint->slot, fields[i], error));
        *checksum = checkpoint_checksum_add(*checksum, fields[i], column->row_bytes);
    }
    return TRAJLOG_OK;
}

trajlog_status checkpoint_write(struct checkpoint *checkpoint, int64_t step, double time, const void *const *fields,
                                struct error *error)
{
    int64_t newest = checkpoint->slots[0].sequence, other = checkpoint->slots[1].sequence;
    checkpoint->slot = choose_slot(checkpoint);
    checkpoint->next_sequence = (other > newest ? other : newest) + 1;
    TRY(set_sequence(checkpoint, checkpoint->slot, 0, error));
    uint64_t checksum = checkpoint_checksum_begin(checkpoint->next_sequence, step, time);
    TRY(write_fields(checkpoint, fields, &checksum, error));
    TRY(column_write_slot(&checkpoint->step, checkpoint->slot, &step, error));
    TRY(column_write_slot(&checkpoint->time, checkpoint->slot, &time, error));
    TRY(column_write_slot(&checkpoint->checksum, checkpoint->slot, &checksum, error));
    checkpoint->slots[checkpoint->slot].step = step;
    return TRAJLOG_OK;
}

trajlog_status checkpoint_confirm(struct checkpoint *checkpoint, struct error *error)
{
    return set_sequence(checkpoint, checkpoint->slot, checkpoint->next_sequence, error);
}
