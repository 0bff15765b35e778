/* How a frame lies in memory: behind the message's header a section for each group that is due, in it the fields, dense
 * and in their stored types. Planned once, when the schema is complete.
 *
 * Of particles whose number varies, a frame has those that there are: their fields lie behind the others, among which
 * is the one that says how many. */
#ifndef WRITE_FRAME_H
#define WRITE_FRAME_H

#include "model/schema.h"
#include "write/message.h"

struct section_layout {
    size_t bytes;           /* a multiple of MESSAGE_ALIGNMENT; 0: the group is not enabled */
    size_t stored_bytes;    /* of the fields alone */
    size_t field_count;     /* of the schema's group, with those not enabled */
    size_t *offsets;        /* [field_count] in the section; FIELD_ABSENT: not enabled; FIELD_VARIES */
    size_t *particle_bytes; /* [field_count] of a field that varies, for one particle; NULL: none does */
    size_t count_field;     /* that says how many particles there are */
    size_t varying_bytes;   /* of all fields that vary, for one particle */
    size_t varying_fields;  /* how many there are; `bytes` and `stored_bytes` are without them */
    int64_t room;           /* the producer's: particles that the largest message has room for */
};

#define FIELD_ABSENT SIZE_MAX
#define FIELD_VARIES (SIZE_MAX - 1)

struct frame_layout {
    struct section_layout *sections; /* [section_count], as the schema's groups */
    size_t section_count;
    size_t most_fields; /* in one group */
    size_t largest;     /* a message with all groups that have rows */
};

/* OUT_OF_RANGE if frames are larger than memory can be; OUT_OF_MEMORY. */
trajlog_status frame_layout_make(struct frame_layout *layout, const struct schema *schema, struct error *error);
void frame_layout_free(struct frame_layout *layout);

/* From now on, `largest` has room for so many particles in a section. OUT_OF_RANGE. */
trajlog_status frame_make_room(struct frame_layout *layout, uint32_t group, int64_t particles, struct error *error);

/* Bytes of a message with these groups, but without particles that vary; and of a section with so many. */
size_t frame_bytes(const struct frame_layout *layout, const uint32_t *groups, size_t group_count);
size_t section_bytes(const struct section_layout *section, int64_t particles);

/* Writes down which sections follow; the message's room must be frame_bytes. */
void frame_begin(struct message *message, const uint32_t *groups, size_t group_count, int64_t step, double time);

/* Walks through the sections: first(), then next() of the one before, in the order of `groups`. */
void *frame_first_section(const struct message *message);
void *frame_next_section(const struct frame_layout *layout, uint32_t group, void *section);

/* The particles of a section that is filled, and its fields' bytes. */
int64_t section_particles(const struct section_layout *section, const void *memory);
int64_t section_stored_bytes(const struct section_layout *section, int64_t particles);

/* Where a field of so many particles lies; called for one field after the other, *end is the section's `bytes` before the
 * first one. */
static inline size_t section_place(const struct section_layout *section, size_t field, int64_t particles, size_t *end)
{
    if (section->offsets[field] != FIELD_VARIES) return section->offsets[field];
    size_t place = *end;
    *end += message_round_up(section->particle_bytes[field] * (size_t)particles);
    return place;
}

/* Pointers to a section's fields, NULL for those not enabled. `fields` has room for most_fields. */
void section_fields(const struct section_layout *section, const void *memory, const void **fields);

#endif
