#include "store/h5md.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/h5md_plan.h"
#include "store/attribute.h"
#include "store/define.h"
#include "store/hdf5_error.h"
#include "store/hdf5_links.h"

/* Under which readers look for the main particles group: NOMAD and MDANSE; MDAnalysis; GROMACS. */
static const char *const aliases[] = {"all", "trajectory", "system"};

/* In a file that is resumed the tree may be there, and only grows by what was added: so what exists is left alone. */
struct facade {
    hid_t file;
    const struct schema *schema;
    const struct h5md_plan *plan;
    trajlog_profile profile;
    struct error *error;
};

static trajlog_status fail(struct facade *facade, const char *what, const char *path)
{
    return hdf5_error(facade->error, "H5MD: cannot %s %s", what, path);
}

/* ------------------------------------------------------------------------------------------------ groups and links ---
 */

static hid_t group_properties(bool in_order)
{
    hid_t properties = define_untimed(H5P_GROUP_CREATE, 0);
    if (properties < 0) return properties;
    if (!in_order || H5Pset_link_creation_order(properties, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) >= 0)
        return properties;
    H5Pclose(properties);
    return H5I_INVALID_HID;
}

static bool link_exists(const struct facade *facade, const char *path)
{
    return H5Lexists(facade->file, path, H5P_DEFAULT) > 0;
}

/* Makes one group; `in_order`: its members are listed as they were made, by those who ask for it, as h5py does. */
static trajlog_status make_group(struct facade *facade, const char *path, bool in_order)
{
    if (link_exists(facade, path)) return TRAJLOG_OK;
    hid_t creation = group_properties(in_order), links = hdf5_link_properties(), group = H5I_INVALID_HID;
    if (creation >= 0 && links >= 0) group = H5Gcreate2(facade->file, path, links, creation, H5P_DEFAULT);
    if (group < 0) fail(facade, "make the group", path);
    if (creation >= 0) H5Pclose(creation);
    if (links >= 0) H5Pclose(links);
    if (group < 0) return facade->error->status;
    return H5Gclose(group) >= 0 ? TRAJLOG_OK : fail(facade, "close the group", path);
}

