/* trajlog info FILE [--json]: what is in a file, on one screen. */
#include <argp.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"
#include "trajlog.h"

struct arguments {
    const char *path;
    bool json;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'j':
        arguments->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->path) argp_error(state, "one file at a time");
        arguments->path = argument;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---------------------------------------------------------------------------------------------------------------------
 * For people
 * ------------------------------------------------------------------------------------------------------------------ */

static char *size_text(int64_t bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++) value /= 1024;
    snprintf(text, size, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return text;
}

static char *shape_text(const trajlog_shape *shape, char *text, size_t size)
{
    size_t used = 0;
    snprintf(text, size, "scalar");
    for (int32_t i = 0; i < shape->rank; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? " x " : "", (long long)shape->dims[i]);
    return text;
}

/* "float64", or "float64 as float32" where the file has it in another type. */
static char *type_text(const trajlog_field_info *field, char *text, size_t size)
{
    char stored[32];
    if (field->stored_type == 0) snprintf(text, size, "?");
    else trajlog_type_name(field->type, text, size);
    if (field->stored_type == field->type) return text;
    size_t used = strlen(text);
    snprintf(text + used, size - used, " as %s", trajlog_type_name(field->stored_type, stored, sizeof stored));
    return text;
}

static int64_t stored_bytes(const trajlog_reader *reader, int32_t group)
{
    int64_t bytes = 0;
    const trajlog_field_info *field;
    for (int32_t i = 0; (field = trajlog_reader_field(reader, group, i)); i++) bytes += field->stored_bytes;
    return bytes;
}

static void print_file(const trajlog_reader *reader)
{
    const trajlog_file_info *file = trajlog_reader_file(reader);
    int64_t bytes = 0;
    char size[32];
    for (int32_t i = 0; i < file->group_count; i++) bytes += stored_bytes(reader, i);
    print_safely(file->path);
    if (file->format_version == 0) printf(": seed system (kUPS)");
    else printf(": trajlog format %d", (int)file->format_version);
    printf(", %d group%s, %s of data", (int)file->group_count, file->group_count == 1 ? "" : "s",
           size_text(bytes, size, sizeof size));
    if (file->actual_steps > 0) printf(", last step %lld", (long long)(file->actual_steps - 1));
    if (file->dropped > 0) printf(", %lld frames dropped", (long long)file->dropped);
    putchar('\n');
}

static void print_checkpoints(const trajlog_group_info *group)
{
    if (group->checkpoint_count == 0) {
        printf("  no complete one\n");
        return;
    }
    printf("  %d slot%s, newest step %lld, time %.10g\n", (int)group->checkpoint_count,
           group->checkpoint_count == 1 ? "" : "s", (long long)group->last_step, group->last_time);
}

static void print_group(const trajlog_group_info *group)
{
    putchar('\n');
    print_safely(group->name);
    if (group->checkpoint) {
        print_checkpoints(group);
        return;
    }
    printf("  (");
    print_safely(group->frequency);
    putchar(')');
    if (group->once) printf("%s", group->rows ? "" : "  not written");
    else printf("  %lld row%s", (long long)group->rows, group->rows == 1 ? "" : "s");
    if (!isnan(group->first_time))
        printf(", steps %lld to %lld, time %.10g to %.10g", (long long)group->first_step, (long long)group->last_step,
               group->first_time, group->last_time);
    putchar('\n');
}

static void print_padded(const char *text, int width)
{
    int shown = 0; /* characters, of which UTF-8 has one for each byte that does not continue another */
    for (const char *c = text; *c; c++) shown += ((unsigned char)*c & 0xc0) != 0x80;
    print_safely(text);
    printf("%*s", shown < width ? width - shown : 0, "");
}

struct widths {
    int name, type, shape, unit;
};

static int wider(int width, const char *text)
{
    int length = (int)strlen(text);
    return length > width && length <= 40 ? length : width;
}

static struct widths column_widths(const trajlog_reader *reader, int32_t groups)
{
    struct widths widths = {4, 7, 6, 0};
    const trajlog_field_info *field;
    char text[160];
    for (int32_t g = 0; g < groups; g++)
        for (int32_t f = 0; (field = trajlog_reader_field(reader, g, f)); f++) {
            widths.name = wider(widths.name, field->name);
            widths.type = wider(widths.type, type_text(field, text, sizeof text));
            widths.shape = wider(widths.shape, shape_text(&field->shape, text, sizeof text));
            widths.unit = wider(widths.unit, field->unit);
        }
    return widths;
}

