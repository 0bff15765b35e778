/* Help with work that needs neither libhdf5 nor a certain thread. The store gets it from whoever owns threads, and knows
 * nothing of them. */
#ifndef STORE_HELPERS_H
#define STORE_HELPERS_H

#include <stdbool.h>

struct task {
    void (*run)(struct task *task);
    struct task *next; /* the helpers' own, as is `done` */
    bool done;
};

struct helpers {
    void *context;
    int count;
    /* Some helper runs the task, some time, in the order in which tasks were begun; until it is finished it is theirs. One
     * thread at a time begins and finishes. */
    void (*begin)(void *context, struct task *task);
    /* Returns when the task was run; until then the caller runs what no helper has taken yet. */
    void (*finish)(void *context, struct task *task);
};

#endif
