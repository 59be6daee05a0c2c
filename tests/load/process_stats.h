/* What processes have cost the machine so far, from /proc (proc(5)). The readers add a process to
 * the sums; false: it is not there any more, or may not be looked at; nothing was added. */
#pragma once

#include "common/compiler.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process_times {
    uint64_t cpu_ns;     /* exact, of all threads that run */
    uint64_t user_ticks; /* in ticks of 10 ms: good for the ratio of the two */
    uint64_t sys_ticks;
    uint64_t switches; /* of context, voluntary or not */
};

struct process_memory {
    uint64_t rss_kb; /* pages that processes share are counted in each */
    uint64_t pss_kb; /* shared pages are divided among those who have them */
};

MUST_CHECK bool process_times_add(struct process_times *times, pid_t pid);
/* Takes milliseconds where the process has much memory. */
MUST_CHECK bool process_memory_add(struct process_memory *memory, pid_t pid);

/* What was added between the two. */
struct process_times process_times_since(const struct process_times *before,
                                         const struct process_times *after);
