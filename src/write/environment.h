/* The software that a log was written with. No name of a user, of the machine or of a directory. */
#ifndef WRITE_ENVIRONMENT_H
#define WRITE_ENVIRONMENT_H

#include "model/schema.h"

/* Fills schema->environment and schema->created. OUT_OF_MEMORY. */
trajlog_status environment_record(struct schema *schema, struct error *error);

#endif
