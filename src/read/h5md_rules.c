/* The rules of H5MD 1.1 (https://nongnu.org/h5md/h5md.html) and of its module `units` 1.0, and whether a file keeps
 * them. Any HDF5 file, also one that is being written; opened as the reader opens logs, and by hard links only. */
#include <hdf5.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/unit.h"
#include "read/dataset.h"
#include "read/filter.h"
#include "read/input.h"
#include "store/hdf5_error.h"
#include "store/hdf5_lock.h"

/* X(RULE, name, text) */
#define RULES(X)                                                                                                       \
    X(LINKS, "file.links", "objects are reached by hard links, and their data lie in this file")                       \
    X(FILTERS, "file.filters", "steps, times, ids and tuples are stored with filters of HDF5's own")                   \
    X(H5MD, "h5md", "the root has a group h5md")                                                                       \
    X(VERSION, "h5md.version", "h5md has an attribute version, Integer[2]: 1 and 0 or 1")                              \
    X(AUTHOR, "h5md.author", "h5md has a group author with an attribute name: a scalar fixed-length string")           \
    X(EMAIL, "h5md.author.email", "the author's email, if given, is a scalar fixed-length string")                     \
    X(CREATOR, "h5md.creator",                                                                                         \
      "h5md has a group creator with attributes name and version: scalar fixed-length "                                \
      "strings")                                                                                                       \
    X(MODULES, "h5md.modules", "each group in h5md/modules has an attribute version, Integer[2]")                      \
    X(UNITS_SYSTEM, "units.system", "the module units has an attribute system: a scalar variable-length string")       \
    X(UNIT_TYPE, "units.type", "a unit is a scalar variable-length string in ASCII, where the module units applies")   \
    X(UNIT_TEXT, "units.text", "a unit is factors separated by blanks, of the SI list where the system is SI")         \
    X(ELEMENT, "element", "an element is a dataset, or a group with step and value")                                   \
    X(STEP, "element.step", "step is Integer[variable], or a scalar Integer")                                          \
    X(STEP_ORDER, "element.step.order", "steps increase")                                                              \
    X(TIME, "element.time", "time, if there, is Float or Integer and has the shape of step")                           \
    X(TIME_ORDER, "element.time.order", "times increase")                                                              \
    X(OFFSET, "element.offset", "a fixed step or time may have a scalar attribute offset")                             \
    X(VALUE, "element.value", "the first dimension of value is the length of step and time")                           \
    X(BOX, "box", "each particles group has a group box")                                                              \
    X(DIMENSION, "box.dimension", "box has an attribute dimension: a scalar Integer, at least 1")                      \
    X(BOUNDARY, "box.boundary", "box has an attribute boundary: fixed-length strings, one per dimension")              \
    X(BOUNDARY_TEXT, "box.boundary.text", "boundary says periodic or none")                                            \
    X(EDGES, "box.edges", "box has edges, unless every boundary is none")                                              \
    X(EDGES_SHAPE, "box.edges.shape", "edges are a vector [D] or a matrix [D][D], Float or Integer")                   \
    X(EDGES_TIME, "box.edges.time", "edges over time share step and time with position, by hard links")                \
    X(VECTORS, "particles.vectors", "position, velocity, force and image are [N][D], Float or Integer")                \
    X(IMAGE, "particles.image", "image comes with position, and shares its step and time by hard links")               \
    X(MASS, "particles.mass", "mass is Float[N]")                                                                      \
    X(SPECIES, "particles.species", "species is Enumeration[N] or Integer[N]")                                         \
    X(CHARGE, "particles.charge", "charge is Float[N] or Integer[N]")                                                  \
    X(CHARGE_TYPE, "particles.charge.type",                                                                            \
      "the type of charge is effective, or formal and then Integer, in a "                                             \
      "fixed-length string")                                                                                           \
    X(ID, "particles.id", "id is Integer[N]")                                                                          \
    X(ID_UNIQUE, "particles.id.unique", "ids are unique in a frame, but for the fill value")                           \
    X(COUNT, "particles.count", "all elements of a particles group have the same N")                                   \
    X(OBSERVABLES, "observables", "observables are elements, or groups of them")                                       \
    X(TUPLES, "connectivity", "connectivity elements are Integer[N][T]")                                               \
    X(REFERENCE, "connectivity.particles_group", "each refers to a group in particles by an object reference")         \
    X(TUPLE_RANGE, "connectivity.range", "tuples name particles that exist")

enum rule {
#define RULE_CODE(rule, name, text) RULE_##rule,
    RULES(RULE_CODE)
#undef RULE_CODE
        RULE_TOTAL
};

static const struct {
    const char *name, *text;
} rules[] = {
#define RULE_TEXT(rule, name, text) {name, text},
    RULES(RULE_TEXT)
#undef RULE_TEXT
};

#define MAX_PLACE   512 /* of a path, for messages */
#define MAX_DETAIL  1024
#define MAX_DEPTH   8
#define BLOCK_BYTES ((hsize_t)4 << 20)

struct verdict {
    int64_t held, broken;
    char detail[MAX_DETAIL];
};

struct exam {
    hid_t root;
    struct verdict verdicts[RULE_TOTAL];
    bool units; /* the module applies */
    bool si;    /* and its system is SI */
};

