#include "model/unit.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_SYMBOL   32
#define MAX_FACTORS  16
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Symbols that take an SI prefix, from the module `units` 1.0. */
static const char *const prefixed[] = {"m",  "g", "s", "L",   "Hz", "N", "dyn", "Pa",  "bar", "J",     "cal", "erg",
                                       "eV", "W", "K", "mol", "A",  "C", "V",   "rad", "u",   "poise", "cd"};
static const char *const prefixes[] = {"E", "P", "T", "G", "M", "k", "h", "da", "d", "c", "m", "u", "n", "p", "f", "a"};

/* Symbols that stand alone: the module's; then those that MDAnalysis and pint read, and atomic units. */
static const char *const plain_si[] = {"Ang", "atm", "degree", "pi", "kB", "Nav", "c", "e"};
static const char *const plain[] = {"Angstrom", "angstrom", "second", "sec",     "AKMA",    "Newton",  "amu",
                                    "Da",       "dalton",   "bohr",   "hartree", "Hartree", "rydberg", "percent",
                                    "min",      "h",        "day",    "D",       "debye"};

/* What people write, and what the readers know it as. Compared without case. */
static const struct alias {
    const char *written, *symbol;
} aliases[] = {
    {"\xc3\x85", "Angstrom"},
    {"\xe2\x84\xab", "Angstrom"},
    {"ang", "Angstrom"},
    {"angstroms", "Angstrom"},
    {"angstroem", "Angstrom"},
    {"\xc3\xa5ngstr\xc3\xb6m", "Angstrom"},
    {"nanometer", "nm"},
    {"nanometers", "nm"},
    {"nanometre", "nm"},
    {"picometer", "pm"},
    {"meter", "m"},
    {"meters", "m"},
    {"metre", "m"},
    {"micrometer", "um"},
    {"picosecond", "ps"},
    {"picoseconds", "ps"},
    {"femtosecond", "fs"},
    {"femtoseconds", "fs"},
    {"nanosecond", "ns"},
    {"nanoseconds", "ns"},
    {"seconds", "s"},
    {"microsecond", "us"},
    {"\xc2\xb5s", "us"},
    {"\xc2\xb5m", "um"},
    {"\xce\xbcs", "us"},
    {"\xce\xbcm", "um"},
    {"kelvin", "K"},
    {"joule", "J"},
    {"kilojoule", "kJ"},
    {"kilocalorie", "kcal"},
    {"electronvolt", "eV"},
    {"ev", "eV"},
    {"mole", "mol"},
    {"moles", "mol"},
    {"daltons", "Da"},
    {"atomic_mass_unit", "u"},
    {"unified_atomic_mass_unit", "u"},
    {"elementary_charge", "e"},
    {"elementary_charges", "e"},
    {"electron_charge", "e"},
    {"coulomb", "C"},
    {"pascal", "Pa"},
    {"bars", "bar"},
    {"atmosphere", "atm"},
    {"atmospheres", "atm"},
    {"degrees", "degree"},
    {"deg", "degree"},
    {"\xc2\xb0", "degree"},
    {"radian", "rad"},
    {"radians", "rad"},
    {"k_b", "kB"},
    {"gram", "g"},
    {"grams", "g"},
    {"kilogram", "kg"},
    {"newtons", "N"},
    {"ha", "hartree"},
    {"a0", "bohr"},
};

static bool is_listed(const char *const *list, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i], text) == 0) return true;
    }
    return false;
}

static bool is_si_symbol(const char *text)
{
    if (is_listed(plain_si, COUNT(plain_si), text) || is_listed(prefixed, COUNT(prefixed), text)) return true;
    for (size_t i = 0; i < COUNT(prefixes); i++) {
        size_t length = strlen(prefixes[i]);
        if (strncmp(text, prefixes[i], length) == 0 && is_listed(prefixed, COUNT(prefixed), text + length)) return true;
    }
    return false;
}

static bool is_symbol(const char *text)
{
    return is_si_symbol(text) || is_listed(plain, COUNT(plain), text);
}

/* A number without sign, "60", "0.5", or an integer to a power, "10+3". */
static bool is_number(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    const char *rest = text + digits;
    if (digits == 0) return false;
    if (*rest == '.') return rest[1] != '\0' && rest[1 + strspn(rest + 1, "0123456789")] == '\0';
    if (*rest == '+' || *rest == '-') {
        return rest[1] >= '1' && rest[1] <= '9' && rest[1 + strspn(rest + 1, "0123456789")] == '\0';
    }
    return *rest == '\0';
}

