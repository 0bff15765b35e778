/* trajlog.h - the face of trajlog: log the trajectory of a simulation into one HDF5 file, and read it back.
 *
 *     trajlog_writer *log = NULL;
 *     trajlog_create(&log, "run.h5", NULL);
 *     trajlog_group *trajectory = trajlog_add_group(log, "trajectory", trajlog_every(10));
 *     trajlog_add_field(trajectory, "position", TRAJLOG_FLOAT64, TRAJLOG_SHAPE(n, 3), x, "nm");
 *     for (int64_t step = 0; step < steps; step++) {
 *         integrate(x, v, dt);
 *         if (trajlog_log(log, step, step * dt) != TRAJLOG_OK) break;
 *     }
 *     return trajlog_close(&log);
 *
 * Words. A *log* is one file and all that is in it. A *group* is a named set of *fields* that are logged together, at
 * one *frequency*. A *field* is one array. A *view* says how a field's bytes are found in the simulation's memory. A
 * *frame* is the copy of one step's due fields, as it travels through the queue; a *row* is a frame's index along a
 * dataset's first dimension.
 *
 * Errors. Every call that can fail returns a trajlog_status, and leaves a message that names file, group and field.
 * The first error of a log sticks: declarations need no checks of their own, the next trajlog_log returns it. Refused
 * calls of which it is said that they do not stick change nothing, and the log goes on. A NULL where a log, reader, group
 * or field is wanted is INVALID_ARGUMENT; there is nothing that it could stick to. The library never prints, aborts,
 * exits or installs a signal handler.
 *
 * Threads. The calls on one log, and on one reader, belong to one thread at a time; different logs and readers are
 * independent. trajlog_get_statistics may be called from any thread. libhdf5 itself is entered under one process-wide
 * lock; a host program that calls HDF5 while a log is open takes trajlog_hdf5_lock around its own calls, unless its
 * libhdf5 is thread-safe (H5is_library_threadsafe).
 *
 * The header compiles as C99, C11 and C++17. doc/format.md describes the file.
 */
#ifndef TRAJLOG_H
#define TRAJLOG_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version lives here and nowhere else: the Makefile and trajlog.pc read these lines. */
#define TRAJLOG_VERSION_MAJOR 0
#define TRAJLOG_VERSION_MINOR 1
#define TRAJLOG_VERSION_PATCH 0

/* The version of the file format that this library writes; see doc/format.md. */
#define TRAJLOG_FORMAT_VERSION 1

#if defined(__GNUC__) || defined(__clang__)
#define TRAJLOG_API        __attribute__((visibility("default")))
#define TRAJLOG_MUST_CHECK __attribute__((warn_unused_result))
#else
#define TRAJLOG_API
#define TRAJLOG_MUST_CHECK
#endif

/* The version of the library that is linked, "0.1.0". Static text, never NULL; any thread. */
TRAJLOG_API const char *trajlog_version(void);

/* ---------------------------------------------------------------------------------------------------------------------
 * Status
 * ------------------------------------------------------------------------------------------------------------------ */

/* X(name, number, text): the one list that makes codes, names and texts. Numbers are part of the ABI. */
#define TRAJLOG_STATUS_LIST(X)                                                                                         \
    X(OK, 0, "success")                                                                                                \
    X(INVALID_ARGUMENT, 1, "an argument is not valid")                                                                 \
    X(DUPLICATE_NAME, 2, "the name is taken")                                                                          \
    X(INVALID_STATE, 3, "the call is not allowed now")                                                                 \
    X(NOT_INCREASING, 4, "step or time does not increase")                                                             \
    X(MISSING_VIEW, 5, "a field has no view")                                                                          \
    X(FILE_EXISTS, 6, "the file exists already")                                                                       \
    X(NOT_FOUND, 7, "no such file, group, field or row")                                                               \
    X(TYPE_MISMATCH, 8, "the element types cannot be converted")                                                       \
    X(OUT_OF_RANGE, 9, "a value, row or size is out of range")                                                         \
    X(OUT_OF_MEMORY, 10, "out of memory")                                                                              \
    X(IO_ERROR, 11, "input or output failed")                                                                          \
    X(HDF5_ERROR, 12, "libhdf5 reported an error")                                                                     \
    X(INVALID_FILE, 13, "the file is not what it should be")                                                           \
    X(UNSUPPORTED, 14, "not supported by this build")                                                                  \
    X(INVALID_CONFIG, 15, "the configuration is not valid")                                                            \
    X(CALLBACK_FAILED, 16, "a callback of the caller failed")                                                          \
    X(QUEUE_FULL, 17, "the queue is full")                                                                             \
    X(TIMED_OUT, 18, "the deadline has passed")                                                                        \
    X(FILE_LOCKED, 19, "another writer has the file")                                                                  \
    X(SCHEMA_MISMATCH, 20, "the schema differs from the file's")                                                       \
    X(END, 21, "there is no more")

typedef enum trajlog_status {
#define TRAJLOG_STATUS_CODE(name, number, text) TRAJLOG_##name = (number),
    TRAJLOG_STATUS_LIST(TRAJLOG_STATUS_CODE)
#undef TRAJLOG_STATUS_CODE
} trajlog_status;

/* "TRAJLOG_OK", ... and its text. Static, never NULL ("TRAJLOG_UNKNOWN" for other numbers); any thread. */
TRAJLOG_API const char *trajlog_status_name(trajlog_status status);
TRAJLOG_API const char *trajlog_status_text(trajlog_status status);

/* ---------------------------------------------------------------------------------------------------------------------
 * Element types and shapes
 * ------------------------------------------------------------------------------------------------------------------ */

/* An element type. In a file they are what h5py writes for the matching NumPy type: little-endian integers and IEEE
 * floats, bool as the 8-bit enumeration FALSE = 0, TRUE = 1, complex numbers as the compound {r, i}, strings as
 * fixed-length, null-padded UTF-8. */
typedef uint32_t trajlog_type;

#define TRAJLOG_INT8        ((trajlog_type)1)
#define TRAJLOG_INT16       ((trajlog_type)2)
#define TRAJLOG_INT32       ((trajlog_type)3)
#define TRAJLOG_INT64       ((trajlog_type)4)
#define TRAJLOG_UINT8       ((trajlog_type)5)
#define TRAJLOG_UINT16      ((trajlog_type)6)
#define TRAJLOG_UINT32      ((trajlog_type)7)
#define TRAJLOG_UINT64      ((trajlog_type)8)
#define TRAJLOG_FLOAT32     ((trajlog_type)9)
#define TRAJLOG_FLOAT64     ((trajlog_type)10)
#define TRAJLOG_BOOL        ((trajlog_type)11) /* one byte in memory: C bool, Fortran logical(1), uint8_t; 0 is false */
#define TRAJLOG_COMPLEX64   ((trajlog_type)12) /* two float32: real, imaginary */
#define TRAJLOG_COMPLEX128  ((trajlog_type)13) /* two float64: real, imaginary */
#define TRAJLOG_STRING_CODE ((trajlog_type)14)
/* Text of at most `length` bytes, 1 to TRAJLOG_MAX_STRING, in a char[length]; a shorter one ends with a null byte. */
#define TRAJLOG_STRING(length) (TRAJLOG_STRING_CODE | ((trajlog_type)(length) << 8))
#define TRAJLOG_MAX_STRING     65535

/* Bytes of one element in memory; 0 if `type` is no element type. Any thread. */
TRAJLOG_API size_t trajlog_type_size(trajlog_type type);

/* "float64", "string[16]", ...; writes at most `size` bytes with the final null byte into `text`, and returns it. */
TRAJLOG_API char *trajlog_type_name(trajlog_type type, char *text, size_t size);

#define TRAJLOG_MAX_RANK 7

/* The shape of a field in one frame, slowest dimension first (C order). Rank 0 is a scalar. */
typedef struct trajlog_shape {
    int32_t rank;
    int64_t dims[TRAJLOG_MAX_RANK];
} trajlog_shape;

/* TRAJLOG_SCALAR, TRAJLOG_SHAPE(n), TRAJLOG_SHAPE(n, 3): one to seven dimensions, each at least 1. */
static inline trajlog_shape trajlog_shape_of(int32_t rank, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e,
                                             int64_t f, int64_t g)
{
    trajlog_shape shape;
    shape.rank = rank;
    shape.dims[0] = a;
    shape.dims[1] = b;
    shape.dims[2] = c;
    shape.dims[3] = d;
    shape.dims[4] = e;
    shape.dims[5] = f;
    shape.dims[6] = g;
    return shape;
}
#define TRAJLOG_SCALAR     trajlog_shape_of(0, 0, 0, 0, 0, 0, 0, 0)
#define TRAJLOG_SHAPE(...) TRAJLOG_SHAPE_PICK_(__VA_ARGS__, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
/* The arguments push the list of ranks to the right, so that their number stands in the fifteenth place. */
#define TRAJLOG_SHAPE_PICK_(a, b, c, d, e, f, g, ...)                                                                  \
    trajlog_shape_pack_(TRAJLOG_SHAPE_RANK_(a, b, c, d, e, f, g, __VA_ARGS__), (int64_t)(a), (int64_t)(b),             \
                        (int64_t)(c), (int64_t)(d), (int64_t)(e), (int64_t)(f), (int64_t)(g))
