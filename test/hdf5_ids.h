/* What a call has left open in libhdf5. That an identifier was forgotten is seen by counting them; what libhdf5 itself
 * forgets, on an error path, has no identifier, and is seen when the library ends: then it says so on stderr, and some
 * builds abort. */
#ifndef TEST_HDF5_IDS_H
#define TEST_HDF5_IDS_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* The numbers of one kind of identifier are given out in their order: so these are the next ones. */
struct hdf5_ids {
    hid_t space, type, list;
};

static inline struct hdf5_ids hdf5_next_ids(void)
{
    struct hdf5_ids next = {
        .space = H5Screate(H5S_SCALAR), .type = H5Tcopy(H5T_NATIVE_INT), .list = H5Pcreate(H5P_FILE_ACCESS)};
    H5Sclose(next.space);
    H5Tclose(next.type);
    H5Pclose(next.list);
    return next;
}

static inline long hdf5_ids_between(hid_t first, hid_t end)
{
    long count = 0;
    for (hid_t id = first; id < end; id++) count += H5Iis_valid(id) > 0;
    return count;
}

/* Files with all that is in them, and the dataspaces, types and property lists that were made since `before`. */
static inline long hdf5_ids_left(const struct hdf5_ids *before)
{
    struct hdf5_ids now = hdf5_next_ids();
    ssize_t in_files = H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL);
    return (long)in_files + hdf5_ids_between(before->space, now.space) + hdf5_ids_between(before->type, now.type) +
           hdf5_ids_between(before->list, now.list);
}

/* Whether libhdf5 would end in silence now: tried in a child, as it does not come back from its abort. */
static inline bool hdf5_ends_in_silence(void)
{
    int ends[2], status = -1;
    char said[200];
    if (pipe(ends) != 0) return false;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        _exit(H5close() >= 0 ? 0 : 1);
    }
    close(ends[1]);
    ssize_t size = read(ends[0], said, sizeof said - 1);
    close(ends[0]);
    bool ended = child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (size > 0) printf("%.*s\n", (int)size, said);
    return ended && size == 0;
}

#endif
