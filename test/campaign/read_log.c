/* Reads all of a log with our reader, and prints a line for each dataset: group, field, rows, CRC-32 of the bytes. */
#include <inttypes.h>
#include <stdio.h>
#include <zlib.h>

#include "trajlog.h"

static trajlog_status read_field(trajlog_reader *reader, const char *group, const char *field, size_t row_bytes)
{
    void *data = NULL;
    int64_t rows;
    trajlog_status status = trajlog_read_new(reader, group, field, trajlog_all_rows(), 0, &data, &rows);
    if (status != TRAJLOG_OK) return status;
    uLong crc = crc32_z(0, data, row_bytes * (size_t)rows);
    printf("%s %s %" PRId64 " %08lx\n", group, field, rows, rows > 0 ? crc : 0);
    trajlog_free(data);
    return TRAJLOG_OK;
}

static trajlog_status read_group(trajlog_reader *reader, int32_t number)
{
    const trajlog_group_info *group = trajlog_reader_group(reader, number);
    trajlog_status status = TRAJLOG_OK;
    if (group->rows > 0 && !group->once) {
        status = read_field(reader, group->name, "step", sizeof(int64_t));
        if (status == TRAJLOG_OK) status = read_field(reader, group->name, "time", sizeof(double));
    }
    for (int32_t i = 0; status == TRAJLOG_OK && group->rows > 0 && i < group->field_count; i++) {
        const trajlog_field_info *field = trajlog_reader_field(reader, number, i);
        size_t bytes = trajlog_type_size(field->stored_type);
        for (int32_t k = 0; k < field->shape.rank; k++) bytes *= (size_t)field->shape.dims[k];
        status = read_field(reader, group->name, field->name, bytes);
    }
    return status;
}

int main(int argc, char **argv)
{
    trajlog_reader *reader = NULL;
    if (argc != 2) return 100;
    trajlog_status status = trajlog_open(&reader, argv[1]);
    int32_t count = status == TRAJLOG_OK ? trajlog_reader_file(reader)->group_count : 0;
    for (int32_t group = 0; status == TRAJLOG_OK && group < count; group++) status = read_group(reader, group);
    if (status != TRAJLOG_OK) fprintf(stderr, "%s: %s\n", trajlog_status_name(status), trajlog_reader_message(reader));
    trajlog_reader_close(&reader);
    return fflush(stdout) == 0 ? (int)status : 100;
}
