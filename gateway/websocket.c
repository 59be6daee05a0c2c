#include "gateway/websocket.h"

#include "gateway/frame_head.h"
#include "gateway/websocket_receiver.h"

#include <assert.h>
#include <stdlib.h>

enum {
    IDLE_MAX = 64, /* receivers that a pool keeps; further ones are freed when they come back */
    CLOSE_REASON_MAX_BYTES = 123,
};

struct websocket_pool {
    struct websocket_config config;
    const struct websocket_handlers *handlers;
    size_t lent_count;
    size_t idle_count;
    struct websocket_receiver *idle[IDLE_MAX]; /* the last one in is the first one out */
};

/* NULL: no memory. */
static struct websocket_receiver *lend(struct websocket_pool *pool)
{
    struct websocket_receiver *receiver =
        pool->idle_count > 0 ? pool->idle[--pool->idle_count]
                             : websocket_receiver_new(&pool->config, pool->handlers);
    pool->lent_count += receiver != NULL ? 1 : 0;
    return receiver;
}

static void take_back(struct websocket_pool *pool, struct websocket_receiver *receiver)
{
    assert(pool->lent_count > 0);
    pool->lent_count--;
    if (websocket_receiver_reset(receiver) && pool->idle_count < IDLE_MAX) {
        pool->idle[pool->idle_count++] = receiver;
    } else {
        websocket_receiver_free(receiver);
    }
}

struct websocket_pool *websocket_pool_new(const struct websocket_config *config,
                                          const struct websocket_handlers *handlers)
{
    struct websocket_pool *pool = calloc(1, sizeof *pool);
    if (pool != NULL) {
        pool->config = *config;
        pool->handlers = handlers;
    }
    return pool;
}

void websocket_pool_free(struct websocket_pool *pool)
{
    assert(pool->lent_count == 0);
    for (size_t i = 0; i < pool->idle_count; i++) {
        websocket_receiver_free(pool->idle[i]);
    }
    free(pool);
}

size_t websocket_pool_lent(const struct websocket_pool *pool)
{
    return pool->lent_count;
}

enum websocket_status websocket_receive(struct websocket_pool *pool,
                                        struct websocket_receiver **receiver, struct slice bytes,
                                        void *owner, uint16_t *close_code)
{
    if (bytes.len == 0) {
        return WEBSOCKET_OPEN;
    }
    struct websocket_receiver *own = *receiver != NULL ? *receiver : lend(pool);
    if (own == NULL) {
        *close_code = CLOSE_INTERNAL_ERROR;
        return WEBSOCKET_FAILED;
    }
    /* A handler that ends its connection may call websocket_release: there is nothing for it. */
    *receiver = NULL;
    enum websocket_status status = websocket_receiver_feed(own, bytes, owner, close_code);
    if (status == WEBSOCKET_OPEN && !websocket_receiver_is_idle(own)) {
        *receiver = own;
    } else {
        take_back(pool, own);
    }
    return status;
}

void websocket_release(struct websocket_pool *pool, struct websocket_receiver **receiver)
{
    if (*receiver != NULL) {
        take_back(pool, *receiver);
        *receiver = NULL;
    }
}

size_t websocket_frame_overhead(size_t payload_bytes)
{
    return frame_head_size(payload_bytes);
}

size_t websocket_frame_bytes(struct slice frames)
{
    assert(frames.len >= FRAME_HEAD_MIN_BYTES && frames.len >= frame_head_bytes(frames.data));
    return frame_head_bytes(frames.data) + (size_t)frame_head_payload_bytes(frames.data);
}

/* Makes room for a whole frame and writes its head. Where its payload goes, or NULL: it does not
 * fit. */
static uint8_t *begin_frame(struct buffer *out, enum websocket_opcode opcode, size_t payload_bytes)
{
    size_t head_bytes = frame_head_size(payload_bytes);
    uint8_t *head = buffer_reserve(out, head_bytes + payload_bytes);
    if (head == NULL) {
        return NULL;
    }
    frame_head_write(head, (uint8_t)opcode, payload_bytes);
    buffer_commit(out, head_bytes + payload_bytes);
    return head + head_bytes;
}

void websocket_put_frame(struct buffer *out, enum websocket_opcode opcode, struct slice payload)
{
    uint8_t *room = begin_frame(out, opcode, payload.len);
    if (room != NULL && payload.len > 0) {
        memcpy(room, payload.data, payload.len);
    }
}

void websocket_put_close(struct buffer *out, uint16_t code, const char *reason)
{
    if (code == CLOSE_NO_STATUS) {
        websocket_put_frame(out, WEBSOCKET_CLOSE, slice_of(NULL, 0));
        return;
    }
    struct slice text = slice_from_string(reason);
    assert(text.len <= CLOSE_REASON_MAX_BYTES);
    uint8_t *room = begin_frame(out, WEBSOCKET_CLOSE, sizeof code + text.len);
    if (room != NULL) {
        room[0] = (uint8_t)(code >> 8);
        room[1] = (uint8_t)code;
        memcpy(room + sizeof code, text.data, text.len);
    }
}