/* Writes down whether a rule holds at a place; what is found there is kept of the first few where it does not. */
static bool judge(struct exam *exam, enum rule rule, bool holds, const char *place, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static bool judge(struct exam *exam, enum rule rule, bool holds, const char *place, const char *format, ...)
{
    struct verdict *verdict = &exam->verdicts[rule];
    if (holds) {
        verdict->held++;
        return true;
    }
    size_t used = strlen(verdict->detail);
    if (verdict->broken++ < 3 && used + 8 < sizeof verdict->detail) {
        va_list arguments;
        int length =
            snprintf(verdict->detail + used, sizeof verdict->detail - used, "%s%s: ", used > 0 ? "; " : "", place);
        used = strlen(verdict->detail);
        va_start(arguments, format);
        if (length >= 0) vsnprintf(verdict->detail + used, sizeof verdict->detail - used, format, arguments);
        va_end(arguments);
    }
    return false;
}

static void join(char place[MAX_PLACE], const char *parent, const char *name)
{
    char joined[2 * MAX_PLACE];
    const size_t used = strnlen(parent, MAX_PLACE - 1), length = strnlen(name, MAX_PLACE - 1);
    memcpy(joined, parent, used);
    joined[used] = '/';
    memcpy(joined + used + 1, name, length);
    joined[used + 1 + length] = '\0';
    joined[MAX_PLACE - 1] = '\0'; /* for messages: what does not fit is cut */
    memcpy(place, joined, strlen(joined) + 1);
}

/* ---------------------------------------------------------------------------------------------------- finding things */

/* A dataset whose bytes lie in other files is not to be touched. */
static trajlog_status check_layout(hid_t object, struct error *error)
{
    if (H5Iget_type(object) != H5I_DATASET) return TRAJLOG_OK;
    hid_t properties = H5Dget_create_plist(object);
    if (properties < 0) return hdf5_error(error, "its properties cannot be read");
    trajlog_status status = dataset_check_layout(properties, error);
    H5Pclose(properties);
    return status;
}

/* The object of that name, or a negative number. What leads into another file breaks a rule, and is not followed. */
static hid_t open_member(struct exam *exam, hid_t parent, const char *name, const char *place)
{
    struct error error = {0};
    int64_t object = H5I_INVALID_HID;
    bool found = false;
    if (H5Iget_type(parent) != H5I_GROUP && H5Iget_type(parent) != H5I_FILE) return H5I_INVALID_HID;
    trajlog_status status = object_open(parent, name, &object, &found, &error);
    if (status == TRAJLOG_OK && !found) return H5I_INVALID_HID;
    if (status == TRAJLOG_OK && check_layout(object, &error) != TRAJLOG_OK) {
        status = error.status;
        H5Oclose(object);
    }
    judge(exam, RULE_LINKS, status == TRAJLOG_OK, place, "%s", error.message);
    return status == TRAJLOG_OK ? object : H5I_INVALID_HID;
}

static void close_object(hid_t object)
{
    if (object >= 0) H5Oclose(object);
}

static bool is_group(hid_t object)
{
    return object >= 0 && H5Iget_type(object) == H5I_GROUP;
}

static bool is_dataset(hid_t object)
{
    return object >= 0 && H5Iget_type(object) == H5I_DATASET;
}

static int64_t member_count(hid_t group)
{
    H5G_info_t info;
    return is_group(group) && H5Gget_info(group, &info) >= 0 && info.nlinks < INT32_MAX ? (int64_t)info.nlinks : 0;
}

static bool member_name(hid_t group, int64_t index, char name[MAX_PLACE])
{
    ssize_t length =
        H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, (hsize_t)index, name, MAX_PLACE, H5P_DEFAULT);
    return length > 0 && length < MAX_PLACE;
}

static bool is_same(hid_t one, hid_t other)
{
    H5O_info_t a, b;
    if (one < 0 || other < 0) return false;
#if H5_VERSION_GE(1, 12, 0)
    int equal = 1;
    if (H5Oget_info3(one, &a, H5O_INFO_BASIC) < 0 || H5Oget_info3(other, &b, H5O_INFO_BASIC) < 0) return false;
    return H5Otoken_cmp(one, &a.token, &b.token, &equal) >= 0 && equal == 0;
#else
    return H5Oget_info2(one, &a, H5O_INFO_BASIC) >= 0 && H5Oget_info2(other, &b, H5O_INFO_BASIC) >= 0 &&
           a.addr == b.addr;
#endif
}

/* What a dataset or an attribute holds. */
struct shape {
    H5T_class_t class;
    bool variable_text, ascii;
    int rank; /* -1: no simple or scalar dataspace */
    hsize_t dims[H5S_MAX_RANK];
};

static void look_at_type(struct shape *shape, hid_t type)
{
    shape->class = type >= 0 ? H5Tget_class(type) : H5T_NO_CLASS;
    shape->variable_text = shape->class == H5T_STRING && H5Tis_variable_str(type) > 0;
    shape->ascii = shape->class == H5T_STRING && H5Tget_cset(type) == H5T_CSET_ASCII;
    if (type >= 0) H5Tclose(type);
}

static void look_at_space(struct shape *shape, hid_t space)
{
    shape->rank = -1;
    if (space >= 0 && H5Sget_simple_extent_type(space) != H5S_NULL)
        shape->rank = H5Sget_simple_extent_dims(space, shape->dims, NULL);
    if (space >= 0) H5Sclose(space);
}

static struct shape dataset_shape(hid_t dataset)
{
    struct shape shape = {.class = H5T_NO_CLASS, .rank = -1};
    if (!is_dataset(dataset)) return shape;
    look_at_type(&shape, H5Dget_type(dataset));
    look_at_space(&shape, H5Dget_space(dataset));
    return shape;
}

static bool is_number(const struct shape *shape)
{
    return shape->class == H5T_INTEGER || shape->class == H5T_FLOAT;
}

