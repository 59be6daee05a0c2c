/* What the broker decides, without any I/O: it takes records that gateways sent and appends
 * records to the outbound buffers of gateways. It owns the directory (userId -> sessions) and the
 * transfers: messages handed to a gateway whose outcome is not yet known.
 *
 * Promises:
 * - each submit is answered by exactly one submit outcome, unless its own gateway's link goes down
 *   first (then nobody is left to hear it);
 * - messages of one sender to one session leave in the order in which they were submitted;
 * - a session is in the directory from its attach until its detach, its eviction or the end of its
 *   gateway's link, and only then; a late detach hits nobody else, since ids are never reused;
 * - of two sessions with the same userId and deviceId the one with the later since_ms (on a tie the
 *   one that attached later) stays, and the other is evicted with 4501;
 * - transfers_max and the outbound buffers' maxima bound all memory besides the directory. */
#pragma once

#include "common/buffer.h"

struct router;

struct router_config {
    uint32_t slot_count;
    uint64_t instance_id;
    uint64_t devices_max;         /* sessions a user; a further one evicts the oldest with 4501 */
    size_t transfers_max;         /* deliveries under way per gateway; beyond: overloaded */
    uint64_t transfer_timeout_ms; /* a transfer is answered `unconfirmed` after this */
    uint8_t hash_key[16];
};

/* For tests, logs and health: plain counts. */
struct router_stats {
    size_t users;
    size_t sessions;
    size_t transfers;
    uint64_t submits;
    uint64_t delivers;
};

/* NULL: no memory. */
struct router *router_new(const struct router_config *config);
void router_free(struct router *router);

/* A connection on `slot` begins: `out`, owned by the caller and valid until router_link_down, is
 * where records for that gateway go. Nothing is written before its hello. */
void router_link_up(struct router *router, uint32_t slot, struct buffer *out);

/* The connection is over: forgets the gateway's sessions at once, answers `unconfirmed` to the
 * senders of what was under way to it. */
void router_link_down(struct router *router, uint32_t slot);

/* A batch from the gateway on `slot`. False: a record was malformed or out of order; what stood
 * before it took effect; the caller ends the link. */
MUST_CHECK bool router_receive(struct router *router, uint32_t slot, struct slice batch,
                               uint64_t now_ms);

/* Answers the transfers whose time is over. Call about every 100 ms. */
void router_tick(struct router *router, uint64_t now_ms);

/* True: a record that the gateway on `slot` must have did not fit; the caller ends its link. */
bool router_slot_is_stuck(const struct router *router, uint32_t slot);
/* True: the gateway on `slot` has said hello and was welcomed. */
bool router_slot_is_greeted(const struct router *router, uint32_t slot);
struct router_stats router_stats(const struct router *router);