/* The same, with all groups on the way to it, where they are not there yet. */
static trajlog_status need_group(struct facade *facade, const char *path)
{
    char *part = strdup(path);
    trajlog_status status = TRAJLOG_OK;
    if (part == NULL) return error_set(facade->error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
    for (char *end = part; end != NULL && status == TRAJLOG_OK;) {
        end = strchr(end + 1, '/');
        if (end != NULL) *end = '\0';
        htri_t exists = H5Lexists(facade->file, part, H5P_DEFAULT);
        if (exists < 0) status = fail(facade, "look for", part);
        else if (exists == 0) status = make_group(facade, part, false);
        if (end != NULL) *end = '/';
    }
    free(part);
    return status;
}

static trajlog_status need_parent(struct facade *facade, const char *path)
{
    const char *name = strrchr(path, '/');
    if (name == path) return TRAJLOG_OK;
    char *parent = strndup(path, (size_t)(name - path));
    if (parent == NULL) return error_set(facade->error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
    trajlog_status status = need_group(facade, parent);
    free(parent);
    return status;
}

/* "there/name" becomes another name of what "from/of" is. */
static trajlog_status link_member(struct facade *facade, const char *from, const char *of, const char *there,
                                  const char *name)
{
    char *target = NULL, *path = NULL;
    trajlog_status status = TRAJLOG_OK;
    hid_t links = hdf5_link_properties();
    if (asprintf(&target, "%s/%s", from, of) < 0) target = NULL;
    if (asprintf(&path, "%s/%s", there, name) < 0) path = NULL;
    if (target == NULL || path == NULL) status = error_set(facade->error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
    else if (!link_exists(facade, path) &&
             (links < 0 || H5Lcreate_hard(facade->file, target, facade->file, path, links, H5P_DEFAULT) < 0))
        status = fail(facade, "link", path);
    if (links >= 0) H5Pclose(links);
    free(target);
    free(path);
    return status;
}

/* ----------------------------------------------------------------------------------------------------- attributes ---
 */

/* An object that is open while its attributes are made; SWMR wants none open when it starts. */
static trajlog_status open_object(struct facade *facade, const char *path, hid_t *object)
{
    *object = H5Oopen(facade->file, path, H5P_DEFAULT);
    return *object >= 0 ? TRAJLOG_OK : fail(facade, "open", path);
}

static bool has_attribute(hid_t object, const char *name)
{
    return H5Aexists(object, name) > 0;
}

static trajlog_status set_text(struct facade *facade, const char *path, const char *name, const char *text)
{
    hid_t object;
    TRY(open_object(facade, path, &object));
    trajlog_status status =
        has_attribute(object, name) ? TRAJLOG_OK : attribute_set_ascii_text(object, name, text, facade->error);
    H5Oclose(object);
    return status;
}

/* What H5MD defines as a fixed-length string. */
static trajlog_status set_fixed_text(struct facade *facade, const char *path, const char *name, const char *text)
{
    hid_t object;
    TRY(open_object(facade, path, &object));
    trajlog_status status =
        has_attribute(object, name) ? TRAJLOG_OK : attribute_set_fixed_text(object, name, text, facade->error);
    H5Oclose(object);
    return status;
}

static trajlog_status set_version(struct facade *facade, const char *path, int32_t major, int32_t minor)
{
    const int32_t version[2] = {major, minor};
    hid_t object;
    TRY(open_object(facade, path, &object));
    trajlog_status status = has_attribute(object, "version")
                                ? TRAJLOG_OK
                                : attribute_set_int32_list(object, "version", version, 2, facade->error);
    H5Oclose(object);
    return status;
}

/* Refers to the particles group that a tuple's numbers are about. */
static trajlog_status set_reference(struct facade *facade, const char *path, const char *particles)
{
    char *target = NULL;
    hid_t object;
    if (asprintf(&target, "/particles/%s", particles) < 0)
        return error_set(facade->error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
    trajlog_status status = open_object(facade, path, &object);
    if (status == TRAJLOG_OK) {
        if (!has_attribute(object, "particles_group"))
            status = attribute_set_reference(object, "particles_group", facade->file, target, facade->error);
        H5Oclose(object);
    }
    free(target);
    return status;
}

/* -------------------------------------------------------------------------------------------------- /h5md, /particles
 */

static const char *or_else(const char *text, const char *otherwise)
{
    return text != NULL && text[0] != '\0' ? text : otherwise;
}

static trajlog_status make_metadata(struct facade *facade)
{
    const struct schema *schema = facade->schema;
    const struct presentation *presentation = schema->presentation;
    const bool own = schema->program[0] == '\0';
    const char *email = or_else(presentation->author_email, "");
    TRY(make_group(facade, "/h5md", false));
    TRY(set_version(facade, "/h5md", 1, 1));
    TRY(make_group(facade, "/h5md/author", false));
    TRY(set_fixed_text(facade, "/h5md/author", "name", or_else(presentation->author, "N/A")));
    if (email[0] != '\0') TRY(set_fixed_text(facade, "/h5md/author", "email", email));
    TRY(make_group(facade, "/h5md/creator", false));
    TRY(set_fixed_text(facade, "/h5md/creator", "name", own ? "trajlog" : schema->program));
    const char *version = own ? trajlog_version() : or_else(schema->program_version, "N/A");
    TRY(set_fixed_text(facade, "/h5md/creator", "version", version));
    if (!facade->plan->si_units) return TRAJLOG_OK;
    TRY(need_group(facade, "/h5md/modules/units"));
    TRY(set_version(facade, "/h5md/modules/units", 1, 0));
    return set_text(facade, "/h5md/modules/units", "system", "SI");
}

static trajlog_status make_box(struct facade *facade, const struct planned_particles *particles, const char *path)
{
    const char *boundary[MAX_DIMENSION];
    hid_t box;
    for (int32_t k = 0; k < particles->dimension; k++) boundary[k] = particles->periodic[k] ? "periodic" : "none";
    TRY(make_group(facade, path, false));
    TRY(open_object(facade, path, &box));
    if (has_attribute(box, "dimension") && has_attribute(box, "boundary")) {
        H5Oclose(box);
        return TRAJLOG_OK;
    }
    trajlog_status status = attribute_set_int32(box, "dimension", particles->dimension, facade->error);
    /* The specification says fixed length; h5py then gives bytes, which ZnH5MD takes for something else than "none". */
    const bool fixed = facade->profile != TRAJLOG_PROFILE_ZNH5MD;
    if (status == TRAJLOG_OK)
        status = attribute_set_text_list(box, "boundary", boundary, (size_t)particles->dimension, fixed, facade->error);
    H5Oclose(box);
    return status;
}

static trajlog_status make_particles(struct facade *facade, const struct planned_particles *particles)
{
    char *path = NULL, *box = NULL;
    trajlog_status status = TRAJLOG_OK;
    if (asprintf(&path, "/particles/%s", particles->name) < 0) path = NULL;
    if (asprintf(&box, "/particles/%s/box", particles->name) < 0) box = NULL;
    if (path == NULL || box == NULL) status = error_set(facade->error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
    if (status == TRAJLOG_OK) status = make_group(facade, path, false);
    if (status == TRAJLOG_OK) status = make_box(facade, particles, box);
    free(path);
    free(box);
    return status;
}

static bool is_name_free(const struct facade *facade, const char *name)
{
    for (size_t i = 0; i < facade->plan->particles_count; i++) {
        if (strcmp(facade->plan->particles[i].name, name) == 0) return false;
    }
    return true;
}

/* MDAnalysis and ZnH5MD open the first particles group that is listed, so the main one comes first. */
static trajlog_status make_all_particles(struct facade *facade)
{
    const struct h5md_plan *plan = facade->plan;
    if (plan->particles_count == 0) return TRAJLOG_OK;
    TRY(make_group(facade, "/particles", true));
    for (size_t i = 0; i < plan->particles_count; i++) TRY(make_particles(facade, &plan->particles[i]));
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        if (!is_name_free(facade, aliases[i])) continue;
        TRY(link_member(facade, "/particles", plan->particles[0].name, "/particles", aliases[i]));
    }
    return TRAJLOG_OK;
}

/* ------------------------------------------------------------------------------------------------------------ lists ---
 */

static trajlog_status write_list(struct facade *facade, const char *path, hid_t type, const void *values, size_t count)
{
    const hsize_t dims[1] = {count};
    if (link_exists(facade, path)) return TRAJLOG_OK;
    hid_t space = H5Screate_simple(1, dims, NULL), creation = H5Pcreate(H5P_DATASET_CREATE);
    hid_t dataset = H5I_INVALID_HID;
    if (space >= 0 && creation >= 0 && H5Pset_obj_track_times(creation, false) >= 0)
        dataset = H5Dcreate2(facade->file, path, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    bool good = dataset >= 0 && H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
    if (!good) fail(facade, "write", path);
    if (dataset >= 0 && H5Dclose(dataset) < 0 && good) {
        good = false;
        fail(facade, "close", path);
    }
    if (creation >= 0) H5Pclose(creation);
    if (space >= 0) H5Sclose(space);
    return good ? TRAJLOG_OK : facade->error->status;
}

static bool is_ascii(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)bytes[i] > 127) return false;
    }
    return true;
}

/* `count` texts of `size` bytes each. VMD reads them as ASCII, and libhdf5 does not convert what is called UTF-8. */
static trajlog_status write_texts(struct facade *facade, const char *path, const char *texts, size_t size, size_t count)
{
    const H5T_cset_t characters = is_ascii(texts, size * count) ? H5T_CSET_ASCII : H5T_CSET_UTF8;
    hid_t type = H5Tcopy(H5T_C_S1);
    trajlog_status status = TRAJLOG_OK;
    if (type < 0 || H5Tset_size(type, size) < 0 || H5Tset_strpad(type, H5T_STR_NULLPAD) < 0 ||
        H5Tset_cset(type, characters) < 0)
        status = fail(facade, "make the type of", path);
    else status = write_list(facade, path, type, texts, count);
    if (type >= 0) H5Tclose(type);
    return status;
}

/* ---------------------------------------------------------------------------------------------------------- entries ---
 */

/* Texts that VMD's plugin reads. */
static bool is_vmd_text(const struct h5md_entry *entry, const struct field *field)
{
    static const char place[] = "/parameters/vmd_structure/";
    return entry->role == TRAJLOG_ROLE_PARAMETER && !entry->over_time && element_is_string(field->stored_type) &&
           field->shape.rank == 1 && strncmp(entry->path, place, sizeof place - 1) == 0;
}

/* In a type that it can read, which no link can give; see write_texts. */
static trajlog_status copy_texts(struct facade *facade, const struct h5md_entry *entry, const char *group,
                                 const struct field *field)
{
    char *path = NULL, *texts = calloc(1, field->stored_bytes);
    hid_t dataset = H5I_INVALID_HID, type = H5I_INVALID_HID;
    trajlog_status status = TRAJLOG_OK;
    if (asprintf(&path, "/%s/%s", group, field->name) < 0) path = NULL;
    if (path == NULL || texts == NULL) status = error_set(facade->error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
    if (status == TRAJLOG_OK) dataset = H5Dopen2(facade->file, path, H5P_DEFAULT);
    if (dataset >= 0) type = H5Dget_type(dataset);
    if (status == TRAJLOG_OK && (type < 0 || H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, texts) < 0))
        status = fail(facade, "read", path);
    if (status == TRAJLOG_OK)
        status = write_texts(facade, entry->path, texts, trajlog_type_size(field->stored_type),
                             (size_t)field->shape.dims[0]);
    if (type >= 0) H5Tclose(type);
    if (dataset >= 0) H5Dclose(dataset);
    free(path);
    free(texts);
    return status;
}

static trajlog_status make_element(struct facade *facade, const struct h5md_entry *entry, const char *group,
                                   const char *field)
{
    if (!entry->over_time) {
        const char *name = strrchr(entry->path, '/');
        char *parent = strndup(entry->path, (size_t)(name - entry->path));
        if (parent == NULL) return error_set(facade->error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
        trajlog_status status = link_member(facade, group, field, parent, name + 1);
        free(parent);
        return status;
    }
    TRY(make_group(facade, entry->path, false));
    TRY(link_member(facade, group, "step", entry->path, "step"));
    TRY(link_member(facade, group, "time", entry->path, "time"));
    return link_member(facade, group, field, entry->path, "value");
}

static trajlog_status make_entry(struct facade *facade, const struct h5md_entry *entry)
{
    const struct group *group = facade->schema->groups[entry->group];
    const struct field *field = group->fields[entry->field];
    TRY(need_parent(facade, entry->path));
    if (is_vmd_text(entry, field)) return copy_texts(facade, entry, group->name, field);
    TRY(make_element(facade, entry, group->name, field->name));
    if (entry->role == TRAJLOG_ROLE_CHARGE) {
        const char *type = element_is_integer(field->stored_type) ? "formal" : "effective";
        return set_fixed_text(facade, entry->path, "type", type);
    }
    /* NOMAD wants to know what kind of observable it is: one of a configuration. */
    if (entry->role == TRAJLOG_ROLE_OBSERVABLE && entry->over_time)
        return set_text(facade, entry->path, "type", "configurational");
    if (entry->role == TRAJLOG_ROLE_BONDS) return set_reference(facade, entry->path, entry->particles);
    return TRAJLOG_OK;
}

static trajlog_status make_entries(struct facade *facade)
{
    for (size_t i = 0; i < facade->plan->entry_count; i++) TRY(make_entry(facade, &facade->plan->entries[i]));
    for (size_t i = 0; i < facade->plan->series_count; i++)
        TRY(link_member(facade, "", "h5md", facade->plan->series[i], "h5md"));
    return TRAJLOG_OK;
}

/* On the time axis of each group that is seen. */
static trajlog_status set_time_units(struct facade *facade)
{
    const struct h5md_plan *plan = facade->plan;
    bool *done = calloc(facade->schema->group_count + 1, sizeof *done);
    trajlog_status status = TRAJLOG_OK;
    if (done == NULL) return error_set(facade->error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
    for (size_t i = 0; i < plan->entry_count && plan->time_unit[0] != '\0' && status == TRAJLOG_OK; i++) {
        const struct h5md_entry *entry = &plan->entries[i];
        char *path = NULL;
        if (!entry->over_time || done[entry->group]) continue;
        done[entry->group] = true;
        if (asprintf(&path, "/%s/time", facade->schema->groups[entry->group]->name) < 0) path = NULL;
        status = path != NULL ? set_text(facade, path, "unit", plan->time_unit)
                              : error_set(facade->error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
        free(path);
    }
    free(done);
    return status;
}

/* ---------------------------------------------------------------------------------------------------- species names
 * --- */

/* VMD finds the names and elements of species here. */
static trajlog_status write_species_lists(struct facade *facade, int32_t *numbers, int32_t *elements, char *symbols)
{
    const struct presentation *presentation = facade->schema->presentation;
    const size_t count = presentation->species_count;
    bool any_element = false;
    for (size_t i = 0; i < count; i++) {
        const struct species *species = &presentation->species[i];
        numbers[i] = species->number;
        elements[i] = species->atomic_number;
        any_element = any_element || elements[i] != 0;
        memcpy(symbols + i * sizeof species->symbol, species->symbol, sizeof species->symbol);
    }
    TRY(need_group(facade, "/parameters/vmd_structure"));
    TRY(write_list(facade, "/parameters/vmd_structure/indexOfSpecies", H5T_NATIVE_INT32, numbers, count));
    TRY(write_texts(facade, "/parameters/vmd_structure/name", symbols, MAX_SPECIES_SYMBOL + 1, count));
    TRY(link_member(facade, "/parameters/vmd_structure", "name", "/parameters/vmd_structure", "type"));
    if (!any_element) return TRAJLOG_OK;
    return write_list(facade, "/parameters/vmd_structure/atomicnumber", H5T_NATIVE_INT32, elements, count);
}

static trajlog_status write_species(struct facade *facade)
{
    const size_t count = facade->schema->presentation->species_count;
    if (count == 0) return TRAJLOG_OK;
    int32_t *numbers = calloc(count, sizeof *numbers), *elements = calloc(count, sizeof *elements);
    char *symbols = calloc(count, MAX_SPECIES_SYMBOL + 1);
    trajlog_status status;
    if (numbers == NULL || elements == NULL || symbols == NULL)
        status = error_set(facade->error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
    else status = write_species_lists(facade, numbers, elements, symbols);
    free(numbers);
    free(elements);
    free(symbols);
    return status;
}

/* -------------------------------------------------------------------------------------------------------------- bonds
 */

/* Pairs of particles as VMD wants them: two lists, counted from 1. */
struct pairs {
    int32_t *from, *to;
    size_t count;
};

static bool is_drawn(const struct facade *facade, const struct h5md_entry *entry)
{
    const struct field *field = facade->schema->groups[entry->group]->fields[entry->field];
    return entry->role == TRAJLOG_ROLE_BONDS && !entry->over_time && field->shape.dims[1] == 2 &&
           strcmp(entry->particles, facade->plan->particles[0].name) == 0;
}

static bool is_particle(int64_t number)
{
    return number >= 0 && number < INT32_MAX;
}

/* What is no particle, such as a fill value, makes no bond. */
static void add_pairs(struct pairs *pairs, const int64_t *tuples, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (!is_particle(tuples[2 * i]) || !is_particle(tuples[2 * i + 1])) continue;
        pairs->from[pairs->count] = (int32_t)(tuples[2 * i] + 1);
        pairs->to[pairs->count] = (int32_t)(tuples[2 * i + 1] + 1);
        pairs->count++;
    }
}

static trajlog_status read_pairs(struct facade *facade, const struct h5md_entry *entry, struct pairs *pairs)
{
    const int64_t count = facade->schema->groups[entry->group]->fields[entry->field]->shape.dims[0];
    hid_t dataset = H5Dopen2(facade->file, entry->path, H5P_DEFAULT);
    if (dataset < 0) return fail(facade, "open", entry->path);
    int64_t *tuples = malloc((size_t)count * 2 * sizeof *tuples);
    trajlog_status status = TRAJLOG_OK;
    if (tuples == NULL) status = error_set(facade->error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
    else if (H5Dread(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, tuples) < 0)
        status = fail(facade, "read", entry->path);
    else add_pairs(pairs, tuples, count);
    free(tuples);
    H5Dclose(dataset);
    return status;
}

static trajlog_status write_pairs(struct facade *facade, struct pairs *pairs)
{
    const struct h5md_plan *plan = facade->plan;
    for (size_t i = 0; i < plan->entry_count; i++) {
        if (is_drawn(facade, &plan->entries[i])) TRY(read_pairs(facade, &plan->entries[i], pairs));
    }
    TRY(write_list(facade, "/parameters/vmd_structure/bond_from", H5T_NATIVE_INT32, pairs->from, pairs->count));
    return write_list(facade, "/parameters/vmd_structure/bond_to", H5T_NATIVE_INT32, pairs->to, pairs->count);
}

/* VMD does not look into /connectivity. Lists that the program makes itself are left alone. */
static trajlog_status write_bonds(struct facade *facade)
{
    const struct h5md_plan *plan = facade->plan;
    struct pairs pairs = {NULL, NULL, 0};
    size_t most = 0;
    for (size_t i = 0; i < plan->entry_count; i++) {
        const struct h5md_entry *entry = &plan->entries[i];
        if (is_drawn(facade, entry))
            most += (size_t)facade->schema->groups[entry->group]->fields[entry->field]->shape.dims[0];
    }
    if (most == 0) return TRAJLOG_OK;
    TRY(need_group(facade, "/parameters/vmd_structure"));
    if (link_exists(facade, "/parameters/vmd_structure/bond_from") ||
        link_exists(facade, "/parameters/vmd_structure/bond_to"))
        return TRAJLOG_OK;
    pairs.from = malloc(most * sizeof *pairs.from);
    pairs.to = malloc(most * sizeof *pairs.to);
    trajlog_status status = pairs.from != NULL && pairs.to != NULL
                                ? write_pairs(facade, &pairs)
                                : error_set(facade->error, TRAJLOG_OUT_OF_MEMORY, 0, "out of memory");
    free(pairs.from);
    free(pairs.to);
    return status;
}

static trajlog_status present(struct facade *facade)
{
    TRY(make_metadata(facade));
    TRY(make_all_particles(facade));
    TRY(make_entries(facade));
    TRY(set_time_units(facade));
    TRY(write_species(facade));
    return write_bonds(facade);
}

trajlog_status h5md_present(hid_t file, const char *path, const struct schema *schema, struct error *error)
{
    struct h5md_plan plan;
    if (!schema_has_roles(schema)) return TRAJLOG_OK;
    trajlog_status status = h5md_plan_make(&plan, schema, error);
    if (status == TRAJLOG_OK) {
        struct facade facade = {file, schema, &plan, schema->presentation->profile, error};
        status = present(&facade);
        h5md_plan_free(&plan);
    }
    if (status != TRAJLOG_OK) error_prefix(error, "%s", path);
    return status;
}