#define TRAJLOG_SHAPE_RANK_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, rank, ...) TRAJLOG_SHAPE_AT_MOST_7_(rank)
/* With more than TRAJLOG_MAX_RANK dimensions, the array's size is negative, which no compiler takes. */
#define TRAJLOG_SHAPE_AT_MOST_7_(rank) ((rank) + 0 * (int32_t)sizeof(char[(rank) <= TRAJLOG_MAX_RANK ? 1 : -1]))
static inline trajlog_shape trajlog_shape_pack_(int32_t rank, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e,
                                                int64_t f, int64_t g)
{
    /* What stands behind the last dimension are ranks of the list above, not dimensions. */
    return trajlog_shape_of(rank, a, rank > 1 ? b : 0, rank > 2 ? c : 0, rank > 3 ? d : 0, rank > 4 ? e : 0,
                            rank > 5 ? f : 0, rank > 6 ? g : 0);
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Frequencies
 * ------------------------------------------------------------------------------------------------------------------ */

typedef enum trajlog_frequency_kind {
    TRAJLOG_FREQUENCY_ONCE = 1,
    TRAJLOG_FREQUENCY_EVERY = 2,
    TRAJLOG_FREQUENCY_STEPS = 3,
    TRAJLOG_FREQUENCY_LOGARITHMIC = 4,
    TRAJLOG_FREQUENCY_PREDICATE = 5,
    TRAJLOG_FREQUENCY_WALL_CLOCK = 6
} trajlog_frequency_kind;

/* Not 0 if the step is due. Runs in the caller's thread, inside trajlog_log. `state` is trajlog_log_state's. */
typedef int (*trajlog_predicate)(int64_t step, double time, const void *state, void *context);

#define TRAJLOG_NO_STOP INT64_MAX

/* Made by the functions below; its members are public so that other languages can make one. */
typedef struct trajlog_frequency {
    trajlog_frequency_kind kind;
    int32_t with_first;   /* not 0: the first step logged is due too, whatever its number */
    int32_t with_last;    /* not 0: the last step logged is due too */
    int32_t per_decade;   /* logarithmic */
    int64_t interval;     /* every: at least 1 */
    int64_t start;        /* every: the first step that is due */
    int64_t stop;         /* every: steps from here on are not due */
    const int64_t *steps; /* steps: strictly increasing; copied when the group is added */
    size_t step_count;
    double seconds; /* wall clock: more than 0 */
    trajlog_predicate predicate;
    void *context;
    int64_t reserved[4]; /* 0 */
} trajlog_frequency;

/* Bad values are accepted here and refused by the call that takes the frequency. */

/* The first step that is logged, whatever its number. The group's datasets have no time axis. */
TRAJLOG_API trajlog_frequency trajlog_once(void);
/* Steps 0, interval, 2 interval, ... */
TRAJLOG_API trajlog_frequency trajlog_every(int64_t interval);
/* Steps start, start + interval, ... that are less than `stop` (TRAJLOG_NO_STOP: no end). */
TRAJLOG_API trajlog_frequency trajlog_every_between(int64_t interval, int64_t start, int64_t stop);
/* The steps listed, strictly increasing, at least one. The list is copied when the group is added. */
TRAJLOG_API trajlog_frequency trajlog_at_steps(const int64_t *steps, size_t step_count);
/* Step 0, and the steps nearest to 10^(k / per_decade), k = 0, 1, ...; each step once; per_decade 1 to 1000. */
TRAJLOG_API trajlog_frequency trajlog_logarithmic(int per_decade);
/* The steps for which `predicate` returns not 0. */
TRAJLOG_API trajlog_frequency trajlog_when(trajlog_predicate predicate, void *context);
/* The first step, then the first step that comes at least `seconds` of wall-clock time after the last due one. */
TRAJLOG_API trajlog_frequency trajlog_wall_clock(double seconds);
/* The same frequency, with the first step logged due too. */
TRAJLOG_API trajlog_frequency trajlog_with_first(trajlog_frequency frequency);
/* The same frequency, with the last step logged due too. Where trajlog_options.total_steps is set, that is the step
 * with this number of steps before it, and costs nothing. Otherwise the group's fields are copied at each step that is
 * not due, to be at hand when trajlog_close finds that it was the last; a killed run has no last step. */
TRAJLOG_API trajlog_frequency trajlog_with_last(trajlog_frequency frequency);

/* The pure part of a frequency, for a run that logs the steps 0, 1, ..., total_steps - 1 and drops none. What is in a
 * file is said by its `step` dataset: a run that begins later, or drops frames, has fewer rows, and never empty ones.
 *
 * is_due:  1 if `step` is due, 0 if not, -1 if only the run can tell (predicate, wall clock) or the frequency is bad.
 * rows:    the number of rows after `total_steps` steps; -1 likewise. every(10): 95 steps give 10 rows, 101 give 11.
 * row:     the row that `step` lands in, that is, the number of due steps before it; -1 likewise, and if it is not due.
 * In such a run with_first makes step 0 due. with_last counts in rows only, where the last step is known.
 * Any thread. */
TRAJLOG_API int trajlog_frequency_is_due(const trajlog_frequency *frequency, int64_t step);
TRAJLOG_API int64_t trajlog_frequency_rows(const trajlog_frequency *frequency, int64_t total_steps);
TRAJLOG_API int64_t trajlog_frequency_row(const trajlog_frequency *frequency, int64_t step);
/* "every 10 steps", "once", ...; writes at most `size` bytes with the final null byte into `text`, and returns it. */
TRAJLOG_API char *trajlog_frequency_text(const trajlog_frequency *frequency, char *text, size_t size);

/* ---------------------------------------------------------------------------------------------------------------------
 * Writing: options
 * ------------------------------------------------------------------------------------------------------------------ */

typedef struct trajlog_writer trajlog_writer; /* a log that is being written */
typedef struct trajlog_group trajlog_group;   /* owned by its log; valid until trajlog_close */
typedef struct trajlog_field trajlog_field;   /* owned by its group; valid until trajlog_close */

typedef enum trajlog_existing {
    TRAJLOG_REFUSE = 0, /* an existing file is an error, and is not touched */
    TRAJLOG_REPLACE = 1 /* an existing file is replaced, unless another writer has it */
} trajlog_existing;

/* What trajlog_log does when the queue has no room for the frame. The frame that holds `once` data and a run's first
 * frame wait for room under every policy. A frame is whole or not there: nothing partial. */
typedef enum trajlog_policy {
    TRAJLOG_BLOCK = 0,          /* wait until there is room */
    TRAJLOG_BLOCK_DEADLINE = 1, /* wait at most block_seconds, then give the frame up and return TRAJLOG_TIMED_OUT */
    TRAJLOG_DROP_NEWEST = 2,    /* give the frame up and return TRAJLOG_OK */
    TRAJLOG_FAIL = 3            /* give the frame up and return TRAJLOG_QUEUE_FULL */
} trajlog_policy; /* frames given up are counted, and listed in the file; these two statuses do not stick */

typedef struct trajlog_progress {
    int64_t step;             /* the latest step that was logged */
    int64_t first_step;       /* the first one */
    int64_t total_steps;      /* trajlog_options.total_steps; 0 if unknown */
    double fraction;          /* 0 to 1; NaN if total_steps is unknown */
    double elapsed_seconds;   /* since the first step */
    double remaining_seconds; /* estimated from the elapsed ones; NaN if unknown */
    int64_t frames;           /* accepted so far */
    int64_t dropped;          /* given up so far */
    double queue_fill;        /* 0 to 1 */
} trajlog_progress;

/* Called in the caller's thread from trajlog_log, at most every progress_seconds, and once from trajlog_close. */
typedef void (*trajlog_progress_callback)(const trajlog_progress *progress, void *context);

/* Which readers of H5MD files the log is made for; see "Roles" below. */
typedef enum trajlog_profile {
    TRAJLOG_PROFILE_DEFAULT = 0, /* MDAnalysis, VMD, NOMAD, GROMACS, pyh5md, MDANSE */
    TRAJLOG_PROFILE_ZNH5MD = 1,  /* ZnH5MD (ASE) */
    TRAJLOG_PROFILE_VECTOR = 2,  /* VOTCA: box edges as a vector */
    TRAJLOG_PROFILE_STRICT = 3   /* whatever H5MD allows; observables of all groups in one place */
} trajlog_profile;

/* Start from trajlog_default_options(); 0 and NULL mean the default named behind each. Strings are copied.
 *
 * A *commit* is the moment after which rows survive. After a *flushed* one they survive the process, however it ends, and
 * every reader sees them; after a *synced* one also a power loss, or a crash of the machine. */
typedef struct trajlog_options {
    size_t struct_size;        /* sizeof(trajlog_options): tells the library which members the caller knows */
    trajlog_existing existing; /* TRAJLOG_REFUSE */
    const char *config_path;   /* a JSON configuration file to apply (doc/config.md); none */
    const char *config_text;   /* or its text; none */
    int32_t synchronous;       /* not 0: no thread and no queue; trajlog_log writes before it returns */
    trajlog_policy policy;     /* TRAJLOG_BLOCK */
    double block_seconds;      /* TRAJLOG_BLOCK_DEADLINE's deadline; 1 */
    size_t queue_bytes;        /* 64 MiB, or room for four of the largest frames if that is more */
    size_t queue_frames;       /* 4096 */
    double flush_seconds;      /* a *flushed* commit at least this often; 1 */
    int64_t total_steps;       /* how many steps the run will log, as a hint; unknown */
    trajlog_progress_callback progress;
    void *progress_context;
    double progress_seconds; /* 0.1 */
    const char *user;        /* who ran it; nothing is recorded */
    const char *program;     /* the program that logs, and its version; nothing is recorded */
    const char *program_version;
    trajlog_profile profile; /* of the H5MD view, where fields have roles; TRAJLOG_PROFILE_DEFAULT */
    const char *author;      /* H5MD's author and address; "N/A" and none. `program` is H5MD's creator; trajlog */
    const char *author_email;
    const char *time_unit;    /* "ps" where a position has a unit, else none; "": none */
    int64_t flush_rows;       /* a *flushed* commit also after this many rows, of all groups together; no bound */
    int64_t flush_bytes;      /* ... and after this many bytes of fields, as stored; no bound */
    double sync_seconds;      /* a *synced* commit at least this often; 60. Negative: only when the caller asks */
    int32_t no_lock;          /* not 0: write without the lock that keeps a second writer out, where there are none */
    int32_t accept_additions; /* trajlog_resume: not 0: groups and fields that the file lacks are added to it */
    int32_t encoder_threads; /* that help the log's own to compress, 0 to 64, each with memory for six chunks; none, and
                               * none in synchronous mode */
    int32_t worker_cpu;      /* the log's own thread runs on this CPU only, plus 1: 1 is the first one; 0: on any */
} trajlog_options;

static inline trajlog_options trajlog_default_options(void)
{
    trajlog_options options;
    unsigned char *bytes = (unsigned char *)&options;
    size_t i;
    for (i = 0; i < sizeof options; i++) bytes[i] = 0;
    options.struct_size = sizeof options;
    return options;
}

/* ---------------------------------------------------------------------------------------------------------------------
 * Writing: declaring
 * ------------------------------------------------------------------------------------------------------------------ */

/* Creates the file `path` and a log on it. `options` may be NULL. On disk afterwards: a valid HDF5 file without groups.
 *
 * *log is set on success and on failure (then the log only carries its error, and every call on it returns that), so
 * that the call may go unchecked; it is NULL only if there was no memory. Always end with trajlog_close.
 * Status: INVALID_ARGUMENT, FILE_EXISTS, FILE_LOCKED, NOT_FOUND (no such directory), IO_ERROR (errno says why),
 * INVALID_CONFIG, HDF5_ERROR, OUT_OF_MEMORY. */
TRAJLOG_API trajlog_status trajlog_create(trajlog_writer **log, const char *path, const trajlog_options *options);

#define TRAJLOG_FROM_THE_START INT64_MIN

/* Takes up a log that an earlier process has written, be it closed, killed or cut off by a power loss. Rows of the
 * restart step `step`, and of those before it, are kept; rows behind it are dropped in every group, and the run goes on
 * with the steps behind it. TRAJLOG_FROM_THE_START: no row is kept, the run starts over in the same file.
 *
 * Declare the same groups and fields as the run before did: the first trajlog_log compares them with the file's, and
 * SCHEMA_MISMATCH lists what differs (options.accept_additions allows what is new; older rows then have the fill value,
 * mostly 0). Nothing in the file changes before the first trajlog_log (or trajlog_close); then all of it at once, so
 * that whoever is killed on the way leaves the file as it was.
 *
 * Frequencies go by the number of the step, so that no row comes twice or is missing. `once` groups that the file has stay
 * as they are. What a run does at its first step has been done: with_first adds nothing, and a wall clock starts anew.
 * options.total_steps counts from the first step of the run that created the file; a row that trajlog_with_last added
 * at the end of a run that did not know its total_steps stays. Statistics start at zero.
 * options.existing is not looked at. *log is set as trajlog_create sets it.
 * Status: INVALID_ARGUMENT, NOT_FOUND (no such file), INVALID_FILE, UNSUPPORTED (a later format), FILE_LOCKED, IO_ERROR,
 * INVALID_CONFIG, HDF5_ERROR, OUT_OF_MEMORY. */
TRAJLOG_API trajlog_status trajlog_resume(trajlog_writer **log, const char *path, int64_t step,
                                          const trajlog_options *options);

/* All calls of this section and the next are for the time before the first trajlog_log; only views and orders may be
 * changed later. They touch no file. An error sticks, one that comes too late (INVALID_STATE) too; where a log carries an
 * error, they return it. OUT_OF_MEMORY is always possible.
 *
 * Adds a group. `name`: 1 to 255 bytes of UTF-8 without control characters and '/', not "." or "..", not "trajlog" or
 * "checkpoint"; in a log whose fields have roles not h5md, particles, observables, connectivity, parameters or
 * h5md_series either. Returns NULL on failure; the error sticks to the log. Adding to NULL does nothing, so the checks can
 * wait.
 * Errors: INVALID_ARGUMENT (name, frequency), DUPLICATE_NAME, INVALID_STATE (steps were logged already). */
TRAJLOG_API trajlog_group *trajlog_add_group(trajlog_writer *log, const char *name, trajlog_frequency frequency);

/* Adds a field. `name` may be a path, "atoms/position", and makes nested HDF5 groups; each part follows the rule for
 * group names; "step" and "time" are taken. `data` is bound as by trajlog_bind with contiguous strides; NULL if
 * trajlog_bind or trajlog_set_callback comes later. `unit`: as in "nm ps-1", or NULL. `data` is not owned and not read
 * before trajlog_log. Returns NULL on failure; the error sticks to the log.
 * Errors: INVALID_ARGUMENT (name, type, shape: 0 or negative, more than 2^47 bytes), DUPLICATE_NAME, INVALID_STATE. */
TRAJLOG_API trajlog_field *trajlog_add_field(trajlog_group *group, const char *name, trajlog_type type,
                                             trajlog_shape shape, const void *data, const char *unit);

/* Binds the field to an array; may be called again at any time between steps, when the simulation reallocates. The array
 * stays the caller's, is read in trajlog_log (of trajlog_with_last: at each step) and never afterwards. `strides` (bytes,
 * one per dimension; may be negative) describe arrays of structs, columns of larger arrays or Fortran order; NULL:
 * contiguous C order. Status: INVALID_ARGUMENT, which sticks, or the log's sticking error. */
TRAJLOG_API trajlog_status trajlog_bind(trajlog_field *field, const void *data, const ptrdiff_t *strides);

/* The same for a Fortran-ordered array: the first dimension of the field's shape varies fastest in memory. The file has it
 * in C order, so that h5py shows the same indices as Fortran, counted from 0. */
TRAJLOG_API trajlog_status trajlog_bind_fortran(trajlog_field *field, const void *data);

/* Fills one frame of the field: writes the field's shape, in C order and in its element type, to `frame`. `state` is
 * trajlog_log_state's (NULL from trajlog_log). Returns 0, or not 0 on failure: then trajlog_log returns
 * CALLBACK_FAILED, that sticks, and nothing of the step is logged. Runs in the caller's thread. It must not call the log
 * that it fills, and not keep `frame`. */
typedef int (*trajlog_fill)(void *frame, const void *state, void *context);
/* Instead of an array; may be called again between steps. Status: as trajlog_bind. */
TRAJLOG_API trajlog_status trajlog_set_callback(trajlog_field *field, trajlog_fill fill, void *context);

/* The element type in the file, where it differs from the one in memory: FLOAT64 -> FLOAT32, any integer -> any other
 * (a value out of range is OUT_OF_RANGE at trajlog_log: that does not stick, and nothing of the step is logged), integer
 * -> float, COMPLEX128 -> COMPLEX64. Status: TYPE_MISMATCH, INVALID_ARGUMENT, INVALID_STATE. */
TRAJLOG_API trajlog_status trajlog_store_as(trajlog_field *field, trajlog_type type);

/* One sentence that says what the field is. Copied; NULL removes it. Status: INVALID_ARGUMENT, INVALID_STATE. */
TRAJLOG_API trajlog_status trajlog_set_description(trajlog_field *field, const char *description);

/* How a field is stored. 0 means the default behind each. */
typedef enum trajlog_compression {
    TRAJLOG_COMPRESSION_DEFAULT = 0, /* none */
    TRAJLOG_COMPRESSION_NONE = 1,
    TRAJLOG_COMPRESSION_DEFLATE = 2 /* shuffle and deflate: HDF5's own filters, which every reader has */
} trajlog_compression;
/* What the chunks of a field are made for; either way, all of it can be read. */
typedef enum trajlog_access {
    TRAJLOG_ACCESS_FRAME = 0,   /* whole frames */
    TRAJLOG_ACCESS_PARTICLE = 1 /* series of few particles: many frames of a part of the particles, that is, of the
                                 * field's first dimension; at least one. Takes memory for all the chunks that lie side
                                 * by side, up to 64 MiB, or chunk_rows frames */
} trajlog_access;
typedef struct trajlog_storage {
    size_t struct_size;              /* sizeof(trajlog_storage) */
    int64_t chunk_rows;              /* rows per chunk; whole frames, about 1 MiB, at most 8192 */
    trajlog_compression compression; /* TRAJLOG_COMPRESSION_NONE */
    int32_t level;                   /* deflate: 1 to 9; 1 */
    int32_t checksum;                /* not 0: HDF5's fletcher32 on each chunk */
    int32_t reserved;                /* 0 */
    double max_error;                /* rounds: bound of the absolute error, in the field's unit; 0: none */
    int32_t significant_digits;      /* rounds: 1 to 15 decimal digits are right, or as many as there are; 0: none */
    trajlog_access access;           /* TRAJLOG_ACCESS_FRAME; a group of frequency `once` has one frame only */
} trajlog_storage;
/* Rounding makes what deflate compresses well, and what every reader reads; only one of the two, only for fields that
 * are stored as FLOAT32 or FLOAT64. TRAJLOG_COMPRESSION_DEFAULT then means deflate.
 *
 * max_error: each value in the file differs from the simulation's by at most this, or is the nearest that the stored
 * type has (so it is where that type's own spacing is coarser). Where it pays, it is a multiple of the largest power of
 * two that allows that. significant_digits: the difference is at most half a unit of the last of these digits,
 * subnormal numbers aside, which stay as they are; so do numbers if the stored type has fewer digits. NaN, infinities
 * and the sign of -0 are kept. What was asked for is in the file, as an attribute of the dataset, and trajlog_resume
 * minds it. */
/* Status: INVALID_ARGUMENT, UNSUPPORTED (this libhdf5 has no such filter), INVALID_STATE. */
TRAJLOG_API trajlog_status trajlog_set_storage(trajlog_field *field, const trajlog_storage *storage);

/* User metadata: a text under a key, or a JSON object whose members are merged in; at the log, a group or a field.
 * Both end in one JSON object each, in the schema that the file carries; a key given again is replaced.
 * Status: INVALID_ARGUMENT (key empty or not UTF-8; no JSON object, or more than 1 MiB of it), INVALID_STATE. */
TRAJLOG_API trajlog_status trajlog_set_metadata(trajlog_writer *log, const char *key, const char *text);
TRAJLOG_API trajlog_status trajlog_set_metadata_json(trajlog_writer *log, const char *json);
TRAJLOG_API trajlog_status trajlog_group_set_metadata(trajlog_group *group, const char *key, const char *text);
TRAJLOG_API trajlog_status trajlog_group_set_metadata_json(trajlog_group *group, const char *json);
TRAJLOG_API trajlog_status trajlog_field_set_metadata(trajlog_field *field, const char *key, const char *text);
TRAJLOG_API trajlog_status trajlog_field_set_metadata_json(trajlog_field *field, const char *json);

/* ---------------------------------------------------------------------------------------------------------------------
 * Roles: the log as an H5MD file
 *
 * A field can say what it is. A log in which fields have roles shows the same datasets a second time, through hard
 * links, as the tree of an H5MD 1.1 file (https://nongnu.org/h5md/h5md.html): /particles/<particles>/position/{step,
 * time,value}, and so on. Nothing is stored twice, and the groups stay as they are. doc/interop.md says which reader
 * shows what; `trajlog check --h5md FILE` lists the rules.
 *
 *     profile   reader      needs, beyond H5MD                          so the profile wants
 *     DEFAULT   MDAnalysis  edges [3, 3] in every frame; its unit       edges [D, D], in the group of position; velocity,
 *                           spellings; observables in step with frames  force, image too; known units; observables of
 *               VMD         static mass, species, charge                other groups go to /h5md_series/<group>
 *               NOMAD       /particles/all; observables typed
 *               GROMACS     /particles/system; edges [3, 3] per frame
 *               MDANSE      element symbols (SPECIES_LABEL); lengths in nm
 *     ZNH5MD    ZnH5MD      species and edges in every frame, nothing   species in the group of position; static fields
 *                           static; observables of the particles group  stay out of /particles
 *     VECTOR    VOTCA       edges as the vector of the box's diagonal;  edges [D], in the group of position; units of
 *                           takes all lengths for nm                    nm, or none
 *     STRICT    pyh5md      nothing                                     anything that H5MD allows
 *
 * The first particles group that is named is the main one: it is also linked as `all`, `trajectory` and `system`, where
 * those names are free, because readers look there.
 * ------------------------------------------------------------------------------------------------------------------ */

/* X(NAME, number, text): the roles. N: particles, the same in all fields of a particles group; D: 1 to 3 dimensions. */
#define TRAJLOG_ROLE_LIST(X)                                                                                           \
    X(POSITION, 1, "position")           /* [N, D] float or integer */                                                 \
    X(VELOCITY, 2, "velocity")           /* [N, D] float or integer */                                                 \
    X(FORCE, 3, "force")                 /* [N, D] float or integer */                                                 \
    X(IMAGE, 4, "image")                 /* [N, D] float or integer: periodic images; in the group of position */      \
    X(MASS, 5, "mass")                   /* [N] float */                                                               \
    X(SPECIES, 6, "species")             /* [N] integer: the atomic number where there is one */                       \
    X(CHARGE, 7, "charge")               /* [N] float (effective) or integer (formal) */                               \
    X(ID, 8, "id")                       /* [N] signed integer, unique, 0 or more */                                   \
    X(SPECIES_LABEL, 9, "species_label") /* [N] string: element symbols, read by NOMAD */                              \
    X(PARTICLE, 10, "particle")          /* [N, ...] any: shown under the field's own name */                          \
    X(BOX_EDGES, 11, "box_edges")        /* [D, D] float, rows are the edge vectors; or [D], a cuboid's edges */       \
    X(OBSERVABLE, 12, "observable")      /* any shape: /observables/<name> */                                          \
    X(BONDS, 13, "bonds")         /* [M, 2 or more] integer: /connectivity/<name>, rows are tuples of particles, */    \
                                  /* counted from 0; pairs of a `once` group also where VMD looks for bonds */         \
    X(PARAMETER, 14, "parameter") /* any: /parameters/<name>, such as vmd_structure/resname */

typedef enum trajlog_role {
    TRAJLOG_ROLE_NONE = 0,
#define TRAJLOG_ROLE_CODE(name, number, text) TRAJLOG_ROLE_##name = (number),
    TRAJLOG_ROLE_LIST(TRAJLOG_ROLE_CODE)
#undef TRAJLOG_ROLE_CODE
} trajlog_role;

/* Says what a field is. `particles` names the particles group that it belongs to; NULL: "all". Shape and type must be
 * the role's; a unit must be spelled as readers know it: factors separated by blanks, signed powers, "kJ mol-1 nm-1";
 * none at all stands for reduced units. What several fields must agree on is checked when the first step is logged:
 * INVALID_ARGUMENT or DUPLICATE_NAME, which sticks, and says what to do. TRAJLOG_ROLE_NONE takes a role away.
 * Status: INVALID_ARGUMENT (role, name, shape, type; unit, with the spelling that was probably meant), INVALID_STATE. */
TRAJLOG_API trajlog_status trajlog_set_role(trajlog_field *field, trajlog_role role, const char *particles);

/* The box of a particles group (NULL: "all"): its number of dimensions, 1 to 3, and for each whether it is periodic (not
 * 0) or not. Without this call the dimension is that of the positions, periodic in all if there are box edges, else in
 * none. A two-dimensional system opens in more readers as a three-dimensional one that is not periodic in z.
 * Status: INVALID_ARGUMENT, INVALID_STATE. */
TRAJLOG_API trajlog_status trajlog_set_boundary(trajlog_writer *log, const char *particles, int32_t dimension,
                                                const int32_t *periodic);

/* Names a species: the number that fields of the role SPECIES hold, its symbol, 1 to 15 bytes, and its atomic number, up to
 * 111 (0: none). All go to /parameters/vmd_structure, where VMD looks, in the order of the calls.
 * Status: INVALID_ARGUMENT, DUPLICATE_NAME (the number), INVALID_STATE. */
TRAJLOG_API trajlog_status trajlog_add_species(trajlog_writer *log, int32_t species, const char *symbol,
                                               int32_t atomic_number);

/* Varying numbers of particles. All fields of the group that have a role of [N, ...] then have room for N particles, the
 * capacity, to begin with. *count says at each trajlog_log how many there are; where they need more room, the capacity
 * doubles until they fit. No more than *count are read of an array that is bound, so that the simulation's own array may
 * be shorter than the capacity, grow, and be bound again; an array in Fortran order that has outgrown N is bound by
 * trajlog_bind, with its strides. A callback has N places to fill, or *count if that is more, of which *count are taken.
 * What is no particle reads as NaN, as -1 in the role ID, as 0 or "" elsewhere. An int64 field "count" is added to the
 * group. H5MD asks for a field of the role ID in such a group. `count` is not owned.
 *
 * Growing. All the datasets with a capacity grow together, with the commit that has the first frame that needed it; older
 * rows have padding in the new room. That takes no space: whole chunks of padding are not stored. But a chunk is as wide
 * as the first N, and as many lie side by side, in memory too, as the particles take: an N near what is expected, rather
 * too large than too small, reads and writes fastest. The call of trajlog_log that needs more room allocates memory: for
 * larger frames in the queue, after it has waited, under every policy, until the queue is empty (INVALID_STATE, which
 * does not stick, in a thread that holds trajlog_hdf5_lock; OUT_OF_MEMORY, which does). options.queue_bytes is exceeded
 * only where a single frame needs it. No other call pays for it. A resumed run finds the capacity that the file has,
 * whatever N it declares.
 *
 * A capacity does not grow where another group has fields of the same particles (trajlog_set_role), such as masses that are
 * written once: they have N places. Nor does a checkpoint's field: it has the room it was declared with.
 * Status: INVALID_ARGUMENT (NULL; a `once` group, a checkpoint), DUPLICATE_NAME (a field is named "count"), INVALID_STATE.
 * trajlog_log then returns OUT_OF_RANGE, which does not stick, for a *count below 0, or above what the capacity can grow
 * to; and INVALID_CONFIG at the first step if a configuration has switched the field "count" off. */
TRAJLOG_API trajlog_status trajlog_set_count(trajlog_group *group, const int64_t *count);

/* After trajlog_set_count: bounds the capacity, and *count. With `most` = N it does not grow.
 * Status: INVALID_ARGUMENT (NULL, less than 1), INVALID_STATE (no count was set; steps were logged already). */
TRAJLOG_API trajlog_status trajlog_limit_count(trajlog_group *group, int64_t most);

/* The order of the particles: place k of a frame, in all fields of the group that have a role of [N, ...], is filled
 * from place order[k] of the caller's memory, so that frames are in the order of ids though the memory is not. `order`
 * has N entries, 0 to N - 1 each (in a group of varying number *count are read, and N is the capacity); it is read at
 * each trajlog_log, and not owned. NULL: as in memory. May be called between steps. A callback's frame is permuted too.
 * Status: INVALID_ARGUMENT. trajlog_log then returns OUT_OF_RANGE, which does not stick, for an entry out of range. */
TRAJLOG_API trajlog_status trajlog_set_order(trajlog_group *group, const int64_t *order);

/* Boxes as edge vectors, the rows of `edges`. Statuses: INVALID_ARGUMENT (NULL, not finite, no volume); any thread.
 *
 * LAMMPS: low and high bounds of x, y, z and the tilts xy, xz, yz (NULL: none) give a = (xhi - xlo, 0, 0), b = (xy, yhi
 * - ylo, 0), c = (xz, yz, zhi - zlo): https://docs.lammps.org/Howto_triclinic.html. */
TRAJLOG_API trajlog_status trajlog_box_from_lammps(const double low[3], const double high[3], const double tilt[3],
                                                   double edges[9]);
/* The same from a LAMMPS dump, whose bounds ("ITEM: BOX BOUNDS xy xz yz") are those of the box that encloses the tilted
 * one: xlo_bound = xlo + min(0, xy, xz, xy + xz), ylo_bound = ylo + min(0, yz), and so on; same page. `origin` (may be
 * NULL) is the corner (xlo, ylo, zlo). */
TRAJLOG_API trajlog_status trajlog_box_from_lammps_dump(const double low_bound[3], const double high_bound[3],
                                                        const double tilt[3], double edges[9], double origin[3]);
/* From the lengths a, b, c and the angles alpha (b, c), beta (a, c), gamma (a, b) in degrees (NULL: right angles): a along
 * x, b in the xy plane, c with z > 0. The crystallographers' convention, as in the same page and in MDAnalysis's
 * triclinic_vectors. Right angles give exact zeros. */
TRAJLOG_API trajlog_status trajlog_box_from_lengths_angles(const double lengths[3], const double angles[3],
                                                           double edges[9]);

/* ---------------------------------------------------------------------------------------------------------------------
 * Writing: the run
 * ------------------------------------------------------------------------------------------------------------------ */

/* Logs a step: for each group that is due, copies its fields into the queue; when it returns, the caller may change its
 * arrays. On disk afterwards: what the latest commit has put there, which may be without this step; see trajlog_flush.
 * Costs a copy: no allocation and no HDF5 call, except the first time, when the configuration is applied, the
 * groups are made in the file, `once` groups are written and the worker starts. After it no declaration is accepted: one
 * that comes too late is refused with INVALID_STATE, and that sticks, so that the next trajlog_log ends the log.
 * (When a number of particles outgrows its capacity, it allocates again: see trajlog_set_count.)
 *
 * `step` must exceed the last one, between -2^63 and 2^63 - 1, and `time` (in the caller's unit, by custom ps) must be
 * finite and not decrease. A call with such bad input is refused, sticks nothing, and the log goes on. In a log that was
 * resumed, `step` must also exceed the restart step, and `time` not be before that of the last row that is kept.
 * Status: the log's sticking error, if there is one (a failed worker among them); INVALID_ARGUMENT (time not finite,
 * no log), NOT_INCREASING, OUT_OF_RANGE, QUEUE_FULL, TIMED_OUT, INVALID_STATE (it would have to wait for the worker, and
 * this thread holds trajlog_hdf5_lock; or the log is that of the parent process), none of which sticks; CALLBACK_FAILED;
 * at the first step also, all sticking, MISSING_VIEW, INVALID_ARGUMENT (queue_bytes has no room for a frame; roles that do
 * not fit together), DUPLICATE_NAME (in the H5MD tree), INVALID_CONFIG, SCHEMA_MISMATCH, OUT_OF_MEMORY, IO_ERROR,
 * HDF5_ERROR.
 * A step that was OUT_OF_RANGE can be logged again when the caller has mended its data. If that does not happen, the step
 * is lost: the log goes on, and trajlog_close returns the first such loss, if nothing else failed. */
TRAJLOG_API trajlog_status trajlog_log(trajlog_writer *log, int64_t step, double time);
/* The same, with a state that is handed to callbacks and predicates. */
TRAJLOG_API trajlog_status trajlog_log_state(trajlog_writer *log, int64_t step, double time, const void *state);

/* Returns when all accepted frames are in the file: a reader that opens it now sees them, and they survive a killed process.
 * Status: the log's sticking error; INVALID_STATE if this thread holds trajlog_hdf5_lock. */
TRAJLOG_API trajlog_status trajlog_flush(trajlog_writer *log);
/* Returns when all accepted frames are synced: they survive a power loss too. Status: the same. */
TRAJLOG_API trajlog_status trajlog_sync(trajlog_writer *log);

/* Checkpoints: the states that a run can go on from. The file keeps the two newest, in full precision; while one is
 * being replaced, the other one is whole. trajlog_add_checkpoint adds the group of that name; add the fields that make up
 * the state to it, as to any other group (positions, velocities, the state of the random numbers, ...). They cannot be
 * stored as another type, take no storage or role, and no configuration changes them. NULL on failure: as
 * trajlog_add_group. */
TRAJLOG_API trajlog_group *trajlog_add_checkpoint(trajlog_writer *log);
/* Copies the checkpoint's fields, and returns when they, and all frames accepted before, are synced. `step` is the step
 * whose state this is: call it when that was logged; afterwards, it must be behind `step` that trajlog_log goes on. To
 * go on from a checkpoint: trajlog_restore, then trajlog_resume with its step.
 * Status: as trajlog_log; INVALID_STATE too if there is no checkpoint group, or no step was logged yet. */
TRAJLOG_API trajlog_status trajlog_checkpoint(trajlog_writer *log, int64_t step, double time);
/* The same, with a state that is handed to callbacks. */
TRAJLOG_API trajlog_status trajlog_checkpoint_state(trajlog_writer *log, int64_t step, double time, const void *state);

/* Drains the queue, closes the file, frees the log and sets *log to NULL. Always returns, also after an error, and then
 * returns the log's first error; trajlog_message(NULL) still has its message. NULL, and a *log that is NULL, are OK.
 * On disk afterwards: a plain HDF5 file that is complete and closed.
 *
 * Where it is not called. A process that exits closes its logs by itself, with all accepted frames, but without what only
 * trajlog_close knows to be the last step (trajlog_with_last) where exit is called by another thread than the log's or
 * from a callback; so does a library that is unloaded. A process that is killed leaves the last commit.
 *
 * After fork(), the log is the parent's alone. In the child, every call on it but for its statistics returns
 * INVALID_STATE, and trajlog_close only frees its memory: nothing there touches the file, also not exit. The child may
 * have logs of its own. */
TRAJLOG_API trajlog_status trajlog_close(trajlog_writer **log);

typedef struct trajlog_statistics {
    size_t struct_size;       /* sizeof(trajlog_statistics), set by the caller */
    int64_t steps;            /* trajlog_log calls that were valid */
    int64_t frames;           /* accepted: queued, or written in synchronous mode */
    int64_t rows;             /* written, all groups together */
    int64_t dropped;          /* frames given up because the queue was full */
    int64_t bytes;            /* of the accepted frames' fields, as stored */
    int64_t commits;          /* flushed */
    size_t queue_bytes;       /* the queue's bound */
    size_t queue_high_bytes;  /* the most that was in it */
    size_t queue_high_frames; /* likewise */
    double blocked_seconds;   /* that trajlog_log waited for room */
    double busy_seconds;      /* that the worker spent writing */
    int64_t syncs;            /* commits that were synced */
} trajlog_statistics;

/* May be called from any thread while the log is open; the figures are those of one moment each. A log that carries
 * only an error has zeros. Status: INVALID_ARGUMENT. */
TRAJLOG_API trajlog_status trajlog_get_statistics(const trajlog_writer *log, trajlog_statistics *statistics);

/* The message of the log's sticking error, else of its latest refused call, else "". For NULL: the message of the
 * latest call in this thread that failed, on any log or reader, also one that is closed. Valid until the next call. */
TRAJLOG_API const char *trajlog_message(const trajlog_writer *log);
/* The errno that belongs to that message; 0 if none does. */
TRAJLOG_API int trajlog_error_number(const trajlog_writer *log);

/* The process-wide lock under which this library enters libhdf5; recursive. A host that calls HDF5 itself while a log
 * or reader is open, in any thread, takes it around its calls if its libhdf5 is not thread-safe. Do not hold it across
 * trajlog_log or trajlog_flush, which may wait for the worker; trajlog_close gives it up while it waits. */
TRAJLOG_API void trajlog_hdf5_lock(void);
TRAJLOG_API void trajlog_hdf5_unlock(void);

/* ---------------------------------------------------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------------------------------------------------ */

typedef struct trajlog_reader trajlog_reader;

/* What a reader knows of a file, a group, a field. Owned by the reader; valid until trajlog_refresh or
 * trajlog_reader_close. Texts are never NULL. Members may be added at the end of each. */
typedef struct trajlog_file_info {
    const char *path;
    int32_t format_version; /* 1; 0 for a file of the seed system (kUPS) */
    int32_t group_count;
    int64_t actual_steps;    /* the last step logged + 1; -1 if the file does not say */
    int64_t dropped;         /* frames given up */
    const char *metadata;    /* a JSON object */
    const char *environment; /* a JSON object: software and versions */
    const char *schema;      /* the file's whole schema, JSON; "" for format 0 */
} trajlog_file_info;

typedef struct trajlog_group_info {
    const char *name;
    int32_t once; /* not 0: no time axis; rows is 1 if it was written. Format 0 does not say so: there, a group
                   * with a scalar in it, or whose datasets cannot grow and differ in their first dimension */
    int32_t field_count;
    int64_t rows;
    const char *frequency;         /* in words: "every 10 steps" */
    int64_t first_step, last_step; /* 0 where there are no rows, or no steps (once, format 0) */
    double first_time, last_time;  /* NaN likewise */
    const char *metadata;          /* a JSON object */
    int32_t checkpoint;            /* not 0: no series but checkpoints, which trajlog_restore reads; rows is 0 */
    int32_t checkpoint_count;      /* complete ones, 0 to 2: first_step is the older one's, last_step the newer one's */
} trajlog_group_info;

typedef struct trajlog_field_info {
    const char *name;
    const char *unit;         /* "" if none */
    const char *description;  /* "" if none */
    trajlog_type type;        /* in the simulation's memory */
    trajlog_type stored_type; /* 0: one that cannot be read (format 0); the description says what it is */
    trajlog_shape shape;      /* of one frame */
    const char *storage;      /* in words: "87 rows per chunk, shuffle, deflate 1" */
    int64_t stored_bytes;     /* that the dataset takes in the file */
    const char *metadata;     /* a JSON object */
    trajlog_role role;        /* TRAJLOG_ROLE_NONE if none */
    const char *particles;    /* the particles group that the role is in; "" if none */
    int32_t varying; /* not 0: the first dimension is a capacity, which grows while the file is written: trajlog_refresh
                      * shows it; the field "count" says how many there are */
    int64_t data_bytes;         /* of all rows, uncompressed, as stored_type; 0 for checkpoints */
    double max_error;           /* what the values were rounded to, see trajlog_storage; 0: not in this way */
    int32_t significant_digits; /* likewise */
} trajlog_field_info;

/* A range of steps whose frames were given up because the queue was full. */
typedef struct trajlog_drop {
    int64_t first_step, last_step; /* both inclusive */
    int64_t frames;                /* that were due between them */
} trajlog_drop;

/* Opens a file for reading, also one that is being written or whose writer was killed: rows are those committed at this
 * moment. *reader is set as trajlog_create sets *log. Status: NOT_FOUND, IO_ERROR, INVALID_FILE (no trajlog or seed
 * file, or broken), UNSUPPORTED (a later format), HDF5_ERROR, OUT_OF_MEMORY. */
TRAJLOG_API trajlog_status trajlog_open(trajlog_reader **reader, const char *path);

/* 0 and NULL mean the default named behind each. Strings are copied. */
typedef struct trajlog_reader_options {
    size_t struct_size; /* sizeof(trajlog_reader_options) */
    /* HDF5 loads a plugin, a shared library, when a file names a filter that it does not have. Which filters may be
     * used besides those that are part of HDF5, by number or usual name: "32015", "zstd,blosc"; none. */
    const char *filters;
    /* How many threads decode compressed chunks at the same time, the caller's among them: 1 to 64; as many as there are
     * processors that the process may run on, at most 8. The others are started when they are first of use, and end with
     * the reader; they block all signals. With 1, nothing is decoded in advance either. */
    int32_t decoder_threads;
} trajlog_reader_options;
/* The same with options, which may be NULL. Status: also INVALID_ARGUMENT (a filter's name that is not known; a number of
 * threads out of range). */
TRAJLOG_API trajlog_status trajlog_open_with(trajlog_reader **reader, const char *path,
                                             const trajlog_reader_options *options);
/* Frees the reader and sets *reader to NULL; NULL and a *reader that is NULL are OK. */
TRAJLOG_API trajlog_status trajlog_reader_close(trajlog_reader **reader);
/* Looks again: rows and groups that were committed since trajlog_open, or the last refresh, appear; if another file has
 * taken the path, it is that one from now on. Infos become invalid, and streams end. On failure the reader stays as it
 * was. Status: as trajlog_open. */
TRAJLOG_API trajlog_status trajlog_refresh(trajlog_reader *reader);

/* Message and errno of the reader's latest failed call; as for logs. */
TRAJLOG_API const char *trajlog_reader_message(const trajlog_reader *reader);
TRAJLOG_API int trajlog_reader_error_number(const trajlog_reader *reader);

/* NULL if the reader is not open, or there is no such group or field. */
TRAJLOG_API const trajlog_file_info *trajlog_reader_file(const trajlog_reader *reader);
TRAJLOG_API const trajlog_group_info *trajlog_reader_group(const trajlog_reader *reader, int32_t group);
TRAJLOG_API const trajlog_field_info *trajlog_reader_field(const trajlog_reader *reader, int32_t group, int32_t field);
/* The number of the group, or of the field in the group; -1 if there is none of that name. */
TRAJLOG_API int32_t trajlog_find_group(const trajlog_reader *reader, const char *group);
TRAJLOG_API int32_t trajlog_find_field(const trajlog_reader *reader, const char *group, const char *field);

/* The ranges of dropped frames, oldest first; at most `capacity` of them into `drops` (may be NULL with 0).
 * *count is how many there are. Status: INVALID_ARGUMENT, INVALID_FILE, HDF5_ERROR, IO_ERROR. */
TRAJLOG_API trajlog_status trajlog_reader_drops(trajlog_reader *reader, trajlog_drop *drops, size_t capacity,
                                                size_t *count);

typedef enum trajlog_rows_kind {
    TRAJLOG_ROWS_RANGE = 1,
    TRAJLOG_ROWS_LIST = 2,
    TRAJLOG_ROWS_STEPS = 3,
    TRAJLOG_ROWS_TIMES = 4,
    TRAJLOG_ROWS_INDEX = 5,
    TRAJLOG_ROWS_STEP = 6
} trajlog_rows_kind;

#define TRAJLOG_ROWS_END INT64_MAX

/* Which rows to read. Of a `once` group, only trajlog_all_rows and row 0 (or -1) exist. Bad values are accepted by the
 * functions below, and refused by the call that takes the rows. */
typedef struct trajlog_rows {
    trajlog_rows_kind kind;
    int32_t reserved;
    int64_t start, stop, stride;
    const int64_t *list;
    size_t list_count;
    double start_time, stop_time;
} trajlog_rows;

TRAJLOG_API trajlog_rows trajlog_all_rows(void);
/* One row; negative: from the end, -1 is the last. NOT_FOUND if there is no such row. */
TRAJLOG_API trajlog_rows trajlog_row(int64_t row);
/* Rows start, start + stride, ... before `stop`; as a Python slice: negative from the end, clipped; stride at least 1.
 * TRAJLOG_ROWS_END as `stop`: to the end. */
TRAJLOG_API trajlog_rows trajlog_row_range(int64_t start, int64_t stop, int64_t stride);
/* The rows listed, in that order, negative from the end; repeats are allowed. The list is not copied. */
TRAJLOG_API trajlog_rows trajlog_row_list(const int64_t *rows, size_t count);
/* The row of exactly this step; NOT_FOUND if there is none. */
TRAJLOG_API trajlog_rows trajlog_row_at_step(int64_t step);
/* All rows with first <= step <= last; with start <= time <= stop. Binary search. */
TRAJLOG_API trajlog_rows trajlog_rows_in_steps(int64_t first, int64_t last);
TRAJLOG_API trajlog_rows trajlog_rows_in_times(double start, double stop);

/* How many rows a selection has in a group. Status: NOT_FOUND, INVALID_ARGUMENT. */
TRAJLOG_API trajlog_status trajlog_count_rows(trajlog_reader *reader, const char *group, trajlog_rows rows,
                                              int64_t *count);

/* Reads rows of a field into the caller's memory: [rows, shape...] in C order, elements of `type` (the conversions of
 * trajlog_store_as, and FLOAT32 <-> FLOAT64, integer -> complex; 0: as stored). `field` may be "step" (INT64) or "time"
 * (FLOAT64). `bytes` is the size of `data`. *row_count (may be NULL) is the number of rows read.
 * Status: NOT_FOUND, INVALID_ARGUMENT, OUT_OF_RANGE (`data` too small; a value that does not fit), TYPE_MISMATCH,
 * UNSUPPORTED (a filter that this libhdf5 does not have, or that was not allowed, by name), INVALID_STATE (a writer has
 * dropped the rows meanwhile: refresh), INVALID_FILE, HDF5_ERROR, IO_ERROR. */
TRAJLOG_API trajlog_status trajlog_read(trajlog_reader *reader, const char *group, const char *field, trajlog_rows rows,
                                        trajlog_type type, void *data, size_t bytes, int64_t *row_count);
/* The same into memory that is allocated; free it with trajlog_free. *data is NULL on failure.
 * Status: as trajlog_read; OUT_OF_MEMORY. */
TRAJLOG_API trajlog_status trajlog_read_new(trajlog_reader *reader, const char *group, const char *field,
                                            trajlog_rows rows, trajlog_type type, void **data, int64_t *row_count);
/* NULL does nothing. */
TRAJLOG_API void trajlog_free(void *data);

/* The series of one particle, or of several that are neighbours: as trajlog_read, but of each row only `particle_count`
 * (at least 1) particles from `first_particle` (0 is the first) on, along the first dimension of the field's shape. `data`
 * is [rows, particle_count, shape[1], ...]. Not everything is read for it: where the field was stored with access =
 * particle, only the chunks that these particles are in; of uncompressed frames, little more than their bytes; but
 * compressed frames are decoded as a whole. Where the number of particles varies, a particle is a place in the row, and
 * what is behind the row's `count` is padding.
 * Status: as trajlog_read; INVALID_ARGUMENT also for a scalar field; OUT_OF_RANGE also for particles that the field does
 * not have. */
TRAJLOG_API trajlog_status trajlog_read_series(trajlog_reader *reader, const char *group, const char *field,
                                               trajlog_rows rows, int64_t first_particle, int64_t particle_count,
                                               trajlog_type type, void *data, size_t bytes, int64_t *row_count);

/* The particles that there are, of a field whose number varies: those of the k-th row read are
 * values[offsets[k], ...] to values[offsets[k + 1] - 1, ...], without padding. A single row gives a frame's particles. */
typedef struct trajlog_ragged {
    int64_t row_count;
    int64_t *offsets; /* [row_count + 1], from 0 */
    void *values;     /* [offsets[row_count], shape[1], ...] */
} trajlog_ragged;
/* Allocates both; free them with trajlog_ragged_free. Also for fields of a fixed number of particles: all of them live.
 * Status: as trajlog_read_new; INVALID_ARGUMENT for a scalar field. *ragged is all zero on failure. */
TRAJLOG_API trajlog_status trajlog_read_ragged(trajlog_reader *reader, const char *group, const char *field,
                                               trajlog_rows rows, trajlog_type type, trajlog_ragged *ragged);
TRAJLOG_API void trajlog_ragged_free(trajlog_ragged *ragged);

/* One field of a selection. */
typedef struct trajlog_request {
    const char *field;
    trajlog_type type; /* 0: as stored */
    void *data;
    size_t bytes;
} trajlog_request;
/* Reads the same rows of several fields, each as trajlog_read does. On failure, some of the memory may have been written
 * to. Status: as trajlog_read. */
TRAJLOG_API trajlog_status trajlog_read_fields(trajlog_reader *reader, const char *group, trajlog_rows rows,
                                               const trajlog_request *requests, size_t request_count,
                                               int64_t *row_count);

/* Streaming: a walk through the rows of a group in blocks, in memory that does not grow with the file. */
typedef struct trajlog_stream trajlog_stream;
typedef struct trajlog_block {
    int64_t first_row;   /* the place of the block's first row in the selection: 0, block_rows, ... */
    int64_t row_count;   /* 1 to block_rows */
    const int64_t *step; /* [row_count]; NULL where the file has none (format 0) */
    const double *time;  /* likewise */
    const void **fields; /* [field_count]: each [row_count, shape...], in the order of the request */
} trajlog_block;
/* `fields`: names, in the order wanted; NULL with 0: all of the group. `types`: one per field, or NULL: as stored.
 * `block_rows`: 0: about 512 KiB. Status: as trajlog_read. Close the stream before its reader. */
TRAJLOG_API trajlog_status trajlog_stream_open(trajlog_stream **stream, trajlog_reader *reader, const char *group,
                                               trajlog_rows rows, const char *const *fields, const trajlog_type *types,
                                               size_t field_count, int64_t block_rows);
/* The next block; it and its memory are the stream's, valid until the next call on it. Status: TRAJLOG_END after the last
 * (*block stays as it was), and as trajlog_read. */
TRAJLOG_API trajlog_status trajlog_stream_next(trajlog_stream *stream, trajlog_block *block);
/* Sets *stream to NULL; NULL and a *stream that is NULL are OK. */
TRAJLOG_API void trajlog_stream_close(trajlog_stream **stream);

/* Rows without a copy: a part of the file, mapped into memory. */
typedef enum trajlog_map_access {
    TRAJLOG_MAP_READ = 1, /* only to be read: writing there is a SIGSEGV */
    TRAJLOG_MAP_COPY = 2  /* copy-on-write: what is written is this process' own, and never reaches the file */
} trajlog_map_access;
typedef struct trajlog_map {
    void *data; /* [row_count, shape...] in C order, as stored */
    int64_t first_row, row_count;
    void *region; /* the library's, as is what follows */
    size_t region_bytes;
} trajlog_map;
/* Maps rows of a field from `first_row` on (negative: from the end), at most `most_rows` of them (TRAJLOG_ROWS_END: no
 * bound) and at least one: as many as lie together in the file. That is a chunk, from first_row on, and those that happen to
 * follow it directly; ask anew with first_row + row_count for the next ones. Of a `once` group, row 0 is all there is.
 * `type`: what the caller takes the elements for, or 0.
 * The map does not depend on the reader: it stays through trajlog_refresh and trajlog_reader_close until trajlog_unmap, also
 * while the file is written. Rows that were committed stay as they are there, as long as nobody resumes the log and drops
 * them; and whoever cuts the file makes reading a SIGBUS, as with any map. When it is made, all of it is in the file.
 * Status: NOT_FOUND (row), INVALID_ARGUMENT, TYPE_MISMATCH (stored as another type), UNSUPPORTED (the message says why they
 * cannot be mapped: compressed, of another byte order, not aligned, in chunks of parts of rows, never written, or changed by
 * an update that a crash left to be completed: trajlog_read reads them all), INVALID_FILE (the file ends before),
 * OUT_OF_MEMORY, and as trajlog_read. *map is all zero on failure. */
TRAJLOG_API trajlog_status trajlog_map_rows(trajlog_reader *reader, const char *group, const char *field,
                                            int64_t first_row, int64_t most_rows, trajlog_type type,
                                            trajlog_map_access access, trajlog_map *map);
/* Ends the map, and sets it to zero. NULL, and a map that is zero, are OK. Any thread. */
TRAJLOG_API void trajlog_unmap(trajlog_map *map);

/* Reads the newest checkpoint that is complete, the other one where the newest is damaged: the fields requested, bit for
 * bit as they were where no other type is asked for, and its step and time (may be NULL). It looks into the file as it is
 * at this moment, also where the reader was opened before; a state that a writer replaces meanwhile is not taken. To go
 * on from there, close the reader and call trajlog_resume with the step.
 * Status: NOT_FOUND (no checkpoint was completed: the run has to start over), SCHEMA_MISMATCH (they have no such field),
 * INVALID_FILE (there are checkpoints, but all are damaged), and as trajlog_read. On failure, *step and *time are as they
 * were, but the memory of the requests may have been written to. */
TRAJLOG_API trajlog_status trajlog_restore(trajlog_reader *reader, const trajlog_request *requests,
                                           size_t request_count, int64_t *step, double *time);

/* ---------------------------------------------------------------------------------------------------------------------
 * Checking and recovering
 * ------------------------------------------------------------------------------------------------------------------ */

/* What a crash has left beside a file, in PATH.journal. */
typedef enum trajlog_journal {
    TRAJLOG_JOURNAL_NONE = 0,
    TRAJLOG_JOURNAL_UNUSED = 1, /* there is one, and the file is in order without it; or its writer is at work */
    TRAJLOG_JOURNAL_NEEDED = 2  /* it takes back an update that was cut: this library's reader does so in memory */
} trajlog_journal;

/* What trajlog_check found. */
typedef struct trajlog_check_report {
    size_t struct_size;      /* sizeof(trajlog_check_report), set by the caller */
    int64_t problems;        /* how many; 0: the file is sound */
    int32_t writer_is_alive; /* not 0: somebody writes it at this moment */
    int32_t closed;          /* not 0: its writer has closed it; 0: the writer is at work, or was killed */
    trajlog_journal journal;
    int32_t unfinished; /* not 0: there is a PATH.new, of a run that was killed before its first step, or begins now */
    int32_t group_count;
    int32_t checkpoints;     /* complete ones, 0 to 2 */
    int64_t checkpoint_step; /* of the newest; 0 if there is none */
    int64_t rows;            /* of all groups, all of them read */
    int64_t last_step;       /* the file is complete up to this one; TRAJLOG_FROM_THE_START if no step is in it */
    int64_t dropped;         /* frames given up */
    int64_t file_bytes;      /* the size of the file */
    int64_t end_bytes;       /* where what it holds ends: less than file_bytes where the writer did not close it */
} trajlog_check_report;

/* Is told each problem, in one sentence that names group and field. */
typedef void (*trajlog_problem)(const char *message, void *context);

/* Reads everything: superblock, schema, names, rows of all fields, checkpoints, the journal. Problems are: what cannot be
 * read, datasets of a group that differ in their rows as no kill leaves them, chunks that are missing, steps that do not
 * increase, times that decrease or are not finite, a list of dropped frames that cannot be, a damaged checkpoint (but for
 * the older one: a power loss while it is replaced leaves it so, and the newer one whole), a journal that is needed.
 * That the writer was killed is none. The file is not changed, and may be one that is being written. `options`: as for
 * trajlog_open_with; `report` and `problem` may be NULL. Any thread.
 * Status: OK (sound); INVALID_FILE (there are problems; the message is the first), or as trajlog_open. */
TRAJLOG_API trajlog_status trajlog_check(const char *path, const trajlog_reader_options *options,
                                         trajlog_check_report *report, trajlog_problem problem, void *context);

/* What trajlog_recover did. */
typedef struct trajlog_recovery {
    size_t struct_size;      /* sizeof(trajlog_recovery), set by the caller */
    int32_t changed;         /* not 0: there was something to do */
    trajlog_journal journal; /* as it was found; it is gone now */
    int64_t removed_bytes;   /* of the hole behind what the file holds */
} trajlog_recovery;

/* Does what the writer of a file would have done, had it not been killed: takes back an update that was cut,
 * cuts datasets to the rows that all of their group have, and the file to what it holds, and removes what was left beside
 * it. No row that a reader sees is lost. A file that was closed is not touched. Nobody needs this to read a file, or to
 * resume it. `no_lock`: as in trajlog_options; `recovery` may be NULL. On disk afterwards: a plain HDF5 file that is
 * complete, closed and synced. Any thread.
 * Status: OK (also if there was nothing to do); NOT_FOUND, FILE_LOCKED (somebody writes it), INVALID_FILE (no trajlog
 * file, or broken beyond what a crash does: not touched), UNSUPPORTED, IO_ERROR, HDF5_ERROR, OUT_OF_MEMORY. */
TRAJLOG_API trajlog_status trajlog_recover(const char *path, int32_t no_lock, trajlog_recovery *recovery);

/* A rule of the H5MD 1.1 specification, and what a file makes of it. Valid during the call of the report. */
typedef struct trajlog_h5md_rule {
    const char *name;   /* "box.edges.shape" */
    const char *text;   /* one sentence */
    int64_t held;       /* places where it holds; with `broken` 0: there is nothing that it applies to */
    int64_t broken;     /* places where it does not */
    const char *detail; /* the first three of these, and what is found there; "" if none */
} trajlog_h5md_rule;
typedef void (*trajlog_h5md_report)(const trajlog_h5md_rule *rule, void *context);

/* Examines any HDF5 file, whoever wrote it, and reports each rule in turn. `root` is the group that the H5MD tree begins
 * at; NULL: the root group. Reads metadata, steps, times, ids and tuples, no other data; opens no other file and loads no
 * filter plugin, whatever the file says. Any thread.
 * Status: OK, also where rules are broken; NOT_FOUND (the file, the root), INVALID_ARGUMENT, INVALID_FILE (no HDF5), IO_ERROR, HDF5_ERROR, OUT_OF_MEMORY. */
TRAJLOG_API trajlog_status trajlog_check_h5md(const char *path, const char *root, trajlog_h5md_report report,
                                              void *context);

#ifdef __cplusplus
}
#endif

#endif