/* A symbol with an optional signed power, which is not 0; the symbol goes to `symbol`. */
static bool is_factor(const char *text, char symbol[MAX_SYMBOL])
{
    size_t length = strcspn(text, "+-");
    if (length == 0 || length >= MAX_SYMBOL) return false;
    memcpy(symbol, text, length);
    symbol[length] = '\0';
    if (text[length] != '\0') {
        const char *power = text + length + 1;
        if (*power < '1' || *power > '9' || power[strspn(power, "0123456789")] != '\0') return false;
    }
    return is_symbol(symbol);
}

/* NULL if the unit is well spelled; else what is wrong with it. */
static const char *find_fault(const char *unit)
{
    char symbols[MAX_FACTORS][MAX_SYMBOL];
    size_t count = 0;
    for (const char *place = unit; *place != '\0';) {
        char factor[2 * MAX_SYMBOL];
        size_t length = strcspn(place, " ");
        if (length == 0) return "factors are separated by one blank";
        if (length >= sizeof factor || count == MAX_FACTORS) return "it is too long";
        memcpy(factor, place, length);
        factor[length] = '\0';
        if (!(place == unit && is_number(factor))) {
            if (!is_factor(factor, symbols[count])) return "not a unit that readers know";
            for (size_t i = 0; i < count; i++) {
                if (strcmp(symbols[i], symbols[count]) == 0) return "a symbol occurs twice";
            }
            count++;
        }
        place += length;
        if (*place == ' ' && *++place == '\0') return "it ends with a blank";
    }
    return NULL;
}

bool unit_is_si(const char *unit)
{
    char symbol[MAX_SYMBOL];
    if (find_fault(unit) != NULL) return false;
    for (const char *place = unit; *place != '\0'; place += strcspn(place, " "), place += *place == ' ') {
        size_t length = strcspn(place, " +-");
        if (*place >= '0' && *place <= '9') continue;
        memcpy(symbol, place, length);
        symbol[length] = '\0';
        if (!is_si_symbol(symbol)) return false;
    }
    return true;
}

/* The symbol that `written` probably stands for; NULL if unknown. */
static const char *meant_symbol(const char *written)
{
    static const char *const usual[] = {"nm",  "pm",  "fm",  "ps",  "fs", "ns",       "us",   "kJ",    "kcal",
                                        "kPa", "MPa", "GPa", "meV", "kg", "Angstrom", "AKMA", "Newton"};
    for (size_t i = 0; i < COUNT(aliases); i++) {
        if (strcasecmp(aliases[i].written, written) == 0) return aliases[i].symbol;
    }
    for (size_t i = 0; i < COUNT(usual); i++) {
        if (strcasecmp(usual[i], written) == 0) return usual[i];
    }
    for (size_t i = 0; i < COUNT(plain); i++) {
        if (strcasecmp(plain[i], written) == 0) return plain[i];
    }
    for (size_t i = 0; i < COUNT(plain_si); i++) {
        if (strcasecmp(plain_si[i], written) == 0) return plain_si[i];
    }
    for (size_t i = 0; i < COUNT(prefixed); i++) {
        if (strcasecmp(prefixed[i], written) == 0) return prefixed[i];
    }
    return NULL;
}

/* Reads "nm^2", "nm**2", "nm2", "nm-1", "nm": the symbol, then the power. Returns where it ends; NULL if it is neither.
 */
static const char *read_loose_factor(const char *text, char symbol[MAX_SYMBOL], long *power)
{
    size_t length = strcspn(text, " */^+-().0123456789");
    /* A middle dot between factors is two bytes of UTF-8. */
    for (size_t i = 0; i + 1 < length; i++) {
        if (text[i] == '\xc2' && text[i + 1] == '\xb7') length = i;
    }
    if (length == 0 || length >= MAX_SYMBOL) return NULL;
    memcpy(symbol, text, length);
    symbol[length] = '\0';
    text += length;
    *power = 1;
    const char *digits = text;
    if (*digits == '^') digits++;
    else if (digits[0] == '*' && digits[1] == '*') digits += 2;
    if (isdigit((unsigned char)*digits) || ((*digits == '+' || *digits == '-') && isdigit((unsigned char)digits[1]))) {
        char *end = NULL;
        *power = strtol(digits, &end, 10);
        text = end;
    }
    return text;
}

/* Skips what separates factors; sets `divide` for what comes behind a slash. NULL if there is something else. */
static const char *skip_separators(const char *text, bool *divide)
{
    for (;;) {
        if (text[0] == '\xc2' && text[1] == '\xb7') text += 2;
        else if (*text == '/') *divide = true, text++;
        else if (*text == '*' || *text == '.') *divide = false, text++;
        else if (*text == ' ' || *text == '(' || *text == ')') text++;
        else return text;
    }
}

