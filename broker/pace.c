#include "broker/pace.h"

bool pace_is_busy(struct pace *pace, uint64_t turn_us, uint64_t message_count)
{
    uint64_t elapsed_us = turn_us - pace->window_begin_us;
    if (elapsed_us >= PACE_WINDOW_US) {
        uint64_t count = message_count - pace->count_before;
        pace->is_busy = count * PACE_WINDOW_US >= PACE_BUSY_COUNT * elapsed_us;
        pace->window_begin_us = turn_us;
        pace->count_before = message_count;
    }
    return pace->is_busy;
}
