#include "model/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_OF_(number) #number
#define TEXT_OF(number)  TEXT_OF_(number)

static _Thread_local struct error remembered;

const char *trajlog_version(void)
{
    return TEXT_OF(TRAJLOG_VERSION_MAJOR) "." TEXT_OF(TRAJLOG_VERSION_MINOR) "." TEXT_OF(TRAJLOG_VERSION_PATCH);
}

const char *trajlog_status_name(trajlog_status status)
{
    switch (status) {
#define STATUS_NAME(name, number, text)                                                                                \
    case TRAJLOG_##name:                                                                                               \
        return "TRAJLOG_" #name;
        TRAJLOG_STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
    }
    return "TRAJLOG_UNKNOWN";
}

const char *trajlog_status_text(trajlog_status status)
{
    switch (status) {
#define STATUS_TEXT(name, number, text)                                                                                \
    case TRAJLOG_##name:                                                                                               \
        return text;
        TRAJLOG_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
    }
    return "TRAJLOG_UNKNOWN";
}

/* Puts `text` at the end of what is in `message`, as far as there is room. */
static void append_text(char *message, size_t size, const char *text)
{
    size_t used = strlen(message), length = strlen(text);
    if (length > size - 1 - used) length = size - 1 - used;
    memcpy(message + used, text, length);
    message[used + length] = '\0';
}

static void append_errno(struct error *error)
{
    char buffer[128];
    append_text(error->message, sizeof error->message, ": ");
    append_text(error->message, sizeof error->message, strerror_r(error->number, buffer, sizeof buffer));
}

trajlog_status error_set(struct error *error, trajlog_status status, int number, const char *format, ...)
{
    va_list arguments;
    if (status == TRAJLOG_IO_ERROR && number == ENOMEM) status = TRAJLOG_OUT_OF_MEMORY;
    if (error == NULL || error->status != TRAJLOG_OK) return status;
    error->status = status;
    error->number = number;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    if (number != 0) append_errno(error);
    return status;
}

void error_prefix(struct error *error, const char *format, ...)
{
    char message[sizeof error->message];
    va_list arguments;
    if (error == NULL || error->status == TRAJLOG_OK) return;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    append_text(message, sizeof message, ": ");
    append_text(message, sizeof message, error->message);
    memcpy(error->message, message, sizeof message);
}

void error_clear(struct error *error)
{
    if (error == NULL) return;
    error->status = TRAJLOG_OK;
    error->number = 0;
    error->message[0] = '\0';
}

void error_remember(const struct error *error)
{
    if (error != NULL) remembered = *error;
}

const char *error_remembered_message(void)
{
    return remembered.message;
}

int error_remembered_number(void)
{
    return remembered.number;
}
