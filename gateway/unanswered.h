/* The messages that this gateway has read and that have no outcome yet, by their seq.
 *
 * Seqs rise by one; the messages between the oldest unanswered and the newest stand in a ring, so
 * that finding one is an index and the order of deadlines is the order of seqs. */
#pragma once

#include "common/pool.h"
#include "common/slice.h"

/* One message. `bytes` holds its id (JSON text), its `to`, its callId, and its whole submit record.
 */
struct unanswered_message {
    uint64_t seq;
    uint64_t session_id; /* the sender's */
    uint64_t deadline_ms;
    uint32_t record_len;
    uint16_t id_len;
    uint8_t to_len;
    uint8_t call_id_len; /* 0: it belongs to no call */
    bool was_sent;       /* a broker may have had it */
    bool is_repeat;      /* on a connection that is over: its record says so */
    uint8_t bytes[];
};

struct unanswered {
    struct unanswered_message **ring; /* at seq modulo ring_cap; NULL: has been answered */
    size_t ring_cap;                  /* a power of two */
    uint64_t oldest_seq;              /* equals next_seq when there is none */
    uint64_t next_seq;                /* of the next message; starts at 1 */
    size_t bytes;                     /* memory of all messages together */
    size_t max_bytes;
    struct pool pool;
};

/* False: no memory. */
MUST_CHECK bool unanswered_init(struct unanswered *all, size_t max_bytes);
/* Frees the messages that are left. */
void unanswered_fini(struct unanswered *all);

/* A message with the seq `next_seq`, which moves on; the caller fills in the rest. NULL: max_bytes
 * would be exceeded or there is no memory; nothing has changed. */
struct unanswered_message *unanswered_add(struct unanswered *all, struct slice id, struct slice to,
                                          struct slice call_id, struct slice record);
/* NULL: unknown, or answered already. */
struct unanswered_message *unanswered_find(const struct unanswered *all, uint64_t seq);
/* The first one whose seq is at least `seq`; NULL: none. */
struct unanswered_message *unanswered_next(const struct unanswered *all, uint64_t seq);
/* The connection on which it was sent is over: it is to be submitted again, as a repeat. */
void unanswered_set_repeat(struct unanswered_message *message);
void unanswered_remove(struct unanswered *all, struct unanswered_message *message);

static inline struct slice unanswered_id(const struct unanswered_message *message)
{
    return slice_of(message->bytes, message->id_len);
}

static inline struct slice unanswered_to(const struct unanswered_message *message)
{
    return slice_of(message->bytes + message->id_len, message->to_len);
}

static inline struct slice unanswered_call_id(const struct unanswered_message *message)
{
    return slice_of(message->bytes + message->id_len + message->to_len, message->call_id_len);
}

/* Where the record stands in `bytes`. */
static inline size_t unanswered_record_offset(const struct unanswered_message *message)
{
    return (size_t)message->id_len + message->to_len + message->call_id_len;
}

static inline struct slice unanswered_record(const struct unanswered_message *message)
{
    return slice_of(message->bytes + unanswered_record_offset(message), message->record_len);
}