/* Writes the spelling that was probably meant, at most `size` bytes with the final null byte; "" if none is known. */
static void suggest(const char *unit, char *text, size_t size)
{
    size_t used = 0;
    bool divide = false;
    text[0] = '\0';
    if (strcasecmp(unit, "lj") == 0 || strcasecmp(unit, "reduced") == 0 || strcmp(unit, "1") == 0) return;
    for (const char *place = skip_separators(unit, &divide); *place != '\0'; place = skip_separators(place, &divide)) {
        char symbol[MAX_SYMBOL];
        long power = 1;
        place = read_loose_factor(place, symbol, &power);
        const char *meant = place == NULL ? NULL : is_symbol(symbol) ? symbol : meant_symbol(symbol);
        if (meant == NULL || power == 0 || power > 99 || power < -99) {
            text[0] = '\0';
            return;
        }
        if (divide) power = -power;
        char factor[MAX_SYMBOL + 8];
        int length = power == 1 ? snprintf(factor, sizeof factor, "%s", meant)
                                : snprintf(factor, sizeof factor, "%s%+ld", meant, power);
        if (length < 0 || used + (size_t)length + 2 > size) {
            text[0] = '\0';
            return;
        }
        if (used > 0) text[used++] = ' ';
        memcpy(text + used, factor, (size_t)length + 1);
        used += (size_t)length;
    }
    if (find_fault(text) != NULL) text[0] = '\0';
}

static trajlog_status report(const char *unit, const char *fault, const char *known, struct error *error)
{
    char meant[128];
    suggest(unit, meant, sizeof meant);
    if (meant[0] != '\0' && strcmp(meant, unit) != 0) {
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "unit \"%s\": %s; write \"%s\"%s", unit, fault, meant,
                         known);
    }
    return error_set(
        error, TRAJLOG_INVALID_ARGUMENT, 0,
        "unit \"%s\": %s; write symbols with signed powers, separated by blanks, as in \"kJ mol-1 nm-1\"%s", unit,
        fault, known);
}

trajlog_status unit_check(const char *unit, struct error *error)
{
    const char *fault = find_fault(unit);
    return fault == NULL ? TRAJLOG_OK : report(unit, fault, "", error);
}

/* The spellings that MDAnalysis's H5MDReader translates (2.4.2 and 2.9; `_unit_translation`), most usual first. */
static const char *const times[] = {"ps", "fs", "ns", "s", "second", "sec", "AKMA"};
static const char *const lengths[] = {"nm", "Angstrom", "angstrom", "A", "pm", "fm"};
static const char *const velocities[] = {"nm ps-1",         "Angstrom ps-1", "Angstrom fs-1", "A ps-1",  "A fs-1",
                                         "Angstrom AKMA-1", "A AKMA-1",      "nm ns-1",       "pm ps-1", "m s-1"};
static const char *const forces[] = {
    "kJ mol-1 nm-1", "kJ mol-1 Angstrom-1", "kcal mol-1 Angstrom-1", "kcal mol-1 A-1", "N", "Newton", "J m-1"};
static const struct {
    const char *name;
    const char *const *list;
    size_t count;
} quantities[] = {
    [UNIT_TIME] = {"time", times, COUNT(times)},
    [UNIT_LENGTH] = {"length", lengths, COUNT(lengths)},
    [UNIT_VELOCITY] = {"velocity", velocities, COUNT(velocities)},
    [UNIT_FORCE] = {"force", forces, COUNT(forces)},
};

trajlog_status unit_check_quantity(const char *unit, enum unit_quantity quantity, struct error *error)
{
    const char *const *list = quantities[quantity].list;
    size_t count = quantities[quantity].count;
    if (unit[0] == '\0' || is_listed(list, count, unit)) return TRAJLOG_OK;
    char known[512];
    int length = snprintf(known, sizeof known, " (for a %s, readers know", quantities[quantity].name);
    for (size_t i = 0; i < count && length > 0 && (size_t)length < sizeof known; i++) {
        length += snprintf(known + length, sizeof known - (size_t)length, "%s \"%s\"", i == 0 ? "" : ",", list[i]);
    }
    if (length > 0 && (size_t)length < sizeof known) snprintf(known + length, sizeof known - (size_t)length, ")");
    const char *fault = find_fault(unit);
    return report(unit, fault != NULL ? fault : "not a spelling that MDAnalysis reads here", known, error);
}