static const char *class_text(const struct shape *shape)
{
    switch (shape->class) {
    case H5T_INTEGER:
        return "Integer";
    case H5T_FLOAT:
        return "Float";
    case H5T_STRING:
        return shape->variable_text ? "variable-length string" : "fixed-length string";
    case H5T_ENUM:
        return "Enumeration";
    case H5T_REFERENCE:
        return "reference";
    default:
        return "something else";
    }
}

/* "Float[10][3]"; returns `text`. */
static const char *shape_words(const struct shape *shape, char *text, size_t size)
{
    int used = snprintf(text, size, "%s", class_text(shape));
    if (shape->rank == 0 && used >= 0) snprintf(text + used, size - (size_t)used, "[]");
    for (int i = 0; i < shape->rank && used >= 0 && (size_t)used < size; i++) {
        int length = snprintf(text + used, size - (size_t)used, "[%llu]", (unsigned long long)shape->dims[i]);
        used = length < 0 ? -1 : used + length;
    }
    return text;
}

/* ------------------------------------------------------------------------------------------------------- attributes */

/* An attribute's shape; class H5T_NO_CLASS: there is none. Close *attribute if it is not negative. */
static struct shape open_attribute(hid_t object, const char *name, hid_t *attribute)
{
    struct shape shape = {.class = H5T_NO_CLASS, .rank = -1};
    *attribute = H5I_INVALID_HID;
    if (object < 0 || H5Aexists(object, name) <= 0) return shape;
    *attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (*attribute < 0) return shape;
    look_at_type(&shape, H5Aget_type(*attribute));
    look_at_space(&shape, H5Aget_space(*attribute));
    return shape;
}

static bool has_attribute(hid_t object, const char *name)
{
    return object >= 0 && H5Aexists(object, name) > 0;
}

/* The strings of an attribute, `count` of them, each cut to MAX_PLACE - 1 bytes. */
static bool read_texts(hid_t attribute, const struct shape *shape, size_t count, char (*texts)[MAX_PLACE])
{
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    size_t size = type >= 0 ? H5Tget_size(type) : 0;
    char **pointers = NULL, *fixed = NULL;
    bool good = type >= 0 && space >= 0 && size > 0 && size < (1 << 20);
    memset(texts, 0, count * sizeof *texts);
    if (good && shape->variable_text) {
        pointers = calloc(count, sizeof *pointers);
        good = pointers != NULL && H5Aread(attribute, type, pointers) >= 0;
        for (size_t i = 0; good && i < count; i++)
            snprintf(texts[i], MAX_PLACE, "%s", pointers[i] != NULL ? pointers[i] : "");
        if (good) H5Dvlen_reclaim(type, space, H5P_DEFAULT, pointers);
    } else if (good) {
        fixed = calloc(count, size);
        good = fixed != NULL && H5Aread(attribute, type, fixed) >= 0;
        for (size_t i = 0; good && i < count; i++)
            snprintf(texts[i], MAX_PLACE, "%.*s", (int)(size < MAX_PLACE ? size : MAX_PLACE - 1), fixed + i * size);
    }
    free(pointers);
    free(fixed);
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    return good;
}

/* A scalar string; false if there is none. */
static bool read_text(hid_t object, const char *name, struct shape *shape, char text[MAX_PLACE])
{
    hid_t attribute;
    *shape = open_attribute(object, name, &attribute);
    text[0] = '\0';
    bool good =
        shape->class == H5T_STRING && shape->rank == 0 && read_texts(attribute, shape, 1, (char(*)[MAX_PLACE])text);
    if (attribute >= 0) H5Aclose(attribute);
    return good;
}

static bool read_integers(hid_t object, const char *name, int rank, hsize_t count, int64_t *values)
{
    hid_t attribute;
    struct shape shape = open_attribute(object, name, &attribute);
    bool good = shape.class == H5T_INTEGER && shape.rank == rank && (rank == 0 || shape.dims[0] == count) &&
                H5Aread(attribute, H5T_NATIVE_INT64, values) >= 0;
    if (attribute >= 0) H5Aclose(attribute);
    return good;
}

/* --------------------------------------------------------------------------------------------------- h5md, and units */

static void judge_fixed_text(struct exam *exam, enum rule rule, hid_t object, const char *name, const char *place)
{
    struct shape shape;
    char text[MAX_PLACE], words[128];
    bool good = read_text(object, name, &shape, text) && !shape.variable_text;
    judge(exam, rule, good, place, "the attribute %s is %s", name,
          shape.class == H5T_NO_CLASS ? "missing" : shape_words(&shape, words, sizeof words));
}

static void examine_people(struct exam *exam, hid_t h5md)
{
    hid_t author = open_member(exam, h5md, "author", "h5md/author");
    hid_t creator = open_member(exam, h5md, "creator", "h5md/creator");
    if (judge(exam, RULE_AUTHOR, is_group(author), "h5md/author", "it is missing"))
        judge_fixed_text(exam, RULE_AUTHOR, author, "name", "h5md/author");
    if (has_attribute(author, "email")) judge_fixed_text(exam, RULE_EMAIL, author, "email", "h5md/author");
    if (judge(exam, RULE_CREATOR, is_group(creator), "h5md/creator", "it is missing")) {
        judge_fixed_text(exam, RULE_CREATOR, creator, "name", "h5md/creator");
        judge_fixed_text(exam, RULE_CREATOR, creator, "version", "h5md/creator");
    }
    close_object(author);
    close_object(creator);
}

static void examine_units_module(struct exam *exam, hid_t module, const char *place)
{
    struct shape shape;
    char system[MAX_PLACE];
    exam->units = true;
    bool good = read_text(module, "system", &shape, system) && shape.variable_text;
    judge(exam, RULE_UNITS_SYSTEM, good, place, "the attribute system is missing, or something else");
    exam->si = strcmp(system, "SI") == 0;
}

