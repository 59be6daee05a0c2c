/* Receipts for payloads that are in a client's outbound queue: a payload's outcome is known when
 * the bytes up to its end have gone to the socket, or never will. One queue a session, in stream
 * order; the receipts come from a pool that all share. */
#pragma once

#include "common/compiler.h"
#include "common/slice.h"

struct receipt {
    struct receipt *next;
    uint64_t end_bytes; /* position in the client's stream behind the payload's frame */
    uint64_t source_instance_id;
    uint64_t seq;
};

struct receipt_queue {
    struct receipt *first;
    struct receipt *last;
};

struct receipt_pool {
    struct receipt *spare;
    size_t spare_count;
};

/* NULL: no memory. */
struct receipt *receipt_take(struct receipt_pool *pool);
void receipt_return(struct receipt_pool *pool, struct receipt *receipt);
void receipt_pool_fini(struct receipt_pool *pool);

void receipt_queue_push(struct receipt_queue *queue, struct receipt *receipt);
/* The queue must not be empty. */
struct receipt *receipt_queue_pop(struct receipt_queue *queue);
/* Frees what is left in it. */
void receipt_queue_fini(struct receipt_queue *queue);
