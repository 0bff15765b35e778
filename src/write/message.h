/* What travels through the queue: frames, and the requests that must come after the frames before them. */
#ifndef WRITE_MESSAGE_H
#define WRITE_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "trajlog.h"

/* Messages, and the sections of a frame, begin at multiples of this. */
#define MESSAGE_ALIGNMENT 64

enum message_kind {
    MESSAGE_FRAME,
    MESSAGE_FLUSH,      /* commit, and say so */
    MESSAGE_SYNC,       /* the same, synced */
    MESSAGE_CHECKPOINT, /* the same, with the checkpoint, whose section waits beside the queue; see delivery.h */
    MESSAGE_CLOSE       /* commit, and end */
};

struct message {
    size_t bytes; /* all of it, with what follows; a multiple of MESSAGE_ALIGNMENT */
    enum message_kind kind;
    uint32_t section_count;
    int64_t step; /* the frame's, or checkpoint's; of another request: the last of all these */
    double time;
    trajlog_drop drop; /* given up before this message; frames == 0: none */
    uint32_t groups[]; /* [section_count]: whose sections follow; see frame.h */
};

static inline size_t message_round_up(size_t bytes)
{
    return (bytes + MESSAGE_ALIGNMENT - 1) / MESSAGE_ALIGNMENT * MESSAGE_ALIGNMENT;
}

/* The least a message takes. */
#define MESSAGE_SMALLEST MESSAGE_ALIGNMENT
_Static_assert(sizeof(struct message) <= MESSAGE_SMALLEST, "a request is one unit");

#endif