static void examine_modules(struct exam *exam, hid_t h5md)
{
    char name[MAX_PLACE], place[MAX_PLACE];
    int64_t version[2];
    hid_t modules = open_member(exam, h5md, "modules", "h5md/modules");
    for (int64_t i = 0; i < member_count(modules); i++) {
        if (!member_name(modules, i, name)) continue;
        join(place, "h5md/modules", name);
        hid_t module = open_member(exam, modules, name, place);
        judge(exam, RULE_MODULES, read_integers(module, "version", 1, 2, version), place,
              "the attribute version is missing, or something else");
        if (strcmp(name, "units") == 0) examine_units_module(exam, module, place);
        close_object(module);
    }
    close_object(modules);
}

static void examine_metadata(struct exam *exam)
{
    int64_t version[2] = {0, 0};
    hid_t h5md = open_member(exam, exam->root, "h5md", "h5md");
    if (judge(exam, RULE_H5MD, is_group(h5md), "h5md", "it is missing")) {
        bool good = read_integers(h5md, "version", 1, 2, version);
        good = judge(exam, RULE_VERSION, good, "h5md", "the attribute version is missing, or something else");
        if (good)
            judge(exam, RULE_VERSION, version[0] == 1 && (version[1] == 0 || version[1] == 1), "h5md",
                  "version is %lld.%lld", (long long)version[0], (long long)version[1]);
        examine_people(exam, h5md);
        examine_modules(exam, h5md);
    }
    close_object(h5md);
}

static void examine_unit(struct exam *exam, hid_t dataset, const char *place)
{
    struct shape shape;
    struct error error = {0};
    char unit[MAX_PLACE], words[128];
    if (!has_attribute(dataset, "unit") || !exam->units) return;
    bool good = read_text(dataset, "unit", &shape, unit);
    judge(exam, RULE_UNIT_TYPE, good && shape.variable_text && shape.ascii, place, "the attribute unit is %s%s",
          shape_words(&shape, words, sizeof words), shape.class == H5T_STRING && !shape.ascii ? " in UTF-8" : "");
    if (!good) return;
    good = exam->si ? unit_is_si(unit) : unit_check(unit, &error) == TRAJLOG_OK;
    judge(exam, RULE_UNIT_TEXT, good, place, "\"%.100s\"", unit);
}

/* --------------------------------------------------------------------------------------------------------- elements */

/* An element: what its values are in one frame, and its parts, negative where there are none. */
struct element {
    bool over_time;
    hid_t group, value, step, time;
    struct shape frame; /* of one frame */
    hsize_t frames;     /* over time; 1 otherwise */
};

static void close_element(struct element *element)
{
    if (element->group != element->value) close_object(element->value);
    close_object(element->step);
    close_object(element->time);
    close_object(element->group);
}

/* A file from a stranger may claim any number of rows. Filters make at most a thousand bytes of one, and what was not
 * written takes no space; beyond that, looking at all of them would take for ever. */
static bool is_believable(hid_t dataset, hsize_t elements)
{
    const hsize_t most = 2000 * (hsize_t)H5Dget_storage_size(dataset) + ((hsize_t)1 << 27);
    return elements <= most;
}

/* libhdf5 loads a plugin, a shared library, for a filter that is not its own, as soon as data are read; a file from a
 * stranger must not decide on that. */
static bool may_be_read(struct exam *exam, hid_t dataset, const char *place)
{
    char text[80];
    const char *filter = "something that cannot be told";
    hid_t properties = H5Dget_create_plist(dataset);
    if (properties >= 0) {
        const bool chunked = H5Pget_layout(properties) == H5D_CHUNKED;
        filter = chunked ? filters_forbidden(properties, NULL, text, sizeof text) : NULL;
        if (chunked && filter == NULL) filter = filters_missing(properties, text, sizeof text);
        H5Pclose(properties);
    }
    return judge(exam, RULE_FILTERS, filter == NULL, place, "%s is needed, so that its data were not looked at",
                 filter != NULL ? filter : "");
}

/* Whether a list of numbers never falls. */
static bool is_increasing(hid_t dataset, hsize_t count, hsize_t *place)
{
    hid_t file = H5Dget_space(dataset);
    const hsize_t most = BLOCK_BYTES / sizeof(double);
    double *values = calloc(count < most ? count + 1 : most, sizeof *values), last = -INFINITY;
    bool good = file >= 0 && values != NULL;
    for (hsize_t first = 0; first < count && good; first += most) {
        const hsize_t rows = count - first < most ? count - first : most;
        hid_t memory = H5Screate_simple(1, &rows, NULL);
        good = memory >= 0 && H5Sselect_hyperslab(file, H5S_SELECT_SET, &first, NULL, &rows, NULL) >= 0 &&
               H5Dread(dataset, H5T_NATIVE_DOUBLE, memory, file, H5P_DEFAULT, values) >= 0;
        for (hsize_t i = 0; i < rows && good; i++) {
            *place = first + i;
            good = values[i] >= last && !isnan(values[i]);
            last = values[i];
        }
        if (memory >= 0) H5Sclose(memory);
    }
    free(values);
    if (file >= 0) H5Sclose(file);
    return good;
}

static void examine_offset(struct exam *exam, hid_t dataset, const char *place)
{
    hid_t attribute;
    if (!has_attribute(dataset, "offset")) return;
    struct shape shape = open_attribute(dataset, "offset", &attribute);
    judge(exam, RULE_OFFSET, is_number(&shape) && shape.rank == 0, place, "offset is something else");
    if (attribute >= 0) H5Aclose(attribute);
}

