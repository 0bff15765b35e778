/* Groups, their datasets and their attributes: made once, before SWMR starts. Errors go to store->failure. */
#ifndef STORE_DEFINE_H
#define STORE_DEFINE_H

#include "store/store.h"

#define BOOKKEEPING "trajlog" /* the group; its name is not open to users */

/* Creation properties of this class, H5P_FILE_CREATE or H5P_GROUP_CREATE, for so many links as are known by now. Without
 * time stamps, so that equal runs make equal files; and the links stay in the object header. What a resume adds is
 * written there at once, or piece by piece in an order that hides none; the B-tree where libhdf5 puts more than eight links
 * is rewritten in place by several writes, and a kill between them hides some until the next open. Negative on failure. */
hid_t define_untimed(hid_t class, size_t links);

/* The store's groups, one for each of the schema's, with nothing in them. */
trajlog_status define_allocate(struct store *store, const struct schema *schema);

/* Makes a group with its datasets and attributes; the datasets stay open. */
trajlog_status define_group(struct store *store, struct store_group *group);
/* Makes the list of dropped frames. */
trajlog_status define_bookkeeping(struct store *store);

/* The groups that a field's path goes through: "a" and "a/b" for "a/b/c". */
trajlog_status define_parents(struct store *store, hid_t location, const char *path);

struct column_layout define_drop_layout(void);
struct column_layout define_layout(const struct group *group, const struct field *field);
/* An element of what stands where nothing was written, to be freed. */
trajlog_status define_fill(struct store *store, const struct field *field, void **fill);
/* Unit, description, and how values are rounded. */
trajlog_status define_field_attributes(struct store *store, hid_t dataset, const struct field *field);
/* Sets a text attribute; takes the text, which is freed; NULL: there was no memory to make it. */
trajlog_status define_json(struct store *store, hid_t object, const char *name, char *text);

#endif
