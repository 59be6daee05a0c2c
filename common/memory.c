#include "common/memory.h"

#include <malloc.h>

enum {
    INTERVAL_MS = 2000,
    /* So much must have become free to make it worth the walk through the heap. */
    WORTH_BYTES = 2 * 1024 * 1024,
    WORTH_AT_REST_BYTES = 128 * 1024, /* where nothing has moved since the last look */
};

static void on_due(struct loop_timer *timer)
{
    struct memory_keeper *keeper = container_of(timer, struct memory_keeper, timer);
    size_t free_bytes = mallinfo2().fordblks;
    if (free_bytes < keeper->kept_bytes) {
        keeper->kept_bytes = free_bytes;
    }
    bool is_at_rest = free_bytes == keeper->last_free_bytes;
    keeper->last_free_bytes = free_bytes;
    if (free_bytes - keeper->kept_bytes >= (is_at_rest ? WORTH_AT_REST_BYTES : WORTH_BYTES)) {
        (void)malloc_trim(0);
        keeper->kept_bytes = free_bytes;
    }
    loop_timer_set(keeper->loop, timer, loop_now_ms(keeper->loop) + INTERVAL_MS);
}

void memory_keeper_start(struct memory_keeper *keeper, struct loop *loop)
{
    *keeper = (struct memory_keeper){.loop = loop, .timer.on_due = on_due};
    loop_timer_set(loop, &keeper->timer, loop_now_ms(loop) + INTERVAL_MS);
}
