/* How a frame lies in memory: behind the message's header a section for each group that is due, in it the fields, dense
 * and in their stored types. Planned once, when the schema is complete. */
#ifndef WRITE_FRAME_H
#define WRITE_FRAME_H

#include "model/schema.h"
#include "write/message.h"

struct section_layout {
    size_t bytes;        /* a multiple of MESSAGE_ALIGNMENT; 0: the group is not enabled */
    size_t stored_bytes; /* of the fields alone */
    size_t field_count;  /* of the schema's group, with those not enabled */
    size_t *offsets;     /* [field_count] in the section; FIELD_ABSENT: not enabled */
};

#define FIELD_ABSENT SIZE_MAX

struct frame_layout {
    struct section_layout *sections; /* [section_count], as the schema's groups */
    size_t section_count;
    size_t most_fields; /* in one group */
    size_t largest;     /* a message with all groups that have rows */
};

/* OUT_OF_RANGE if frames are larger than memory can be; OUT_OF_MEMORY. */
trajlog_status frame_layout_make(struct frame_layout *layout, const struct schema *schema, struct error *error);
void frame_layout_free(struct frame_layout *layout);

/* Bytes of a message with these groups. */
size_t frame_bytes(const struct frame_layout *layout, const uint32_t *groups, size_t group_count);

/* Writes down which sections follow; the message's room must be frame_bytes. */
void frame_begin(struct message *message, const uint32_t *groups, size_t group_count, int64_t step, double time);

/* Walks through the sections: first(), then next() of the one before, in the order of `groups`. */
void *frame_first_section(const struct message *message);
void *frame_next_section(const struct frame_layout *layout, uint32_t group, void *section);

/* Pointers to a section's fields, NULL for those not enabled. `fields` has room for most_fields. */
void section_fields(const struct section_layout *section, const void *memory, const void **fields);

#endif