/* What was done to the values: "  64 rows per chunk, shuffle, deflate 1 (to 41 %), error <= 0.0005 nm". */
static void print_storage(const trajlog_field_info *field)
{
    printf("  %s", field->storage);
    /* Chunks that are not full yet take the room of full ones: nothing to tell then. */
    if (strchr(field->storage, ',') != NULL && field->stored_bytes < field->data_bytes)
        printf(" (to %.0f %%)", 100 * (double)field->stored_bytes / (double)field->data_bytes);
    if (field->max_error > 0) {
        printf(", error <= %.6g%s", field->max_error, *field->unit ? " " : "");
        print_safely(field->unit);
    }
    if (field->significant_digits > 0)
        printf(", %d digit%s", (int)field->significant_digits, field->significant_digits == 1 ? "" : "s");
}

static void print_field(const trajlog_field_info *field, const struct widths *widths)
{
    char text[160];
    printf("  ");
    print_padded(field->name, widths->name + 2);
    print_padded(type_text(field, text, sizeof text), widths->type + 2);
    print_padded(field->stored_type ? shape_text(&field->shape, text, sizeof text) : "?", widths->shape + 2);
    if (widths->unit) print_padded(field->unit, widths->unit + 2);
    printf("%10s", size_text(field->stored_bytes, text, sizeof text));
    if (field->stored_type) print_storage(field);
    else printf("  %s", field->description);
    putchar('\n');
}

/* The state that a run goes on from, in few lines: name, type, shape and unit of each field. */
static void print_state(const trajlog_reader *reader, int32_t group)
{
    char type[64], shape[160];
    const trajlog_field_info *field;
    size_t column = 0;
    for (int32_t i = 0; (field = trajlog_reader_field(reader, group, i)); i++) {
        type_text(field, type, sizeof type);
        shape_text(&field->shape, shape, sizeof shape);
        size_t length = strlen(field->name) + strlen(type) + strlen(shape) + strlen(field->unit) + 5;
        bool fits = i > 0 && column + length <= 98;
        fputs(i == 0 ? "  " : fits ? ", " : ",\n  ", stdout);
        print_safely(field->name);
        printf(" %s %s%s", type, shape, *field->unit ? " " : "");
        print_safely(field->unit);
        column = (fits ? column : 0) + length;
    }
    if (column > 0) putchar('\n');
}

static void print_text(const trajlog_reader *reader)
{
    int32_t groups = trajlog_reader_file(reader)->group_count;
    struct widths widths = column_widths(reader, groups);
    const trajlog_field_info *field;
    print_file(reader);
    for (int32_t g = 0; g < groups; g++) {
        print_group(trajlog_reader_group(reader, g));
        if (trajlog_reader_group(reader, g)->checkpoint) print_state(reader, g);
        else
            for (int32_t f = 0; (field = trajlog_reader_field(reader, g, f)); f++) print_field(field, &widths);
    }
}

/* ---------------------------------------------------------------------------------------------------------------------
 * For programs. What does not fit, or is no UTF-8, makes the whole object NULL, which is noticed at the end.
 * ------------------------------------------------------------------------------------------------------------------ */

static json_t *parsed(const char *text)
{
    return json_loads(text, 0, NULL);
}

static json_t *time_json(double time)
{
    return isfinite(time) ? json_real(time) : json_null();
}

static json_t *shape_json(const trajlog_shape *shape)
{
    json_t *dims = json_array();
    for (int32_t i = 0; i < shape->rank; i++)
        if (json_array_append_new(dims, json_integer(shape->dims[i])) != 0) break;
    return dims;
}

static json_t *type_json(trajlog_type type)
{
    char text[32];
    return type ? json_string(trajlog_type_name(type, text, sizeof text)) : json_null();
}

static json_t *field_json(const trajlog_field_info *field)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:o}", "name", field->name, "type",
                     type_json(field->type), "stored_type", type_json(field->stored_type), "shape",
                     shape_json(&field->shape), "unit", field->unit, "description", field->description, "storage",
                     field->storage, "max_error", field->max_error > 0 ? json_real(field->max_error) : json_null(),
                     "significant_digits",
                     field->significant_digits > 0 ? json_integer(field->significant_digits) : json_null(),
                     "data_bytes", (json_int_t)field->data_bytes, "stored_bytes", (json_int_t)field->stored_bytes,
                     "metadata", parsed(field->metadata));
}

