/* A timer of the loop that is exact to some microseconds, where loop_timer is to 16 ms: calls when
 * the next of a steady series of events is due. */
#pragma once

#include "common/loop.h"

struct pacer {
    struct loop_watch watch;
    void (*on_due)(struct pacer *pacer);
};

/* False: no descriptor. */
MUST_CHECK bool pacer_init(struct pacer *pacer, struct loop *loop,
                           void (*on_due)(struct pacer *pacer));
/* Calls on_due once, when the monotonic clock reaches `due_ns`; replaces what was set before. */
void pacer_set(struct pacer *pacer, uint64_t due_ns);

/* When event number `index` of `rate_per_s` is due, the first one at `start_ns`. */
static inline uint64_t pacer_due_ns(uint64_t start_ns, double rate_per_s, uint64_t index)
{
    return start_ns + (uint64_t)((double)index * 1e9 / rate_per_s);
}
