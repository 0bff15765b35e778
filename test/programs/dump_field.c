/* Reads rows of a field with our reader, for tests that know what should come out:
 *
 *     dump_field [-f FILTERS] [-t THREADS] [-p FIRST,COUNT] FILE GROUP FIELD [ROWS [TYPE [BLOCK_ROWS]]]
 *
 * ROWS: "all", "5", "2:9:3", "0,4,4,-1", "step=20", "steps=10,30", "times=0.5,1.5". TYPE: "float32", ..., or "-": as
 * stored. With BLOCK_ROWS the rows come by a stream. FILTERS: those that are allowed. THREADS: that decode. FIRST,COUNT: the
 * series of these particles. Prints a line with the number of rows, the type and the shape, then the bytes. A failure prints its status and message on the standard error stream; the exit status is the status'
 * number. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trajlog.h"

static trajlog_type type_named(const char *name)
{
    char text[32];
    unsigned length;
    if (!name || strcmp(name, "-") == 0) return 0;
    if (sscanf(name, "string[%u]", &length) == 1) return TRAJLOG_STRING(length);
    for (trajlog_type type = TRAJLOG_INT8; type <= TRAJLOG_COMPLEX128; type++)
        if (strcmp(trajlog_type_name(type, text, sizeof text), name) == 0) return type;
    fprintf(stderr, "no such type: %s\n", name);
    exit(100);
}

static trajlog_rows range_named(const char *text)
{
    char *rest;
    int64_t start = *text == ':' ? 0 : strtoll(text, NULL, 10), stop = TRAJLOG_ROWS_END, stride = 1;
    rest = strchr(text, ':') + 1;
    if (*rest && *rest != ':') stop = strtoll(rest, NULL, 10);
    rest = strchr(rest, ':');
    if (rest) stride = strtoll(rest + 1, NULL, 10);
    return trajlog_row_range(start, stop, stride);
}

static trajlog_rows list_named(const char *text)
{
    static int64_t list[1000];
    size_t count = 0;
    for (char *end; *text && count < 1000; text = *end ? end + 1 : end) list[count++] = strtoll(text, &end, 10);
    return trajlog_row_list(list, count);
}

static trajlog_rows rows_named(const char *text)
{
    long long first, last;
    double start, stop;
    if (!text || strcmp(text, "all") == 0) return trajlog_all_rows();
    if (sscanf(text, "step=%lld", &first) == 1) return trajlog_row_at_step(first);
    if (sscanf(text, "steps=%lld,%lld", &first, &last) == 2) return trajlog_rows_in_steps(first, last);
    if (sscanf(text, "times=%lf,%lf", &start, &stop) == 2) return trajlog_rows_in_times(start, stop);
    if (strchr(text, ':')) return range_named(text);
    if (strchr(text, ',')) return list_named(text);
    return trajlog_row(strtoll(text, NULL, 10));
}

static int failed(const trajlog_reader *reader, trajlog_status status)
{
    fprintf(stderr, "%s: %s\n", trajlog_status_name(status), trajlog_reader_message(reader));
    return (int)status;
}

/* The type and shape that the field's rows have; step and time are scalars. */
static trajlog_field_info field_info(const trajlog_reader *reader, const char *group, const char *field)
{
    trajlog_field_info info = {.stored_type = strcmp(field, "step") == 0 ? TRAJLOG_INT64 : TRAJLOG_FLOAT64};
    int32_t g = trajlog_find_group(reader, group), f = trajlog_find_field(reader, group, field);
    if (f >= 0) info = *trajlog_reader_field(reader, g, f);
    return info;
}

static size_t print_header(const trajlog_field_info *info, trajlog_type type, int64_t rows)
{
    char name[32];
    size_t bytes = trajlog_type_size(type ? type : info->stored_type);
    printf("%lld %s", (long long)rows, trajlog_type_name(type ? type : info->stored_type, name, sizeof name));
    for (int32_t i = 0; i < info->shape.rank; i++) {
        printf(" %lld", (long long)info->shape.dims[i]);
        bytes *= (size_t)info->shape.dims[i];
    }
    putchar('\n');
    return bytes;
}

