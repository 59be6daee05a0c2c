/* Memory for things of many sizes that come and go with every message: blocks in power-of-two size
 * classes, kept on free lists, so that the steady state calls malloc for none of them. */
#pragma once

#include "common/compiler.h"

#include <stddef.h>

enum {
    POOL_BLOCK_MIN_BYTES = 128,
    POOL_CLASS_COUNT = 10, /* 128 bytes to 64 KiB; larger blocks go straight to malloc */
};

struct pool_block;

struct pool {
    struct pool_block *free_blocks[POOL_CLASS_COUNT];
    size_t kept_bytes;     /* on all free lists together */
    size_t kept_max_bytes; /* what goes beyond is given back */
};

void pool_init(struct pool *pool, size_t kept_max_bytes);
/* All blocks must have been returned. */
void pool_fini(struct pool *pool);

/* Gives back what lies free, if that is much: for the end of a burst. */
void pool_drain(struct pool *pool);

/* At least `bytes` of memory, aligned for any type, not cleared. NULL: no memory. */
void *pool_take(struct pool *pool, size_t bytes);
/* `bytes` as it was taken with. */
void pool_return(struct pool *pool, void *block, size_t bytes);
