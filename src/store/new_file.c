#include "store/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static trajlog_status no_memory(const char *path, struct error *error)
{
    return error_set(error, TRAJLOG_OUT_OF_MEMORY, 0, "%s: no memory for its name", path);
}

static trajlog_status exists_already(const char *path, struct error *error)
{
    return error_set(error, TRAJLOG_FILE_EXISTS, EEXIST, "%s: not created", path);
}

/* What is at `path` now, and whether it may go. */
static trajlog_status check_existing(const char *path, trajlog_existing existing, char **resolved, struct error *error)
{
    struct stat found;
    *resolved = NULL;
    if (lstat(path, &found) == 0 && existing == TRAJLOG_REFUSE) return exists_already(path, error);
    if (stat(path, &found) != 0) {
        *resolved = strdup(path); /* nothing there; what else is wrong with it shows when the file is made */
        return *resolved ? TRAJLOG_OK : no_memory(path, error);
    }
    if (!S_ISREG(found.st_mode))
        return error_set(error, TRAJLOG_INVALID_ARGUMENT, 0, "%s: not a regular file, so it is not replaced", path);
    if (access(path, W_OK) != 0) return error_set(error, TRAJLOG_IO_ERROR, errno, "%s: not to be replaced", path);
    *resolved = realpath(path, NULL);
    return *resolved ? TRAJLOG_OK : error_set(error, TRAJLOG_IO_ERROR, errno, "%s: cannot find where it is", path);
}

/* ".trajlog-PID-N" in the directory of `path`: short, as the name itself may be as long as names can be. */
static char *temporary_name(const char *path, unsigned attempt)
{
    const char *slash = strrchr(path, '/');
    int directory = slash ? (int)(slash + 1 - path) : 0;
    char *name = NULL;
    if (asprintf(&name, "%.*s.trajlog-%ld-%u", directory, path, (long)getpid(), attempt) < 0) return NULL;
    return name;
}

static trajlog_status make_temporary(struct new_file *file, struct error *error)
{
    int descriptor = -1;
    for (unsigned attempt = 0; descriptor < 0; attempt++) {
        free(file->temporary);
        file->temporary = temporary_name(file->path, attempt);
        if (!file->temporary) return no_memory(file->path, error);
        descriptor = open(file->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor < 0 && (errno != EEXIST || attempt == 10000)) {
            int number = errno;
            free(file->temporary);
            file->temporary = NULL;
            return error_set(error, number == ENOENT ? TRAJLOG_NOT_FOUND : TRAJLOG_IO_ERROR, number,
                             "%s: cannot create a file in its directory", file->path);
        }
    }
    close(descriptor); /* nothing was written, so there is nothing that it could fail to store */
    return TRAJLOG_OK;
}

trajlog_status new_file_make(struct new_file *file, const char *path, trajlog_existing existing, struct error *error)
{
    file->path = file->temporary = NULL;
    TRY(check_existing(path, existing, &file->path, error));
    trajlog_status status = make_temporary(file, error);
    if (status != TRAJLOG_OK) new_file_free(file);
    return status;
}

/* For file systems that know neither renameat2 nor hard links: the name is claimed with an empty file first. */
static int claim_and_rename(const struct new_file *file)
{
    int descriptor = open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor < 0) return -1;
    close(descriptor);
    return rename(file->temporary, file->path);
}

static int rename_without_replacing(const struct new_file *file)
{
    if (renameat2(AT_FDCWD, file->temporary, AT_FDCWD, file->path, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1;
    if (link(file->temporary, file->path) == 0) return unlink(file->temporary);
    if (errno == EEXIST) return -1;
    return claim_and_rename(file);
}

trajlog_status new_file_publish(struct new_file *file, trajlog_existing existing, struct error *error)
{
    int failed = existing == TRAJLOG_REPLACE ? rename(file->temporary, file->path) : rename_without_replacing(file);
    if (failed && errno == EEXIST) return exists_already(file->path, error);
    if (failed) return error_set(error, TRAJLOG_IO_ERROR, errno, "%s: cannot give the new file its name", file->path);
    free(file->temporary);
    file->temporary = NULL;
    return TRAJLOG_OK;
}

void new_file_free(struct new_file *file)
{
    if (file->temporary) (void)unlink(file->temporary);
    free(file->temporary);
    free(file->path);
    file->path = file->temporary = NULL;
}