/* Step, or time: a list in the length of the values, or a scalar increment. */
static void examine_axis(struct exam *exam, const struct element *element, hid_t axis, bool is_step, const char *parent)
{
    char words[128], place[MAX_PLACE];
    const enum rule rule = is_step ? RULE_STEP : RULE_TIME;
    hsize_t row = 0;
    struct shape shape = dataset_shape(axis);
    const bool number = is_step ? shape.class == H5T_INTEGER : is_number(&shape);
    join(place, parent, is_step ? "step" : "time");
    if (!judge(exam, rule, number && (shape.rank == 0 || shape.rank == 1), place, "it is %s",
               shape_words(&shape, words, sizeof words)))
        return;
    if (shape.rank == 0) {
        examine_offset(exam, axis, place);
    } else {
        judge(exam, RULE_VALUE, shape.dims[0] == element->frames, parent, "%llu rows of value, %llu of %s",
              (unsigned long long)element->frames, (unsigned long long)shape.dims[0], is_step ? "step" : "time");
        if (!may_be_read(exam, axis, place)) return;
        const bool good = is_believable(axis, shape.dims[0]) && is_increasing(axis, shape.dims[0], &row);
        judge(exam, is_step ? RULE_STEP_ORDER : RULE_TIME_ORDER, good, place, "not at row %llu",
              (unsigned long long)row);
    }
    if (!is_step) examine_unit(exam, axis, place);
}

static void examine_axes(struct exam *exam, const struct element *element, const char *place)
{
    examine_axis(exam, element, element->step, true, place);
    if (element->time < 0) return;
    examine_axis(exam, element, element->time, false, place);
    struct shape step = dataset_shape(element->step), time = dataset_shape(element->time);
    judge(exam, RULE_TIME, step.rank == time.rank, place, "time has %d dimensions, step %d", time.rank, step.rank);
}

static bool open_over_time(struct exam *exam, struct element *element, const char *place)
{
    char part[MAX_PLACE];
    join(part, place, "value");
    element->value = open_member(exam, element->group, "value", part);
    join(part, place, "step");
    element->step = open_member(exam, element->group, "step", part);
    join(part, place, "time");
    element->time = open_member(exam, element->group, "time", part);
    element->over_time = true;
    if (!judge(exam, RULE_ELEMENT, is_dataset(element->value) && is_dataset(element->step), place, "it has no %s",
               is_dataset(element->value) ? "step" : "value"))
        return false;
    struct shape shape = dataset_shape(element->value);
    if (!judge(exam, RULE_VALUE, shape.rank >= 1, place, "value is a scalar")) return false;
    element->frames = shape.dims[0];
    element->frame = shape;
    element->frame.rank--;
    memmove(element->frame.dims, shape.dims + 1, (size_t)element->frame.rank * sizeof shape.dims[0]);
    examine_axes(exam, element, place);
    return true;
}

/* Opens an element and examines what all elements have. False: there is none, or it is none; nothing is to be closed. */
static bool open_element(struct exam *exam, struct element *element, hid_t parent, const char *name, const char *place)
{
    const hid_t none = H5I_INVALID_HID;
    *element = (struct element){.group = none, .value = none, .step = none, .time = none, .frames = 1};
    element->group = open_member(exam, parent, name, place);
    if (element->group < 0) return false;
    bool good = is_group(element->group);
    if (good) {
        good = open_over_time(exam, element, place);
    } else if (judge(exam, RULE_ELEMENT, is_dataset(element->group), place, "it is neither group nor dataset")) {
        element->value = element->group;
        element->frame = dataset_shape(element->value);
        good = element->frame.rank >= 0;
    }
    if (good) examine_unit(exam, element->value, place);
    else close_element(element);
    return good;
}

/* -------------------------------------------------------------------------------------------------------- particles */

struct particles_exam {
    const char *place; /* "particles/all" */
    hid_t group;
    int64_t dimension; /* 0: not known */
    hsize_t count;     /* N; 0: not known */
    struct element position;
    bool has_position;
};

static bool shares_axes(const struct element *one, const struct element *other)
{
    if (!is_same(one->step, other->step)) return false;
    return (one->time < 0 && other->time < 0) || is_same(one->time, other->time);
}

/* Reads boundary; returns whether any of it is something else than "none". */
static bool examine_boundary(struct exam *exam, hid_t box, const char *place, int64_t dimension)
{
    char texts[8][MAX_PLACE], words[128];
    hid_t attribute;
    bool open = true;
    struct shape shape = open_attribute(box, "boundary", &attribute);
    const bool is_list = shape.class == H5T_STRING && shape.rank == 1 && shape.dims[0] >= 1 && shape.dims[0] <= 8;
    judge(exam, RULE_BOUNDARY, is_list && !shape.variable_text && (int64_t)shape.dims[0] == dimension, place,
          "boundary is %s", shape.class == H5T_NO_CLASS ? "missing" : shape_words(&shape, words, sizeof words));
    if (is_list && read_texts(attribute, &shape, (size_t)shape.dims[0], texts)) {
        for (hsize_t k = 0; k < shape.dims[0]; k++) {
            bool good = strcmp(texts[k], "periodic") == 0 || strcmp(texts[k], "none") == 0;
            judge(exam, RULE_BOUNDARY_TEXT, good, place, "\"%.40s\"", texts[k]);
            open = open && strcmp(texts[k], "none") == 0;
        }
    }
    if (attribute >= 0) H5Aclose(attribute);
    return !open;
}

