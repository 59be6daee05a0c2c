#include "gateway/receipts.h"

#include <stdlib.h>

enum { SPARE_MAX = 4096 };

struct receipt *receipt_take(struct receipt_pool *pool)
{
    struct receipt *receipt = pool->spare;
    if (receipt == NULL) {
        return calloc(1, sizeof *receipt);
    }
    pool->spare = receipt->next;
    pool->spare_count--;
    receipt->next = NULL;
    return receipt;
}

void receipt_return(struct receipt_pool *pool, struct receipt *receipt)
{
    if (pool->spare_count == SPARE_MAX) {
        free(receipt);
        return;
    }
    receipt->next = pool->spare;
    pool->spare = receipt;
    pool->spare_count++;
}

static void free_chain(struct receipt *receipt)
{
    while (receipt != NULL) {
        struct receipt *next = receipt->next;
        free(receipt);
        receipt = next;
    }
}

void receipt_pool_fini(struct receipt_pool *pool)
{
    free_chain(pool->spare);
    *pool = (struct receipt_pool){0};
}

void receipt_queue_push(struct receipt_queue *queue, struct receipt *receipt)
{
    receipt->next = NULL;
    if (queue->last != NULL) {
        queue->last->next = receipt;
    } else {
        queue->first = receipt;
    }
    queue->last = receipt;
}

struct receipt *receipt_queue_pop(struct receipt_queue *queue)
{
    struct receipt *receipt = queue->first;
    queue->first = receipt->next;
    if (queue->first == NULL) {
        queue->last = NULL;
    }
    return receipt;
}

void receipt_queue_fini(struct receipt_queue *queue)
{
    free_chain(queue->first);
    *queue = (struct receipt_queue){0};
}
