#include "store/hdf5_error.h"

#include <hdf5.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stack_summary {
    char innermost[256];
    char outermost[256];
    int number; /* the first errno that an entry names; 0: none */
};

/* libhdf5's drivers report a failed system call as "..., errno = 28, error message = '...'". */
static int errno_in(const char *text)
{
    static const char mark[] = "errno = ";
    const char *found = text ? strstr(text, mark) : NULL;
    return found ? (int)strtol(found + sizeof mark - 1, NULL, 10) : 0;
}

static herr_t add_entry(unsigned index, const H5E_error2_t *entry, void *context)
{
    struct stack_summary *summary = context;
    char *text = index == 0 ? summary->innermost : summary->outermost;
    const char *function = entry->func_name ? entry->func_name : "?";
    const char *description = entry->desc ? entry->desc : "?";
    snprintf(text, sizeof summary->innermost, "%s: %s", function, description);
    if (summary->number == 0) summary->number = errno_in(entry->desc);
    return 0;
}

trajlog_status hdf5_error(struct error *error, const char *format, ...)
{
    struct stack_summary summary = {"", "", 0};
    char message[512], stack[600] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);

    /* A stack that cannot be walked leaves the summary empty; the message stands without it. */
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, add_entry, &summary);
    (void)H5Eclear2(H5E_DEFAULT);

    if (summary.outermost[0]) snprintf(stack, sizeof stack, " (libhdf5: %s; %s)", summary.innermost, summary.outermost);
    else if (summary.innermost[0]) snprintf(stack, sizeof stack, " (libhdf5: %s)", summary.innermost);
    trajlog_status status = summary.number ? TRAJLOG_IO_ERROR : TRAJLOG_HDF5_ERROR;
    return error_set(error, status, summary.number, "%s%s", message, stack);
}

/* Asking with the wrong version of the interface is an error for libhdf5, which it would print. */
static unsigned version_in_use(void)
{
    unsigned is_version_2 = 1;
    if (H5Eauto_is_v2(H5E_DEFAULT, &is_version_2) < 0) return 0;
    return is_version_2 ? 2 : 1;
}

void hdf5_quiet_begin(struct hdf5_quiet *quiet)
{
    H5E_auto2_t function = NULL;
    H5E_auto1_t function_1 = NULL;
    quiet->function = quiet->context = NULL;
    quiet->version = version_in_use();
    if (quiet->version == 1) {
        if (H5Eget_auto1(&function_1, &quiet->context) < 0) quiet->version = 0;
        quiet->function = (void *)function_1;
    } else if (quiet->version == 2) {
        if (H5Eget_auto2(H5E_DEFAULT, &function, &quiet->context) < 0) quiet->version = 0;
        quiet->function = (void *)function;
    }
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

void hdf5_quiet_end(struct hdf5_quiet *quiet)
{
    if (quiet->version == 1) (void)H5Eset_auto1((H5E_auto1_t)quiet->function, quiet->context);
    else if (quiet->version == 2) (void)H5Eset_auto2(H5E_DEFAULT, (H5E_auto2_t)quiet->function, quiet->context);
}
