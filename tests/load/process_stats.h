/* What processes have used, as the kernel counts it (proc(5)). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process_stats {
    uint64_t cpu_ns;  /* on a processor, all threads; to the nanosecond */
    uint64_t user_ns; /* to the clock tick only, as is sys_ns */
    uint64_t sys_ns;
    uint64_t switches; /* of context, wanted or not */
    uint64_t rss_kb;
    uint64_t pss_kb; /* shared pages shared out */
};

/* The sum over all of them. False: one of them cannot be read, or is gone. */
bool process_stats_read(const pid_t *pids, size_t count, struct process_stats *stats);

/* What was used from `before` to `after`; memory is that after. */
struct process_stats process_stats_since(const struct process_stats *before,
                                         const struct process_stats *after);
