/* The campaign's writer, with all that it does to the file system recorded.
 *
 *     plan_run LOG close|abandon|kill FILE PLAN [KEY=VALUE...]
 *
 * The marks in LOG are the lines that the writer tells. "abandon": it ends where it would close; "kill": so too,
 * and its journals are recorded as this run of the machine sees them, not as a restarted one does. */
int write_plan(int argc, char **argv);
#define main write_plan
#include "campaign/writer.c"
#undef main

#include "crash/record.h"
#include "store/checksum.h"
#include "store/store.h"

static struct recorder recorder;
static bool abandons;

static void mark(const char *line)
{
    recorder_log(&recorder, "mark %s", line);
    if (!abandons || strncmp(line, "closing", 7) != 0) return;
    /* The log's own thread may still write; what it does from here on is not recorded. */
    flockfile(recorder.log);
    _exit(fflush(recorder.log) == 0 ? 0 : 102);
}

/* A journal as a restarted machine sees it: with the identity of another run of the machine. */
static const void *of_another_boot(const void *data, size_t size)
{
    static const char magic[16] = "trajlog journal1";
    enum { BOOT = 40, CHECKSUM = 72, HEADER_SIZE = 80 };
    static unsigned char *copy;
    if (size < HEADER_SIZE || memcmp(data, magic, sizeof magic) != 0) return data;
    free(copy);
    copy = malloc(size);
    if (copy == NULL) fail("a journal", "out of memory");
    memcpy(copy, data, size);
    copy[BOOT] ^= 1;
    put_u32(copy + CHECKSUM, checksum_lookup3(copy, CHECKSUM, 0));
    put_u32(copy + CHECKSUM + 4, checksum_lookup3(copy, CHECKSUM, UINT32_C(0x6a6f7572)));
    return copy;
}

int main(int argc, char **argv)
{
    if (argc < 5) fail("usage", "plan_run LOG close|abandon|kill FILE PLAN [KEY=VALUE...]");
    const struct driver_io io = recorder_io(&recorder);
    recorder.log = fopen(argv[1], "wb");
    if (recorder.log == NULL) fail(argv[1], strerror(errno));
    abandons = strcmp(argv[2], "close") != 0;
    if (strcmp(argv[2], "kill") != 0) recorder.as_logged = of_another_boot;
    on_tell = mark;
    store_io = &io;
    int status = write_plan(argc - 2, argv + 2);
    return fclose(recorder.log) == 0 ? status : 102;
}
