/* Where a new file is to be: what is there now, and whether it may go. Looks, and changes nothing. */
#ifndef STORE_DESTINATION_H
#define STORE_DESTINATION_H

#include "model/status.h"

/* FILE_EXISTS (REFUSE, and there is something), INVALID_ARGUMENT (no name; REPLACE, and what is there is no regular
 * file), IO_ERROR (it may not be replaced). A directory that is missing shows when the file is made. */
trajlog_status destination_check(const char *path, trajlog_existing existing, struct error *error);

/* Before a file is taken up: NOT_FOUND, INVALID_FILE (no regular file), INVALID_ARGUMENT (no name), IO_ERROR. */
trajlog_status destination_check_existing(const char *path, struct error *error);

#endif