static void examine_edges(struct exam *exam, struct particles_exam *particles, hid_t box, bool needed)
{
    char place[MAX_PLACE], words[128];
    struct element edges;
    join(place, particles->place, "box/edges");
    if (!open_element(exam, &edges, box, "edges", place)) {
        if (needed) judge(exam, RULE_EDGES, false, place, "they are missing");
        return;
    }
    judge(exam, RULE_EDGES, true, place, "%s", "");
    const struct shape *frame = &edges.frame;
    bool good = is_number(frame) && (frame->rank == 1 || frame->rank == 2);
    for (int i = 0; good && i < frame->rank; i++) good = (int64_t)frame->dims[i] == particles->dimension;
    judge(exam, RULE_EDGES_SHAPE, good, place, "a frame of it is %s", shape_words(frame, words, sizeof words));
    if (edges.over_time && particles->has_position && particles->position.over_time)
        judge(exam, RULE_EDGES_TIME, shares_axes(&edges, &particles->position), place, "its step or time is another");
    close_element(&edges);
}

static void examine_box(struct exam *exam, struct particles_exam *particles)
{
    char place[MAX_PLACE];
    int64_t dimension = 0;
    join(place, particles->place, "box");
    hid_t box = open_member(exam, particles->group, "box", place);
    if (judge(exam, RULE_BOX, is_group(box), place, "it is missing")) {
        bool good = read_integers(box, "dimension", 0, 1, &dimension) && dimension >= 1;
        judge(exam, RULE_DIMENSION, good, place, "dimension is missing, or something else");
        particles->dimension = good ? dimension : 0;
        bool needed = examine_boundary(exam, box, place, dimension);
        examine_edges(exam, particles, box, needed);
    }
    close_object(box);
}

/* The particles of an element: the first dimension of a frame. */
static void examine_count(struct exam *exam, struct particles_exam *particles, const struct element *element,
                          const char *place)
{
    if (element->frame.rank < 1) return;
    if (particles->count == 0) particles->count = element->frame.dims[0];
    judge(exam, RULE_COUNT, particles->count == element->frame.dims[0], place, "%llu particles, and %llu elsewhere",
          (unsigned long long)element->frame.dims[0], (unsigned long long)particles->count);
}

static void examine_vector(struct exam *exam, struct particles_exam *particles, const struct element *element,
                           const char *place)
{
    char words[128];
    const struct shape *frame = &element->frame;
    bool good = is_number(frame) && frame->rank == 2 &&
                (particles->dimension == 0 || (int64_t)frame->dims[1] == particles->dimension);
    judge(exam, RULE_VECTORS, good, place, "a frame of it is %s", shape_words(frame, words, sizeof words));
}

static int compare_ids(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one > other) - (one < other);
}

static bool find_fill(hid_t dataset, int64_t *fill)
{
    H5D_fill_value_t defined = H5D_FILL_VALUE_UNDEFINED;
    hid_t properties = H5Dget_create_plist(dataset);
    bool found = properties >= 0 && H5Pfill_value_defined(properties, &defined) >= 0 &&
                 defined == H5D_FILL_VALUE_USER_DEFINED && H5Pget_fill_value(properties, H5T_NATIVE_INT64, fill) >= 0;
    if (properties >= 0) H5Pclose(properties);
    return found;
}

static bool read_frame(const struct element *element, hsize_t frame, int64_t *values)
{
    const hsize_t start[2] = {frame, 0}, count[2] = {1, element->frame.dims[0]};
    hid_t file = H5Dget_space(element->value), memory = H5Screate_simple(1, &element->frame.dims[0], NULL);
    bool good = file >= 0 && memory >= 0;
    if (good && element->over_time) good = H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, count, NULL) >= 0;
    good = good && H5Dread(element->value, H5T_NATIVE_INT64, memory, file, H5P_DEFAULT, values) >= 0;
    if (file >= 0) H5Sclose(file);
    if (memory >= 0) H5Sclose(memory);
    return good;
}

static bool is_frame_unique(int64_t *values, hsize_t count, bool has_fill, int64_t fill)
{
    qsort(values, count, sizeof *values, compare_ids);
    for (hsize_t i = 1; i < count; i++) {
        if (values[i] == values[i - 1] && !(has_fill && values[i] == fill)) return false;
    }
    return true;
}

static void examine_id(struct exam *exam, const struct element *element, const char *place)
{
    char words[128];
    int64_t fill = 0;
    if (!judge(exam, RULE_ID, element->frame.class == H5T_INTEGER && element->frame.rank == 1, place,
               "a frame of it is %s", shape_words(&element->frame, words, sizeof words)))
        return;
    if (!may_be_read(exam, element->value, place)) return;
    const hsize_t count = element->frame.dims[0];
    const bool has_fill = find_fill(element->value, &fill);
    hsize_t frame = 0, all = 0;
    bool good = !__builtin_mul_overflow(count, element->frames, &all) && is_believable(element->value, all);
    int64_t *values = good ? calloc(count + 1, sizeof *values) : NULL;
    good = values != NULL;
    for (; frame < element->frames && good; frame++)
        good = read_frame(element, frame, values) && is_frame_unique(values, count, has_fill, fill);
    judge(exam, RULE_ID_UNIQUE, good, place, "not in frame %llu", (unsigned long long)(frame - (frame > 0)));
    free(values);
}

