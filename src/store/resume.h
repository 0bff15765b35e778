/* Taking up a file of an earlier run. Everything here is held back by the driver, until store_start publishes it. Errors
 * go to store->failure. */
#ifndef STORE_RESUME_H
#define STORE_RESUME_H

#include "store/store.h"

/* Opens the file for going on in it, and reads its schema into store->filed: NULL where it has no groups yet. */
trajlog_status resume_open(struct store *store);

/* Whether there is a log, that may be begun anew: it is opened for reading and closed. */
trajlog_status resume_check_log(struct store *store);

/* Opens what the file has of the schema, finds the rows that are kept, and makes what is added. */
trajlog_status resume_define(struct store *store, const struct schema *schema);

/* When SWMR is on: drops the other rows. */
trajlog_status resume_take_up(struct store *store);

#endif
