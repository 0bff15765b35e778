#include "write/environment.h"

#include <stdio.h>
#include <sys/utsname.h>
#include <time.h>

#include "model/schema_json.h"
#include "store/hdf5_version.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static trajlog_status record_system(struct schema *schema, struct error *error)
{
    struct utsname name;
    char text[sizeof name.sysname + sizeof name.release + sizeof name.machine + 3];
    if (uname(&name) != 0) return TRAJLOG_OK;
    snprintf(text, sizeof text, "%s %s %s", name.sysname, name.release, name.machine);
    return metadata_set(&schema->environment, "operating_system", text, error);
}

static trajlog_status record_time(struct schema *schema, struct error *error)
{
    char text[32];
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc) == NULL || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) return TRAJLOG_OK;
    return schema_set_text(&schema->created, text, error);
}

trajlog_status environment_record(struct schema *schema, struct error *error)
{
    char hdf5[32];
    TRY(metadata_set(&schema->environment, "trajlog", trajlog_version(), error));
    TRY(metadata_set(&schema->environment, "hdf5", hdf5_version(hdf5, sizeof hdf5), error));
    TRY(metadata_set(&schema->environment, "jansson", json_library_version(), error));
    TRY(metadata_set(&schema->environment, "compiler", COMPILER, error));
    TRY(record_system(schema, error));
    return record_time(schema, error);
}
