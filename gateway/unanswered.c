#include "gateway/unanswered.h"

#include "common/link_codec.h"

#include <assert.h>
#include <stdlib.h>

enum {
    RING_FIRST_CAP = 1024,
    POOL_KEPT_MAX_BYTES = 1024 * 1024,
};

bool unanswered_init(struct unanswered *all, size_t max_bytes)
{
    *all = (struct unanswered){
        .ring = calloc(RING_FIRST_CAP, sizeof(struct unanswered_message *)),
        .ring_cap = RING_FIRST_CAP,
        .oldest_seq = 1,
        .next_seq = 1,
        .max_bytes = max_bytes,
    };
    pool_init(&all->pool, POOL_KEPT_MAX_BYTES);
    return all->ring != NULL;
}

static struct unanswered_message **place_of(const struct unanswered *all, uint64_t seq)
{
    return &all->ring[seq & (all->ring_cap - 1)];
}

static size_t memory_of(const struct unanswered_message *message)
{
    return sizeof *message + unanswered_record_offset(message) + message->record_len;
}

void unanswered_fini(struct unanswered *all)
{
    struct unanswered_message *message = NULL;
    while ((message = unanswered_next(all, all->oldest_seq)) != NULL) {
        unanswered_remove(all, message);
    }
    pool_fini(&all->pool);
    free(all->ring);
    all->ring = NULL;
}

/* Doubles the ring, or brings it back to its first size when it is empty. False: no memory. */
static bool resize_ring(struct unanswered *all, size_t cap)
{
    struct unanswered_message **ring = calloc(cap, sizeof(struct unanswered_message *));
    if (ring == NULL) {
        return false;
    }
    for (uint64_t seq = all->oldest_seq; seq < all->next_seq; seq++) {
        ring[seq & (cap - 1)] = *place_of(all, seq);
    }
    free(all->ring);
    all->ring = ring;
    all->ring_cap = cap;
    return true;
}

static uint8_t *put_bytes(uint8_t *at, struct slice bytes)
{
    if (bytes.len > 0) {
        memcpy(at, bytes.data, bytes.len);
    }
    return at + bytes.len;
}

struct unanswered_message *unanswered_add(struct unanswered *all, struct slice id, struct slice to,
                                          struct slice call_id, struct slice record)
{
    size_t bytes = sizeof(struct unanswered_message) + id.len + to.len + call_id.len + record.len;
    if (bytes > all->max_bytes - all->bytes) {
        return NULL;
    }
    if (all->next_seq - all->oldest_seq == all->ring_cap && !resize_ring(all, all->ring_cap * 2)) {
        return NULL;
    }
    struct unanswered_message *message = pool_take(&all->pool, bytes);
    if (message == NULL) {
        return NULL;
    }
    *message = (struct unanswered_message){
        .seq = all->next_seq,
        .record_len = (uint32_t)record.len,
        .id_len = (uint16_t)id.len,
        .to_len = (uint8_t)to.len,
        .call_id_len = (uint8_t)call_id.len,
    };
    uint8_t *at = put_bytes(message->bytes, id);
    at = put_bytes(at, to);
    at = put_bytes(at, call_id);
    put_bytes(at, record);
    *place_of(all, message->seq) = message;
    all->next_seq++;
    all->bytes += bytes;
    return message;
}

struct unanswered_message *unanswered_find(const struct unanswered *all, uint64_t seq)
{
    return seq >= all->oldest_seq && seq < all->next_seq ? *place_of(all, seq) : NULL;
}

struct unanswered_message *unanswered_next(const struct unanswered *all, uint64_t seq)
{
    for (uint64_t at = seq > all->oldest_seq ? seq : all->oldest_seq; at < all->next_seq; at++) {
        if (*place_of(all, at) != NULL) {
            return *place_of(all, at);
        }
    }
    return NULL;
}

void unanswered_set_repeat(struct unanswered_message *message)
{
    message->is_repeat = true;
    link_submit_set_repeat(message->bytes + unanswered_record_offset(message), message->record_len);
}

void unanswered_remove(struct unanswered *all, struct unanswered_message *message)
{
    assert(unanswered_find(all, message->seq) == message);
    *place_of(all, message->seq) = NULL;
    while (all->oldest_seq < all->next_seq && *place_of(all, all->oldest_seq) == NULL) {
        all->oldest_seq++;
    }
    size_t bytes = memory_of(message);
    all->bytes -= bytes;
    pool_return(&all->pool, message, bytes);
    if (all->oldest_seq == all->next_seq && all->ring_cap > RING_FIRST_CAP) {
        /* Without memory for a smaller ring the large one serves as well. */
        bool is_small = resize_ring(all, RING_FIRST_CAP);
        (void)is_small;
    }
}
