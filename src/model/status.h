/* An error on its way to the caller: status, errno, message. The first one wins. Knows nothing of what failed. */
#ifndef MODEL_STATUS_H
#define MODEL_STATUS_H

#include "trajlog.h"

struct error {
    trajlog_status status; /* TRAJLOG_OK: nothing happened yet */
    int number;            /* errno, or 0 */
    char message[1024];    /* names file, group, field, and what was expected */
};

/* Hands an error up. */
#define TRY(expression)                                                                                                \
    do {                                                                                                               \
        trajlog_status try_status_ = (expression);                                                                     \
        if (try_status_ != TRAJLOG_OK) return try_status_;                                                             \
    } while (0)

/* Sets the error, unless one is set already, and returns `status`, but OUT_OF_MEMORY for an IO_ERROR whose errno says
 * so. `error` may be NULL; `number` is an errno or 0, and its text is appended to the message. */
trajlog_status error_set(struct error *error, trajlog_status status, int number, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "where: " in front of the message, for what only the caller of a function knows (group "x", field "y"). */
void error_prefix(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

void error_clear(struct error *error);

/* Keeps a copy for this thread: what trajlog_message(NULL) and trajlog_error_number(NULL) return. */
void error_remember(const struct error *error);
const char *error_remembered_message(void);
int error_remembered_number(void);

#endif
