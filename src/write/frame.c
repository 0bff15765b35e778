#include "write/frame.h"

#include <stdlib.h>
#include <string.h>

/* Large fields begin on cache lines, where copies are fastest; small ones lie close together. */
#define LARGE_FIELD 256

static bool place_field(struct section_layout *section, size_t index, const struct field *field)
{
    if (!field->enabled) {
        section->offsets[index] = FIELD_ABSENT;
        return true;
    }
    size_t alignment = field->stored_bytes >= LARGE_FIELD ? MESSAGE_ALIGNMENT : sizeof(double);
    size_t offset;
    if (__builtin_add_overflow(section->bytes, alignment - 1, &offset)) return false;
    offset -= offset % alignment;
    section->offsets[index] = offset;
    section->stored_bytes += field->stored_bytes;
    return !__builtin_add_overflow(offset, field->stored_bytes, &section->bytes);
}

static trajlog_status plan_section(struct section_layout *section, const struct group *group, struct error *error)
{
    section->field_count = group->field_count;
    section->offsets = calloc(group->field_count + 1, sizeof *section->offsets);
    if (section->offsets == NULL)
        return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "group \"%s\": no memory to plan its frames", group->name);
    if (!group->enabled) return TRAJLOG_OK;
    for (size_t i = 0; i < group->field_count; i++)
        if (!place_field(section, i, group->fields[i]) || section->bytes > SIZE_MAX / 4)
            return error_set(error, TRAJLOG_OUT_OF_RANGE, 0, "group \"%s\": a frame of its fields exceeds all memory",
                             group->name);
    section->bytes = message_round_up(section->bytes);
    return TRAJLOG_OK;
}

static size_t header_bytes(size_t section_count)
{
    return message_round_up(offsetof(struct message, groups) + section_count * sizeof(uint32_t));
}

static trajlog_status plan(struct frame_layout *layout, const struct schema *schema, struct error *error)
{
    for (size_t i = 0; i < schema->group_count; i++) {
        const struct group *group = schema->groups[i];
        TRY(plan_section(&layout->sections[i], group, error));
        if (group->field_count > layout->most_fields) layout->most_fields = group->field_count;
        if (group_is_once(group) || group->checkpoint) continue;
        if (__builtin_add_overflow(layout->largest, layout->sections[i].bytes, &layout->largest) ||
            layout->largest > SIZE_MAX / 4)
            return error_set(error, TRAJLOG_OUT_OF_RANGE, 0, "a frame of all groups exceeds all memory");
    }
    layout->largest += header_bytes(schema->group_count);
    return TRAJLOG_OK;
}

trajlog_status frame_layout_make(struct frame_layout *layout, const struct schema *schema, struct error *error)
{
    memset(layout, 0, sizeof *layout);
    if (schema->group_count > UINT32_MAX)
        return error_set(error, TRAJLOG_OUT_OF_RANGE, 0, "%zu groups are too many", schema->group_count);
    layout->sections = calloc(schema->group_count + 1, sizeof *layout->sections);
    if (layout->sections == NULL) return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory to plan the frames");
    layout->section_count = schema->group_count;
    trajlog_status status = plan(layout, schema, error);
    if (status != TRAJLOG_OK) frame_layout_free(layout);
    return status;
}

void frame_layout_free(struct frame_layout *layout)
{
    for (size_t i = 0; i < layout->section_count; i++) free(layout->sections[i].offsets);
    free(layout->sections);
    memset(layout, 0, sizeof *layout);
}

size_t frame_bytes(const struct frame_layout *layout, const uint32_t *groups, size_t group_count)
{
    size_t bytes = header_bytes(group_count);
    for (size_t i = 0; i < group_count; i++) bytes += layout->sections[groups[i]].bytes;
    return bytes;
}

void frame_begin(struct message *message, const uint32_t *groups, size_t group_count, int64_t step, double time)
{
    message->section_count = (uint32_t)group_count;
    message->step = step;
    message->time = time;
    message->drop = (trajlog_drop){0, 0, 0};
    for (size_t i = 0; i < group_count; i++) message->groups[i] = groups[i];
}

void *frame_first_section(const struct message *message)
{
    return (unsigned char *)message + header_bytes(message->section_count);
}

void *frame_next_section(const struct frame_layout *layout, uint32_t group, void *section)
{
    return (unsigned char *)section + layout->sections[group].bytes;
}

void section_fields(const struct section_layout *section, const void *memory, const void **fields)
{
    for (size_t i = 0; i < section->field_count; i++) {
        bool absent = section->offsets[i] == FIELD_ABSENT;
        fields[i] = absent ? NULL : (const unsigned char *)memory + section->offsets[i];
    }
}
