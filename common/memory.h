/* Gives memory back to the kernel: what a burst has left free, the C library's heap keeps for good
 * unless it is asked. */
#pragma once

#include "common/loop.h"

struct memory_keeper {
    struct loop *loop;
    struct loop_timer timer;
    size_t kept_bytes; /* free, and of no use to the kernel, when it was asked for last */
    size_t last_free_bytes;
};

/* Looks every few seconds from now on, until the loop is freed. */
void memory_keeper_start(struct memory_keeper *keeper, struct loop *loop);
