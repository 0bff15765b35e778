#include "store/destination.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

trajlog_status destination_check(const char *path, trajlog_existing existing, struct error *error)
{
    struct stat found;
    if (!path || !*path) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the file has no name");
    if (lstat(path, &found) == 0 && existing == TRAJLOG_REFUSE)
        return error_set(error, TRAJLOG_FILE_EXISTS, EEXIST,
                         "%s: not created, and what is there not touched: TRAJLOG_REPLACE replaces it, "
                         "trajlog_resume goes on with it",
                         path);
    if (stat(path, &found) != 0) return TRAJLOG_OK; /* nothing is there */
    if (!S_ISREG(found.st_mode))
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "%s: not a regular file, so it is not replaced", path);
    if (access(path, W_OK) != 0) return error_set(error, TRAJLOG_IO_ERROR, errno, "%s: it is not to be replaced", path);
    return TRAJLOG_OK;
}

trajlog_status destination_check_existing(const char *path, struct error *error)
{
    struct stat found;
    if (!path || !*path) return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "the file has no name");
    if (stat(path, &found) != 0) {
        bool missing = errno == ENOENT || errno == ENOTDIR;
        return error_set(error, missing ? TRAJLOG_NOT_FOUND : TRAJLOG_IO_ERROR, errno, "%s: not resumed", path);
    }
    if (!S_ISREG(found.st_mode)) return error_set(error, TRAJLOG_INVALID_FILE, 0, "%s: not a regular file", path);
    return TRAJLOG_OK;
}
