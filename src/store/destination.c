#include "store/destination.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static trajlog_status keep(char *path, const char *given, char **resolved, struct error *error)
{
    *resolved = path;
    if (path) return TRAJLOG_OK;
    return error_set(error, errno == ENOMEM ? TRAJLOG_OUT_OF_MEMORY : TRAJLOG_IO_ERROR, errno,
                     "%s: cannot find where it is", given);
}

trajlog_status destination_check(const char *path, trajlog_existing existing, char **resolved, struct error *error)
{
    struct stat found;
    *resolved = NULL;
    if (!path || !*path) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the file has no name");
    if (lstat(path, &found) == 0 && existing == TRAJLOG_REFUSE)
        return error_set(error, TRAJLOG_FILE_EXISTS, EEXIST, "%s: not created", path);
    if (stat(path, &found) != 0) return keep(strdup(path), path, resolved, error); /* nothing there */
    if (!S_ISREG(found.st_mode))
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "%s: not a regular file, so it is not replaced", path);
    if (access(path, W_OK) != 0) return error_set(error, TRAJLOG_IO_ERROR, errno, "%s: it is not to be replaced", path);
    return keep(realpath(path, NULL), path, resolved, error);
}