static void examine_charge(struct exam *exam, const struct element *element, const char *place)
{
    struct shape shape;
    char text[MAX_PLACE], words[128];
    judge(exam, RULE_CHARGE, is_number(&element->frame) && element->frame.rank == 1, place, "a frame of it is %s",
          shape_words(&element->frame, words, sizeof words));
    if (!has_attribute(element->group, "type")) return;
    bool good = read_text(element->group, "type", &shape, text) && !shape.variable_text;
    good = good &&
           (strcmp(text, "effective") == 0 || (strcmp(text, "formal") == 0 && element->frame.class == H5T_INTEGER));
    judge(exam, RULE_CHARGE_TYPE, good, place, "type is %s \"%.40s\"", class_text(&shape), text);
}

static void examine_scalar(struct exam *exam, const struct element *element, const char *name, const char *place)
{
    char words[128];
    const struct shape *frame = &element->frame;
    shape_words(frame, words, sizeof words);
    if (strcmp(name, "mass") == 0)
        judge(exam, RULE_MASS, frame->class == H5T_FLOAT && frame->rank == 1, place, "a frame of it is %s", words);
    else if (strcmp(name, "species") == 0)
        judge(exam, RULE_SPECIES, (frame->class == H5T_INTEGER || frame->class == H5T_ENUM) && frame->rank == 1, place,
              "a frame of it is %s", words);
    else if (strcmp(name, "charge") == 0) examine_charge(exam, element, place);
    else if (strcmp(name, "id") == 0) examine_id(exam, element, place);
}

static void examine_image(struct exam *exam, const struct particles_exam *particles, const struct element *element,
                          const char *place)
{
    if (!judge(exam, RULE_IMAGE, particles->has_position, place, "there is no position")) return;
    if (!element->over_time) return;
    judge(exam, RULE_IMAGE, shares_axes(element, &particles->position), place, "its step or time is another");
}

static void examine_member(struct exam *exam, struct particles_exam *particles, const char *name)
{
    char place[MAX_PLACE];
    struct element element;
    join(place, particles->place, name);
    if (strcmp(name, "box") == 0 || strcmp(name, "position") == 0) return;
    if (!open_element(exam, &element, particles->group, name, place)) return;
    const bool image = strcmp(name, "image") == 0;
    if (image || strcmp(name, "velocity") == 0 || strcmp(name, "force") == 0)
        examine_vector(exam, particles, &element, place);
    if (image) examine_image(exam, particles, &element, place);
    examine_scalar(exam, &element, name, place);
    examine_count(exam, particles, &element, place);
    close_element(&element);
}

static void examine_particles(struct exam *exam, hid_t group, const char *place)
{
    char name[MAX_PLACE];
    struct particles_exam particles = {.place = place, .group = group};
    join(name, place, "position");
    particles.has_position = open_element(exam, &particles.position, group, "position", name);
    examine_box(exam, &particles);
    if (particles.has_position) {
        examine_vector(exam, &particles, &particles.position, name);
        examine_count(exam, &particles, &particles.position, name);
    }
    for (int64_t i = 0; i < member_count(group); i++) {
        if (member_name(group, i, name)) examine_member(exam, &particles, name);
    }
    if (particles.has_position) close_element(&particles.position);
}

static void examine_all_particles(struct exam *exam)
{
    char name[MAX_PLACE], place[MAX_PLACE];
    hid_t container = open_member(exam, exam->root, "particles", "particles");
    for (int64_t i = 0; i < member_count(container); i++) {
        if (!member_name(container, i, name)) continue;
        join(place, "particles", name);
        hid_t group = open_member(exam, container, name, place);
        if (is_group(group)) examine_particles(exam, group, place);
        else judge(exam, RULE_BOX, false, place, "it is no group");
        close_object(group);
    }
    close_object(container);
}

/* ------------------------------------------------------------------------------------------ observables, connectivity */

static bool has_member(hid_t group, const char *name)
{
    return H5Lexists(group, name, H5P_DEFAULT) > 0;
}

static void examine_observables(struct exam *exam, hid_t group, const char *parent, int depth)
{
    char name[MAX_PLACE], place[MAX_PLACE];
    struct element element;
    for (int64_t i = 0; i < member_count(group); i++) {
        if (!member_name(group, i, name)) continue;
        join(place, parent, name);
        hid_t member = open_member(exam, group, name, place);
        const bool nested = is_group(member) && !has_member(member, "value") && !has_member(member, "step");
        if (nested && depth < MAX_DEPTH) {
            examine_observables(exam, member, place, depth + 1);
        } else if (member >= 0) {
            bool good = open_element(exam, &element, group, name, place);
            judge(exam, RULE_OBSERVABLES, good, place, "it is no element");
            if (good) close_element(&element);
        }
        close_object(member);
    }
}

/* The particles group that a list of tuples refers to; negative if none. */
static hid_t follow_reference(struct exam *exam, hid_t object, const char *place)
{
    hobj_ref_t reference = 0;
    hid_t attribute, target = H5I_INVALID_HID;
    bool found = false;
    char name[MAX_PLACE];
    struct shape shape = open_attribute(object, "particles_group", &attribute);
    if (shape.class == H5T_REFERENCE && shape.rank == 0 && H5Aread(attribute, H5T_STD_REF_OBJ, &reference) >= 0)
        target = H5Rdereference2(object, H5P_DEFAULT, H5R_OBJECT, &reference);
    if (attribute >= 0) H5Aclose(attribute);
    hid_t container = open_member(exam, exam->root, "particles", "particles");
    for (int64_t i = 0; i < member_count(container) && target >= 0 && !found; i++) {
        if (!member_name(container, i, name)) continue;
        hid_t group = open_member(exam, container, name, name);
        found = is_same(group, target);
        close_object(group);
    }
    close_object(container);
    judge(exam, RULE_REFERENCE, found, place, "particles_group is %s",
          shape.class == H5T_NO_CLASS ? "missing" : "no reference to a group in particles");
    if (found) return target;
    close_object(target);
    return H5I_INVALID_HID;
}

