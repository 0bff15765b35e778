/* What a reader decodes chunks with: threads that help, started when they are first wanted, and decoders to borrow. */
#ifndef READ_DECODERS_H
#define READ_DECODERS_H

#include "store/decode.h"
#include "store/helpers.h"

struct decoders;

/* `threads`: that decode at the same time, the caller's among them; 0: as many as there are processors, at most 8. NULL:
 * out of memory. */
struct decoders *decoders_new(int threads);
/* Nobody may be decoding. NULL is OK. */
void decoders_free(struct decoders *decoders);

/* The threads that help; *helpers is NULL if there are none, also in a forked child. One thread at a time. An errno if
 * the system refuses one that was asked for, OUT_OF_MEMORY. */
trajlog_status decoders_helpers(struct decoders *decoders, const struct helpers **helpers, struct error *error);

/* False in a forked child: the threads that were given tasks are the parent's. */
bool decoders_are_ours(const struct decoders *decoders);

/* Any thread. OUT_OF_MEMORY. */
trajlog_status decoders_borrow(struct decoders *decoders, struct decoder **decoder, struct error *error);
void decoders_give_back(struct decoders *decoders, struct decoder *decoder);

#endif
