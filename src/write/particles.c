#include "write/particles.h"

#include <string.h>

#include "model/role.h"

/* The capacity that the fields of a group agree on. */
static int64_t common_capacity(const struct group *group)
{
    int64_t capacity = 0;
    for (size_t i = 0; i < group->field_count; i++) {
        const struct field *field = group->fields[i];
        if (!field->enabled || !role_is_of_particles(field->role)) continue;
        if (capacity == 0) capacity = field->shape.dims[0];
        if (capacity != field->shape.dims[0]) return -1;
    }
    return capacity;
}

/* Another group's field of the same particles has the capacity too, and would not grow with this one's. */
static bool is_shared(const struct schema *schema, const struct group *group, const char *particles)
{
    for (size_t i = 0; i < schema->group_count; i++) {
        const struct group *other = schema->groups[i];
        for (size_t k = 0; other != group && other->enabled && k < other->field_count; k++) {
            const struct field *field = other->fields[k];
            if (field->enabled && role_is_of_particles(field->role) && strcmp(field->particles, particles) == 0)
                return true;
        }
    }
    return false;
}

#define LARGEST_FIELD ((size_t)1 << 47) /* as shape_bytes has it */

static void limit(struct particles_view *particles, const struct schema *schema, const struct group *group,
                  const struct field *field)
{
    size_t bytes = field->memory_bytes > field->stored_bytes ? field->memory_bytes : field->stored_bytes;
    int64_t most = (int64_t)(LARGEST_FIELD / (bytes / (size_t)field->shape.dims[0]));
    if (most < particles->most) {
        particles->most = most;
        particles->bound = "as many as fit in a frame";
    }
    if (particles->capacity >= particles->most || !is_shared(schema, group, field->particles)) return;
    particles->most = particles->capacity;
    particles->bound = "the capacity, which does not grow, as another group has fields of these particles";
}

void particles_prepare(struct particles_view *particles, const struct schema *schema, struct group *group)
{
    particles->capacity = common_capacity(group);
    particles->most = group->most > 0 ? group->most : INT64_MAX;
    particles->bound = "the limit";
    for (size_t i = 0; i < group->field_count && particles->capacity > 0; i++) {
        const struct field *field = group->fields[i];
        if (field->enabled && field_varies(group, field)) limit(particles, schema, group, field);
    }
    group->most = particles->most;
}

trajlog_status particles_check_order(const struct particles_view *particles, struct error *error)
{
    if (particles->order == NULL) return TRAJLOG_OK;
    for (int64_t k = 0; k < particles->now; k++) {
        if (particles->order[k] >= 0 && particles->order[k] < particles->capacity) continue;
        return error_set(error, TRAJLOG_OUT_OF_RANGE, 0, "order[%lld] is %lld: expected a place from 0 to %lld",
                         (long long)k, (long long)particles->order[k], (long long)particles->capacity - 1);
    }
    return TRAJLOG_OK;
}

trajlog_status particles_look(struct particles_view *particles, struct error *error)
{
    if (particles->count == NULL && particles->order == NULL) return TRAJLOG_OK;
    if (particles->capacity <= 0)
        return error_set(
            error, TRAJLOG_INVALID_ARGUMENT, 0,
            "its particles have a count or an order: expected fields with roles of [N, ...], all of one N");
    particles->now = particles->count != NULL ? *particles->count : particles->capacity;
    if (particles->now >= 0 && particles->now <= particles->most) return TRAJLOG_OK;
    return error_set(error, TRAJLOG_OUT_OF_RANGE, 0, "the count is %lld: expected 0 to %lld, %s",
                     (long long)particles->now, (long long)particles->most, particles->bound);
}

bool particles_concern(const struct particles_view *particles, const struct field *field)
{
    return (particles->count != NULL || particles->order != NULL) && role_is_of_particles(field->role);
}

/* Where the particles of a view lie: `first` is particle 0, each of them `rest` elements in `strides`. */
struct source {
    const unsigned char *first;
    ptrdiff_t strides[TRAJLOG_MAX_RANK]; /* the first one leads from particle to particle */
};

static trajlog_status find_source(struct source *source, const struct view *view, const struct field *field,
                                  const void *state, struct error *error)
{
    ptrdiff_t stride = (ptrdiff_t)trajlog_type_size(field->type);
    for (int32_t i = field->shape.rank - 1; i >= 0; i--) {
        source->strides[i] = view->kind == VIEW_ARRAY && view->strided ? view->strides[i] : stride;
        stride *= (ptrdiff_t)field->shape.dims[i];
    }
    if (view->kind == VIEW_ARRAY) {
        source->first = view->data;
        return TRAJLOG_OK;
    }
    int failed = view->fill(view->scratch, state, view->context);
    if (failed != 0) return error_set(error, TRAJLOG_CALLBACK_FAILED, 0, "the callback returned %d", failed);
    source->first = view->scratch;
    return TRAJLOG_OK;
}

static trajlog_status copy_together(const struct source *source, const struct field *field, void *to, int64_t count,
                                    struct error *error)
{
    struct gather gather;
    trajlog_shape shape = field->shape;
    shape.dims[0] = count;
    if (count == 0) return TRAJLOG_OK;
    TRY(gather_make(&gather, field->stored_type, field->type, &shape, source->strides, error));
    return gather_run(&gather, to, source->first, error);
}

static trajlog_status copy_in_order(const struct source *source, const struct field *field, unsigned char *to,
                                    int64_t count, const int64_t *order, struct error *error)
{
    struct gather gather;
    trajlog_shape shape = {.rank = field->shape.rank - 1};
    memcpy(shape.dims, field->shape.dims + 1, (size_t)shape.rank * sizeof shape.dims[0]);
    TRY(gather_make(&gather, field->stored_type, field->type, &shape, source->strides + 1, error));
    for (int64_t k = 0; k < count; k++, to += gather.to_bytes)
        TRY(gather_run(&gather, to, source->first + (ptrdiff_t)order[k] * source->strides[0], error));
    return TRAJLOG_OK;
}

trajlog_status particles_copy(const struct particles_view *particles, const struct view *view,
                              const struct field *field, void *to, const void *state, struct error *error)
{
    struct source source = {0};
    if (view->fortran && particles->now > field->shape.dims[0])
        return error_set(
            error, TRAJLOG_OUT_OF_RANGE, 0,
            "%lld particles of an array that was bound by trajlog_bind_fortran, for %lld: bind a larger one by "
            "trajlog_bind, with its strides",
            (long long)particles->now, (long long)field->shape.dims[0]);
    TRY(find_source(&source, view, field, state, error));
    if (particles->order == NULL) return copy_together(&source, field, to, particles->now, error);
    return copy_in_order(&source, field, to, particles->now, particles->order, error);
}
