/* What the broker and each gateway have in common as processes: they run, are frozen or dead, and
 * look at the time about every 100 ms. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { SIM_TICK_MS = 100 };

struct sim_process {
    bool is_up;
    bool is_frozen;
    uint64_t awake_since_ms; /* when it was started or thawed last */
    uint64_t last_turn_ms;
    uint64_t next_tick_ms;
};

static inline bool sim_process_runs(const struct sim_process *process)
{
    return process->is_up && !process->is_frozen;
}
