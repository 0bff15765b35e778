#include "read/filter.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/decode.h"

struct filter {
    H5Z_filter_t id;
    unsigned level; /* deflate's; shuffle's size of an element */
    char name[32];
};

/* The ids that The HDF Group has registered for the filters that people use. */
static const struct {
    H5Z_filter_t id;
    const char *name;
} known[] = {{H5Z_FILTER_DEFLATE, "deflate"},
             {H5Z_FILTER_SHUFFLE, "shuffle"},
             {H5Z_FILTER_FLETCHER32, "fletcher32"},
             {H5Z_FILTER_SZIP, "szip"},
             {H5Z_FILTER_NBIT, "nbit"},
             {H5Z_FILTER_SCALEOFFSET, "scaleoffset"},
             {307, "bzip2"},
             {32000, "lzf"},
             {32001, "blosc"},
             {32004, "lz4"},
             {32008, "bitshuffle"},
             {32013, "zfp"},
             {32015, "zstd"},
             {32017, "sz"},
             {32026, "blosc2"}};

/* A name from a file is not printed as it is: it may hold anything. */
static void make_printable(char *name)
{
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && *name != '-' && *name != '_' && *name != ' ') *name = '?';
}

static bool filter_get(hid_t properties, unsigned index, struct filter *filter)
{
    size_t value_count = 1;
    unsigned values[1] = {0}, flags, config;
    memset(filter, 0, sizeof *filter);
    filter->id =
        H5Pget_filter2(properties, index, &flags, &value_count, values, sizeof filter->name, filter->name, &config);
    if (filter->id < 0) return false;
    filter->name[sizeof filter->name - 1] = '\0';
    filter->level = values[0];
    make_printable(filter->name);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].id == filter->id) snprintf(filter->name, sizeof filter->name, "%s", known[i].name);
    return true;
}

static void filter_text(const struct filter *filter, char *text, size_t size)
{
    if (filter->id == H5Z_FILTER_DEFLATE) snprintf(text, size, "deflate %u", filter->level);
    else if (filter->id < H5Z_FILTER_RESERVED && filter->name[0]) snprintf(text, size, "%s", filter->name);
    else if (filter->name[0]) snprintf(text, size, "filter %d (%s)", (int)filter->id, filter->name);
    else snprintf(text, size, "filter %d", (int)filter->id);
}

static unsigned filter_count(hid_t properties)
{
    int count = H5Pget_nfilters(properties);
    return count > 0 ? (unsigned)count : 0;
}

char *filters_text(hid_t properties, char *text, size_t size)
{
    struct filter filter;
    char one[80];
    if (size > 0) text[0] = '\0';
    for (unsigned i = 0; i < filter_count(properties); i++) {
        size_t used = strlen(text);
        if (!filter_get(properties, i, &filter)) continue;
        filter_text(&filter, one, sizeof one);
        snprintf(text + used, size - used, "%s%s", used ? ", " : "", one);
    }
    return text;
}

/* shuffle: 0, deflate: 1, fletcher32: 2; -1 for others. */
static int place_of(H5Z_filter_t id)
{
    return id == H5Z_FILTER_SHUFFLE ? 0 : id == H5Z_FILTER_DEFLATE ? 1 : id == H5Z_FILTER_FLETCHER32 ? 2 : -1;
}

bool filters_are_simple(hid_t properties, size_t element_size, struct decoding *decoding)
{
    struct filter filter;
    bool found[3] = {false, false, false};
    int before = -1;
    for (unsigned i = 0; i < filter_count(properties); i++) {
        int place = filter_get(properties, i, &filter) ? place_of(filter.id) : -1;
        if (place <= before || (place == 0 && filter.level != element_size)) return false;
        found[place] = true;
        before = place;
    }
    *decoding = (struct decoding){found[0], found[1], found[2], element_size};
    return true;
}

long filters_expansion(hid_t properties)
{
    struct filter filter;
    long expansion = 1;
    for (unsigned i = 0; i < filter_count(properties); i++) {
        if (!filter_get(properties, i, &filter)) return 65536;
        if (filter.id == H5Z_FILTER_SHUFFLE || filter.id == H5Z_FILTER_FLETCHER32) continue;
        if (filter.id != H5Z_FILTER_DEFLATE) return 65536; /* a run-length code of a constant chunk */
        expansion = 1100; /* deflate: 258 bytes from two bits, and a little more for safety */
    }
    return expansion;
}

static void name_filter(const struct filter *filter, char *text, size_t size)
{
    if (filter->name[0]) snprintf(text, size, "filter %d (%s)", (int)filter->id, filter->name);
    else snprintf(text, size, "filter %d", (int)filter->id);
}

/* The number of the filter that a word of a list means; negative: none. */
static H5Z_filter_t filter_meant(const char *word, size_t length)
{
    char text[32], *end;
    if (length == 0 || length >= sizeof text) return -1;
    memcpy(text, word, length);
    text[length] = '\0';
    long number = strtol(text, &end, 10);
    if (*end == '\0' && number >= 0 && number <= H5Z_FILTER_MAX) return (H5Z_filter_t)number;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].name, text) == 0) return known[i].id;
    return -1;
}

/* The list's word at *place, and where the next one begins; NULL at the end. */
static const char *next_word(const char **place, size_t *length)
{
    const char *word = *place;
    if (!word || !*word) return NULL;
    *length = strcspn(word, ",");
    *place = word + *length + (word[*length] == ',');
    return word;
}

bool filters_list_is_valid(const char *allowed, char *unknown, size_t size)
{
    const char *word;
    size_t length;
    while ((word = next_word(&allowed, &length)) != NULL) {
        if (filter_meant(word, length) >= 0) continue;
        snprintf(unknown, size, "%.*s", (int)length, word);
        return false;
    }
    return true;
}

static bool is_allowed(H5Z_filter_t id, const char *allowed)
{
    const char *word;
    size_t length;
    if (id < H5Z_FILTER_RESERVED) return true;
    while ((word = next_word(&allowed, &length)) != NULL)
        if (filter_meant(word, length) == id) return true;
    return false;
}

const char *filters_forbidden(hid_t properties, const char *allowed, char *text, size_t size)
{
    struct filter filter;
    for (unsigned i = 0; i < filter_count(properties); i++) {
        if (filter_get(properties, i, &filter) && is_allowed(filter.id, allowed)) continue;
        name_filter(&filter, text, size);
        return text;
    }
    return NULL;
}

const char *filters_missing(hid_t properties, char *text, size_t size)
{
    struct filter filter;
    for (unsigned i = 0; i < filter_count(properties); i++) {
        if (!filter_get(properties, i, &filter) || H5Zfilter_avail(filter.id) > 0) continue;
        name_filter(&filter, text, size);
        return text;
    }
    return NULL;
}
