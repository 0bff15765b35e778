#include "write/frame.h"

#include <stdlib.h>
#include <string.h>

#include "model/role.h"

/* Large fields begin on cache lines, where copies are fastest; small ones lie close together. */
#define LARGE_FIELD 256

static void place_particles(struct section_layout *section, size_t index, const struct field *field)
{
    section->offsets[index] = FIELD_VARIES;
    section->particle_bytes[index] = field->stored_bytes / (size_t)field->shape.dims[0];
    section->varying_bytes += section->particle_bytes[index];
    section->varying_fields++;
    section->room = field->shape.dims[0];
}

static bool place_field(struct section_layout *section, size_t index, const struct field *field)
{
    if (!field->enabled) {
        section->offsets[index] = FIELD_ABSENT;
        return true;
    }
    if (section->particle_bytes != NULL && role_is_of_particles(field->role)) {
        place_particles(section, index, field);
        return true;
    }
    if (strcmp(field->name, COUNT_FIELD) == 0) section->count_field = index;
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
    if (group->varying) section->particle_bytes = calloc(group->field_count + 1, sizeof *section->particle_bytes);
    if (section->offsets == NULL || (group->varying && section->particle_bytes == NULL))
        return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "group \"%s\": no memory to plan its frames", group->name);
    if (!group->enabled) return TRAJLOG_OK;
    for (size_t i = 0; i < group->field_count; i++)
        if (!place_field(section, i, group->fields[i]) || section->bytes > SIZE_MAX / 4)
            return error_set(error, TRAJLOG_OUT_OF_RANGE, 0, "group \"%s\": a frame of its fields exceeds all memory",
                             group->name);
    section->bytes = message_round_up(section->bytes);
    return TRAJLOG_OK;
}

/* The fields of particles, each rounded up. */
static bool particles_fit(const struct section_layout *section, int64_t particles, size_t *bytes)
{
    size_t padding = section->varying_fields * MESSAGE_ALIGNMENT;
    return !__builtin_mul_overflow(section->varying_bytes, (size_t)particles, bytes) &&
           !__builtin_add_overflow(*bytes, section->bytes + padding, bytes) && *bytes <= SIZE_MAX / 4;
}

size_t section_bytes(const struct section_layout *section, int64_t particles)
{
    size_t bytes = section->bytes;
    for (size_t i = 0; section->particle_bytes != NULL && i < section->field_count; i++)
        bytes += message_round_up(section->particle_bytes[i] * (size_t)particles);
    return bytes;
}

static size_t header_bytes(size_t section_count)
{
    return message_round_up(offsetof(struct message, groups) + section_count * sizeof(uint32_t));
}

static trajlog_status add_largest(struct frame_layout *layout, const struct section_layout *section,
                                  struct error *error)
{
    size_t bytes;
    if (particles_fit(section, section->room, &bytes) &&
        !__builtin_add_overflow(layout->largest, section_bytes(section, section->room), &layout->largest) &&
        layout->largest <= SIZE_MAX / 4)
        return TRAJLOG_OK;
    return error_set(error, TRAJLOG_OUT_OF_RANGE, 0, "a frame of all groups exceeds all memory");
}

static trajlog_status plan(struct frame_layout *layout, const struct schema *schema, struct error *error)
{
    for (size_t i = 0; i < schema->group_count; i++) {
        const struct group *group = schema->groups[i];
        TRY(plan_section(&layout->sections[i], group, error));
        if (group->field_count > layout->most_fields) layout->most_fields = group->field_count;
        if (group_is_once(group) || group->checkpoint) continue;
        TRY(add_largest(layout, &layout->sections[i], error));
    }
    layout->largest += header_bytes(schema->group_count);
    return TRAJLOG_OK;
}

trajlog_status frame_make_room(struct frame_layout *layout, uint32_t group, int64_t particles, struct error *error)
{
    struct section_layout *section = &layout->sections[group];
    const int64_t room = section->room;
    const size_t largest = layout->largest;
    layout->largest -= section_bytes(section, section->room);
    section->room = particles;
    if (add_largest(layout, section, error) == TRAJLOG_OK) return TRAJLOG_OK;
    section->room = room;
    layout->largest = largest;
    return TRAJLOG_OUT_OF_RANGE;
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
    for (size_t i = 0; i < layout->section_count; i++) {
        free(layout->sections[i].offsets);
        free(layout->sections[i].particle_bytes);
    }
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
    const struct section_layout *plan = &layout->sections[group];
    return (unsigned char *)section + section_bytes(plan, section_particles(plan, section));
}

int64_t section_particles(const struct section_layout *section, const void *memory)
{
    int64_t particles = 0;
    if (section->particle_bytes != NULL)
        memcpy(&particles, (const unsigned char *)memory + section->offsets[section->count_field], sizeof particles);
    return particles;
}

int64_t section_stored_bytes(const struct section_layout *section, int64_t particles)
{
    return (int64_t)(section->stored_bytes + section->varying_bytes * (size_t)particles);
}

void section_fields(const struct section_layout *section, const void *memory, const void **fields)
{
    const int64_t particles = section_particles(section, memory);
    size_t end = section->bytes;
    for (size_t i = 0; i < section->field_count; i++) {
        size_t place = section_place(section, i, particles, &end);
        fields[i] = place == FIELD_ABSENT ? NULL : (const unsigned char *)memory + place;
    }
}