/* Without ids, tuples count the places of position or another element. */
static hsize_t particle_count(struct exam *exam, hid_t group)
{
    static const char *const names[] = {"position", "velocity", "force", "species", "mass"};
    struct element element;
    hsize_t count = 0;
    struct exam aside = {.root = exam->root};
    for (size_t i = 0; i < sizeof names / sizeof *names && count == 0; i++) {
        if (!open_element(&aside, &element, group, names[i], names[i])) continue;
        if (element.frame.rank >= 1) count = element.frame.dims[0];
        close_element(&element);
    }
    return count;
}

static void examine_range(struct exam *exam, const struct element *element, hid_t particles, const char *place)
{
    hsize_t tuples = 0;
    int64_t fill = 0;
    if (element->over_time || has_member(particles, "id") || !may_be_read(exam, element->value, place)) return;
    if (__builtin_mul_overflow(element->frame.dims[0], element->frame.dims[1], &tuples) ||
        !is_believable(element->value, tuples))
        return;
    const bool has_fill = find_fill(element->value, &fill);
    const hsize_t count = particle_count(exam, particles);
    int64_t *values = calloc(tuples + 1, sizeof *values);
    bool good = values != NULL && H5Dread(element->value, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
    hsize_t i = 0;
    for (; i < tuples && good; i++)
        good = (values[i] >= 0 && (hsize_t)values[i] < count) || (has_fill && values[i] == fill);
    judge(exam, RULE_TUPLE_RANGE, good, place, "particle %lld of %llu",
          values != NULL && i > 0 ? (long long)values[i - 1] : 0, (unsigned long long)count);
    free(values);
}

static void examine_connectivity(struct exam *exam)
{
    char name[MAX_PLACE], place[MAX_PLACE], words[128];
    struct element element;
    hid_t container = open_member(exam, exam->root, "connectivity", "connectivity");
    for (int64_t i = 0; i < member_count(container); i++) {
        if (!member_name(container, i, name)) continue;
        join(place, "connectivity", name);
        if (!open_element(exam, &element, container, name, place)) continue;
        const bool good = element.frame.class == H5T_INTEGER && element.frame.rank == 2;
        judge(exam, RULE_TUPLES, good, place, "a frame of it is %s", shape_words(&element.frame, words, sizeof words));
        hid_t particles = follow_reference(exam, element.group, place);
        if (good && particles >= 0) examine_range(exam, &element, particles, place);
        close_object(particles);
        close_element(&element);
    }
    close_object(container);
}

static void examine(struct exam *exam)
{
    examine_metadata(exam);
    examine_all_particles(exam);
    hid_t observables = open_member(exam, exam->root, "observables", "observables");
    examine_observables(exam, observables, "observables", 0);
    close_object(observables);
    examine_connectivity(exam);
}

/* --------------------------------------------------------------------------------------------------- the public face */

static trajlog_status open_root(hid_t file, const char *root, hid_t *object, struct error *error)
{
    int64_t opened = H5I_INVALID_HID;
    bool found = true;
    if (root == NULL || strspn(root, "/") == strlen(root)) {
        *object = H5Gopen2(file, "/", H5P_DEFAULT);
        return *object >= 0 ? TRAJLOG_OK : hdf5_error(error, "the root group cannot be opened");
    }
    TRY(object_open(file, root, &opened, &found, error));
    if (!found) return error_set(error, TRAJLOG_NOT_FOUND, 0, "there is no group \"%s\"", root);
    *object = opened;
    return TRAJLOG_OK;
}

static trajlog_status examine_file(const char *path, const char *root, struct exam *exam, struct error *error)
{
    struct file_moment moment;
    int64_t file = H5I_INVALID_HID;
    TRY(input_look(path, &moment, error));
    TRY(input_open(path, &file, NULL, error));
    trajlog_status status = open_root(file, root, &exam->root, error);
    if (status == TRAJLOG_OK) {
        examine(exam);
        close_object(exam->root);
    }
    H5Fclose(file);
    return status;
}

static void report_all(const struct exam *exam, trajlog_h5md_report report, void *context)
{
    for (int i = 0; i < RULE_TOTAL; i++) {
        const struct verdict *verdict = &exam->verdicts[i];
        const trajlog_h5md_rule rule = {rules[i].name, rules[i].text, verdict->held, verdict->broken, verdict->detail};
        report(&rule, context);
    }
}

trajlog_status trajlog_check_h5md(const char *path, const char *root, trajlog_h5md_report report, void *context)
{
    struct error error = {0};
    struct hdf5_quiet quiet;
    trajlog_status status;
    struct exam *exam = calloc(1, sizeof *exam);
    if (exam == NULL) {
        status = error_set(&error, TRAJLOG_OUT_OF_MEMORY, 0, "no memory to examine a file");
    } else if (path == NULL || report == NULL) {
        status = error_set(&error, TRAJLOG_INVALID_ARGUMENT, 0, "trajlog_check_h5md: the %s is NULL",
                           path == NULL ? "path" : "report");
    } else {
        hdf5_lock();
        hdf5_quiet_begin(&quiet);
        status = examine_file(path, root, exam, &error);
        hdf5_quiet_end(&quiet);
        hdf5_unlock();
        if (status == TRAJLOG_OK) report_all(exam, report, context);
        else error_prefix(&error, "%s", path);
    }
    if (status != TRAJLOG_OK) error_remember(&error);
    free(exam);
    return status;
}
