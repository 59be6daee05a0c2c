#include "common/pool.h"

#include <stdlib.h>

/* So that a trickle of messages does not call malloc for each. */
enum { DRAIN_MIN_BYTES = 64 * 1024 };

struct pool_block {
    struct pool_block *next;
};

static size_t class_bytes(size_t class_index)
{
    return (size_t)POOL_BLOCK_MIN_BYTES << class_index;
}

/* POOL_CLASS_COUNT: larger than every class. */
static size_t class_for(size_t bytes)
{
    size_t class_index = 0;
    while (class_index < POOL_CLASS_COUNT && class_bytes(class_index) < bytes) {
        class_index++;
    }
    return class_index;
}

void pool_init(struct pool *pool, size_t kept_max_bytes)
{
    *pool = (struct pool){.kept_max_bytes = kept_max_bytes};
}

void pool_fini(struct pool *pool)
{
    pool->kept_bytes = 0;
    for (size_t i = 0; i < POOL_CLASS_COUNT; i++) {
        while (pool->free_blocks[i] != NULL) {
            struct pool_block *block = pool->free_blocks[i];
            pool->free_blocks[i] = block->next;
            free(block);
        }
    }
}

void pool_drain(struct pool *pool)
{
    if (pool->kept_bytes > DRAIN_MIN_BYTES) {
        pool_fini(pool);
    }
}

void *pool_take(struct pool *pool, size_t bytes)
{
    size_t class_index = class_for(bytes);
    if (class_index == POOL_CLASS_COUNT) {
        return malloc(bytes);
    }
    struct pool_block *block = pool->free_blocks[class_index];
    if (block == NULL) {
        return malloc(class_bytes(class_index));
    }
    pool->free_blocks[class_index] = block->next;
    __builtin_prefetch(block->next, 1); /* whoever takes one block takes another */
    pool->kept_bytes -= class_bytes(class_index);
    return block;
}

void pool_return(struct pool *pool, void *block, size_t bytes)
{
    size_t class_index = class_for(bytes);
    if (class_index == POOL_CLASS_COUNT ||
        pool->kept_bytes + class_bytes(class_index) > pool->kept_max_bytes) {
        free(block);
        return;
    }
    struct pool_block *returned = block;
    returned->next = pool->free_blocks[class_index];
    pool->free_blocks[class_index] = returned;
    pool->kept_bytes += class_bytes(class_index);
}
