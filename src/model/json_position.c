#include "model/json_position.h"

#include <string.h>

struct scanner {
    const char *text;
    size_t length;
    size_t at;
};

static char current(const struct scanner *scanner)
{
    return scanner->at < scanner->length ? scanner->text[scanner->at] : '\0';
}

/* Between values, keys and brackets stand blanks, colons and, where we know the number of members, commas. */
static void skip_blanks(struct scanner *scanner)
{
    while (scanner->at < scanner->length && strchr(" \t\r\n", current(scanner)) != NULL) scanner->at++;
}

static void skip_string(struct scanner *scanner)
{
    for (scanner->at++; scanner->at < scanner->length && current(scanner) != '"'; scanner->at++) {
        if (current(scanner) == '\\') scanner->at++;
    }
    scanner->at++;
}

/* Leaves the scanner behind the value: a string, a number or word, or all between two brackets. */
static void skip_value(struct scanner *scanner)
{
    size_t depth = 0;
    skip_blanks(scanner);
    while (scanner->at < scanner->length) {
        char c = current(scanner);
        if (c == '"') {
            skip_string(scanner);
            if (depth == 0) return;
            continue;
        }
        if (depth == 0 && strchr(",]}", c) != NULL) return;
        if (c == '{' || c == '[') depth++;
        scanner->at++;
        if ((c == '}' || c == ']') && --depth == 0) return;
    }
}

static void skip_key(struct scanner *scanner)
{
    skip_string(scanner);
    skip_blanks(scanner);
    scanner->at++; /* the colon */
    skip_blanks(scanner);
}

/* From an opening bracket to the key, or the element, with this number. */
static bool enter(struct scanner *scanner, size_t number, bool *is_object)
{
    *is_object = current(scanner) == '{';
    if (!*is_object && current(scanner) != '[') return false;
    scanner->at++;
    skip_blanks(scanner);
    for (size_t i = 0; i < number; i++) {
        if (*is_object) skip_key(scanner);
        skip_value(scanner);
        skip_blanks(scanner);
        if (current(scanner) != ',') return false;
        scanner->at++;
        skip_blanks(scanner);
    }
    return current(scanner) != ']' && current(scanner) != '}';
}

static void count_lines(const struct scanner *scanner, struct position *position)
{
    position->line = 1;
    position->column = 1;
    for (size_t i = 0; i < scanner->at && i < scanner->length; i++) {
        unsigned char byte = (unsigned char)scanner->text[i];
        if (byte == '\n') {
            position->line++;
            position->column = 1;
        } else if ((byte & 0xc0) != 0x80) {
            position->column++; /* the first byte of a character */
        }
    }
}

bool json_find_position(const char *text, size_t length, const size_t *path, size_t depth, enum position_of what,
                        struct position *position)
{
    struct scanner scanner = {.text = text, .length = length};
    skip_blanks(&scanner);
    for (size_t level = 0; level < depth; level++) {
        bool is_object, wants_key = what == POSITION_OF_KEY && level + 1 == depth;
        if (!enter(&scanner, path[level], &is_object)) return false;
        if (is_object && !wants_key) skip_key(&scanner);
    }
    if (scanner.at >= length) return false;
    count_lines(&scanner, position);
    return true;
}

bool json_depth_within(const char *text, size_t length, size_t limit)
{
    struct scanner scanner = {.text = text, .length = length};
    size_t depth = 0;
    while (scanner.at < length) {
        char c = current(&scanner);
        if (c == '"') {
            skip_string(&scanner);
            continue;
        }
        if ((c == '{' || c == '[') && ++depth > limit) return false;
        if ((c == '}' || c == ']') && depth > 0) depth--;
        scanner.at++;
    }
    return true;
}
