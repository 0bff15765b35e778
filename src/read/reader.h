/* What reader.c and stream.c share: a reader, and how its calls end. */
#ifndef READ_READER_H
#define READ_READER_H

#include <stddef.h>

#include "read/scan.h"

struct trajlog_reader {
    char *path;
    char *filters; /* that may be used besides HDF5's own; see filter.h */
    struct decoders *decoders;
    struct scan *scan;              /* NULL: it could not be opened; then it only carries its error */
    struct error error;             /* of the latest call that failed */
    struct trajlog_stream *streams; /* that are open */
};

/* The scan goes: streams end, and read nothing in advance any more. */
void streams_end(trajlog_reader *reader);
/* The reader itself goes: its streams do without. */
void streams_leave(trajlog_reader *reader);

/* Every public call makes its own error, and ends with this: it names the file and is kept if the call failed. */
trajlog_status reader_end(trajlog_reader *reader, trajlog_status status, struct error *error);

/* The same for calls without a reader, on a file. */
trajlog_status reader_end_file(const char *path, trajlog_status status, struct error *error);

/* The file's own path, with all symbolic links followed; free() it. NOT_FOUND, INVALID_ARGUMENT (no name), IO_ERROR. */
trajlog_status reader_real_path(const char *path, char **real, struct error *error);

/* Gives the caller what its structure of struct_size `size` has room for, and zeros in the rest; `result` begins with a
 * struct_size too. */
void reader_give(void *target, size_t size, void *result, size_t result_size);

/* Whether the caller's structure reaches to the end of this member: its program may be older than the library. */
#define HAS_MEMBER(options, type, member) ((options)->struct_size >= offsetof(type, member) + sizeof((options)->member))

/* The options' filters; NULL: none. INVALID_ARGUMENT: a size of nothing, a name that is not known. */
trajlog_status reader_filters(const trajlog_reader_options *options, const char **filters, struct error *error);

/* A reader that could not be opened answers every call with the reason. */
trajlog_status reader_is_open(const trajlog_reader *reader, struct error *error);

/* The group; errors of a reader that is not open, and NOT_FOUND. */
trajlog_status reader_group(const trajlog_reader *reader, const char *name, const struct scan_group **group,
                            struct error *error);
/* A field of it, and the type to give its elements in. NOT_FOUND, and as rows_type. */
trajlog_status reader_field(const struct scan_group *group, const char *name, trajlog_type type,
                            const struct dataset **dataset, trajlog_type *result, struct error *error);
trajlog_status reader_select(const struct scan_group *group, const trajlog_rows *rows, struct selection *selection,
                             struct error *error);
/* Whether the caller's memory has room for the selection. OUT_OF_RANGE, INVALID_ARGUMENT (NULL). */
trajlog_status reader_check_room(const struct selection *selection, const struct dataset *dataset, trajlog_type type,
                                 const void *data, size_t room, struct error *error);
/* Names group and field in front of the message. */
void reader_name_field(struct error *error, const struct scan_group *group, const char *field);

#endif