static int dump_stream(trajlog_reader *reader, char **words, trajlog_rows rows, trajlog_type type, int64_t block_rows)
{
    trajlog_field_info info = field_info(reader, words[1], words[2]);
    const char *const fields[1] = {words[2]};
    trajlog_stream *stream = NULL;
    trajlog_block block;
    int64_t count;
    trajlog_status status = trajlog_count_rows(reader, words[1], rows, &count);
    if (status == TRAJLOG_OK)
        status = trajlog_stream_open(&stream, reader, words[1], rows, fields, type ? &type : NULL, 1, block_rows);
    if (status != TRAJLOG_OK) return failed(reader, status);
    size_t row_bytes = print_header(&info, type, count);
    while ((status = trajlog_stream_next(stream, &block)) == TRAJLOG_OK)
        fwrite(block.fields[0], row_bytes, (size_t)block.row_count, stdout);
    trajlog_stream_close(&stream);
    return status == TRAJLOG_END ? 0 : failed(reader, status);
}

static int dump_rows(trajlog_reader *reader, char **words, trajlog_rows rows, trajlog_type type)
{
    trajlog_field_info info = field_info(reader, words[1], words[2]);
    void *data = NULL;
    int64_t count;
    trajlog_status status = trajlog_read_new(reader, words[1], words[2], rows, type, &data, &count);
    if (status != TRAJLOG_OK) return failed(reader, status);
    fwrite(data, print_header(&info, type, count), (size_t)count, stdout);
    trajlog_free(data);
    return 0;
}

static int dump_series(trajlog_reader *reader, char **words, trajlog_rows rows, trajlog_type type,
                       const int64_t particles[2])
{
    trajlog_field_info info = field_info(reader, words[1], words[2]);
    int64_t count;
    size_t bytes = trajlog_type_size(type ? type : info.stored_type) * (size_t)particles[1];
    for (int32_t i = 1; i < info.shape.rank; i++) bytes *= (size_t)info.shape.dims[i];
    trajlog_status status = trajlog_count_rows(reader, words[1], rows, &count);
    if (status != TRAJLOG_OK) return failed(reader, status);
    void *data = malloc(bytes * (size_t)count + 1);
    if (!data) return 100;
    status = trajlog_read_series(reader, words[1], words[2], rows, particles[0], particles[1], type, data,
                                 bytes * (size_t)count, NULL);
    info.shape.dims[0] = particles[1];
    if (status == TRAJLOG_OK) fwrite(data, print_header(&info, type, count), (size_t)count, stdout);
    free(data);
    return status == TRAJLOG_OK ? 0 : failed(reader, status);
}

static int dump(trajlog_reader *reader, int count, char **words, const int64_t particles[2])
{
    trajlog_rows rows = rows_named(count > 3 ? words[3] : NULL);
    trajlog_type type = type_named(count > 4 ? words[4] : NULL);
    if (particles[1] != 0) return dump_series(reader, words, rows, type, particles);
    if (count > 5) return dump_stream(reader, words, rows, type, strtoll(words[5], NULL, 10));
    return dump_rows(reader, words, rows, type);
}

int main(int argc, char **argv)
{
    trajlog_reader *reader = NULL;
    trajlog_reader_options options = {.struct_size = sizeof options};
    int64_t particles[2] = {0, 0};
    for (; argc > 2 && argv[1][0] == '-'; argv += 2, argc -= 2) {
        if (argv[1][1] == 'f') options.filters = argv[2];
        else if (argv[1][1] == 't') options.decoder_threads = atoi(argv[2]);
        else if (sscanf(argv[2], "%" SCNd64 ",%" SCNd64, &particles[0], &particles[1]) != 2) return 100;
    }
    if (argc < 4) return 100;
    trajlog_status status = trajlog_open_with(&reader, argv[1], &options);
    int result = status != TRAJLOG_OK ? failed(reader, status) : dump(reader, argc - 1, argv + 1, particles);
    trajlog_reader_close(&reader);
    return fflush(stdout) == 0 ? result : 100;
}
