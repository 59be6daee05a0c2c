/* What the broker decides, without any I/O: it takes records that gateways sent and appends
 * records to the outbound buffers of gateways. It owns the directory (userId -> sessions), the
 * transfers (messages handed to gateways whose outcome is not yet known) and the holds (messages
 * that wait for a user who was there a moment ago).
 *
 * Promises:
 * - each submit is answered by exactly one submit outcome, unless its own gateway's link goes down
 *   first (then it is submitted again, or nobody is left to hear it);
 * - messages of one sender to one session leave in the order in which they were submitted, those
 *   that had to wait or came back from a session that had gone included;
 * - a session is in the directory from its attach until its detach, its retirement, its eviction or
 *   the end of its gateway's link, and only then; a late detach hits nobody else, since ids are
 *   never reused;
 * - of two sessions with the same userId and deviceId the one with the later since_ms (on a tie the
 *   one that attached later) stays, and the other is evicted with 4501;
 * - a gateway is told to submit (LINK_READY) only once the directory is whole: all gateways have
 *   attached their sessions, or recovery_ms have passed since the broker's start. So nobody is
 *   called offline, and no device is left out, since its gateway is not back yet;
 * - a user whose last session has gone is not called offline for hold_ms;
 * - no message is delivered whose deadline has come;
 * - transfers_max, kept_max_bytes, hold_users_max, hold_messages_max and the outbound buffers'
 *   maxima bound all memory besides the directory. */
#pragma once

#include "common/buffer.h"

struct router;

/* A call that has ended, for the record. Slices are valid during the callback. */
struct call_report {
    struct slice call_id;
    struct slice caller;
    struct slice callee;
    struct slice device; /* the callee's that answered; empty: none, or its name is */
    struct slice reason; /* as the one who ended or refused it gave it; may be empty */
    const char *result;  /* completed, cancelled, rejected, missed, offline, unreachable,
                            connection-lost */
    uint64_t ring_ms;
    uint64_t talk_ms;
};

struct router_config {
    uint32_t slot_count;
    uint64_t instance_id;
    uint64_t devices_max;  /* sessions a user; a further one evicts the oldest with 4501 */
    size_t transfers_max;  /* deliveries under way per gateway; beyond: overloaded */
    size_t kept_max_bytes; /* messages without an outcome, all together; beyond: overloaded */
    uint64_t transfer_timeout_ms; /* a transfer is answered `unconfirmed` after this */
    uint64_t recovery_ms;
    uint64_t hold_ms;         /* 0: a user is offline at once */
    size_t hold_users_max;    /* holds at a time; who leaves beyond is offline at once */
    size_t hold_messages_max; /* messages that wait for one user; beyond: overloaded */
    uint64_t ring_ms;         /* how long a call may ring */
    uint64_t call_grace_ms;   /* how long a device in a call may be away */
    size_t calls_max;
    size_t calls_user_max;
    void (*on_call_ended)(void *arg, const struct call_report *report); /* may be NULL */
    void *arg;
    uint8_t hash_key[16]; /* random; of userIds and callIds */
};

/* For tests, logs and health: plain counts. */
struct router_stats {
    size_t users;
    size_t sessions;
    size_t transfers; /* those that are held included */
    size_t holds;
    size_t kept_bytes;
    size_t calls; /* that have not ended */
    size_t ended_calls;
    uint64_t submits;
    uint64_t delivers;
};

/* NULL: no memory. */
struct router *router_new(const struct router_config *config, uint64_t now_ms);
void router_free(struct router *router);

/* A connection on `slot` begins: `out`, owned by the caller and valid until router_link_down, is
 * where records for that gateway go. Nothing is written before its hello. */
void router_link_up(struct router *router, uint32_t slot, struct buffer *out);

/* The connection is over: forgets the gateway's sessions at once, answers `unconfirmed` to the
 * senders of what was under way to it. */
void router_link_down(struct router *router, uint32_t slot, uint64_t now_ms);

/* A batch from the gateway on `slot`. False: a record was malformed or out of order; what stood
 * before it took effect; the caller ends the link. */
MUST_CHECK bool router_receive(struct router *router, uint32_t slot, struct slice batch,
                               uint64_t now_ms);

/* Ends the transfers, the holds and the recovery whose time is over. Call about every 100 ms while
 * router_needs_tick. */
void router_tick(struct router *router, uint64_t now_ms);
bool router_needs_tick(const struct router *router);

/* True: gateways may still be missing, so none is told to submit. */
bool router_is_recovering(const struct router *router);

/* True: a record that the gateway on `slot` must have did not fit; the caller ends its link. */
bool router_slot_is_stuck(const struct router *router, uint32_t slot);
/* True, and not again until there is more: what has been put out for `slot` should leave at once.
 * What is there besides, good news that nobody awaits, may wait a little for company. */
bool router_take_urgency(struct router *router, uint32_t slot);
/* True: the gateway on `slot` has said hello and was welcomed. */
bool router_slot_is_greeted(const struct router *router, uint32_t slot);
struct router_stats router_stats(const struct router *router);
