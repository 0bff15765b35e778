/* Threads that help the store to encode chunks. They see only tasks: no file, no libhdf5, no queue. */
#ifndef WRITE_ENCODERS_H
#define WRITE_ENCODERS_H

#include "model/status.h"
#include "store/helpers.h"

struct encoders;

/* Starts so many threads, which block all signals. OUT_OF_MEMORY, or the errno with which the system refused one. */
trajlog_status encoders_start(struct encoders **encoders, int count, struct error *error);
struct helpers encoders_helpers(struct encoders *encoders);

/* Ends the threads, which have no task any more, and frees. NULL is OK. */
void encoders_stop(struct encoders *encoders);
/* In a forked child, that has no such threads: only the memory. */
void encoders_forget(struct encoders *encoders);

#endif