static json_t *group_json(const trajlog_reader *reader, int32_t index)
{
    const trajlog_group_info *group = trajlog_reader_group(reader, index);
    const trajlog_field_info *field;
    bool has_steps = !isnan(group->first_time);
    json_t *fields = json_array();
    for (int32_t i = 0; (field = trajlog_reader_field(reader, index, i)); i++)
        if (json_array_append_new(fields, field_json(field)) != 0) {
            json_decref(fields);
            return NULL;
        }
    return json_pack("{s:s, s:b, s:b, s:i, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "name", group->name, "once",
                     group->once, "checkpoint", group->checkpoint, "checkpoint_count", (int)group->checkpoint_count,
                     "frequency", group->frequency, "rows", (json_int_t)group->rows, "first_step",
                     has_steps ? json_integer(group->first_step) : json_null(), "last_step",
                     has_steps ? json_integer(group->last_step) : json_null(), "first_time",
                     time_json(group->first_time), "last_time", time_json(group->last_time), "metadata",
                     parsed(group->metadata), "fields", fields);
}

static json_t *groups_json(const trajlog_reader *reader)
{
    json_t *groups = json_array();
    for (int32_t i = 0; i < trajlog_reader_file(reader)->group_count; i++)
        if (json_array_append_new(groups, group_json(reader, i)) != 0) {
            json_decref(groups);
            return NULL;
        }
    return groups;
}

static json_t *drops_json(trajlog_reader *reader)
{
    size_t count = 0;
    if (trajlog_reader_drops(reader, NULL, 0, &count) != TRAJLOG_OK) return NULL;
    trajlog_drop *drops = calloc(count ? count : 1, sizeof *drops);
    json_t *list = NULL;
    if (drops && trajlog_reader_drops(reader, drops, count, &count) == TRAJLOG_OK) list = json_array();
    for (size_t i = 0; list && i < count; i++)
        json_array_append_new(list,
                              json_pack("{s:I, s:I, s:I}", "first_step", (json_int_t)drops[i].first_step, "last_step",
                                        (json_int_t)drops[i].last_step, "frames", (json_int_t)drops[i].frames));
    free(drops);
    return list;
}

static json_t *file_json(trajlog_reader *reader)
{
    const trajlog_file_info *file = trajlog_reader_file(reader);
    return json_pack("{s:s, s:i, s:o, s:I, s:o, s:o, s:o, s:o}", "path", file->path, "format_version",
                     (int)file->format_version, "actual_steps",
                     file->actual_steps >= 0 ? json_integer(file->actual_steps) : json_null(), "dropped",
                     (json_int_t)file->dropped, "metadata", parsed(file->metadata), "environment",
                     parsed(file->environment), "groups", groups_json(reader), "drops", drops_json(reader));
}

static int print_json(trajlog_reader *reader)
{
    json_t *json = file_json(reader);
    if (!json) {
        fprintf(stderr, "trajlog info: %s: its description cannot be put into JSON\n",
                trajlog_reader_file(reader)->path);
        return EXIT_TROUBLE;
    }
    bool good = json_dumpf(json, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF;
    json_decref(json);
    return good ? EXIT_GOOD : EXIT_TROUBLE;
}

/* ------------------------------------------------------------------------------------------------------------------ */

static int show(trajlog_reader *reader, const struct arguments *arguments)
{
    int status = EXIT_GOOD;
    if (arguments->json) status = print_json(reader);
    else print_text(reader);
    return tool_end("trajlog info", status);
}

int tool_info(int argc, char **argv)
{
    static const struct argp_option options[] = {{"json", 'j', NULL, 0, "Print JSON, for programs", 0}, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "FILE",
        .doc = "Show what is in FILE: groups, fields, types, shapes of one frame, units, frequencies, rows, time span, "
               "bytes in the file, how they are stored, and how they were rounded. FILE may be one that is being "
               "written."};
    struct arguments arguments = {NULL, false};
    trajlog_reader *reader = NULL;
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0) return EXIT_USAGE;
    trajlog_status opened = trajlog_open(&reader, arguments.path);
    int status = opened == TRAJLOG_OK ? show(reader, &arguments) : tool_failed("trajlog info", opened);
    trajlog_reader_close(&reader);
    return status;
}
