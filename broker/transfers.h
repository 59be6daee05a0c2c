/* The messages that were handed to gateways and whose outcome is not yet known. A transfer is one
 * message, a leg its way to one session; a transfer is done when no leg is unanswered, and waits
 * then to be popped. Its outcome is the best of its legs': delivered to one device is delivered.
 *
 * A transfer is opened, given its legs, started; all between two pops, so that none without an
 * unanswered leg stays. Hence legs_max for each slot bounds the memory. */
#pragma once

#include "common/map.h"
#include "common/outcome.h"
#include "common/pool.h"

/* The source's own name for its message: a gateway's instance and its count. */
struct transfer_key {
    uint64_t source_instance_id;
    uint64_t seq;
};

struct transfer_leg {
    struct transfer_leg *next;
    uint64_t session_id;
    uint32_t slot;
};

struct transfer {
    struct map_node by_key;
    struct transfer_key key;
    struct transfer *prev;
    struct transfer *next;
    uint64_t deadline_ms;
    struct transfer_leg *first_leg; /* the unanswered ones, in the order in which they were added */
    struct transfer_leg *last_leg;
    struct transfer_leg own_leg; /* most have just one */
    uint32_t source_slot;
    enum outcome outcome; /* the best so far */
};

struct transfer_list {
    struct transfer *first;
    struct transfer *last;
};

struct transfers {
    struct map by_key;
    struct pool pool;               /* transfers, and legs beyond the first */
    struct transfer_list under_way; /* the oldest first */
    struct transfer_list done;
    size_t count; /* on both lists */
    size_t legs_max;
    uint32_t slot_count;
    size_t *leg_counts; /* unanswered ones to each slot */
};

struct transfer_result {
    uint32_t source_slot;
    uint64_t seq;
    enum outcome outcome;
};

/* False: no memory. */
MUST_CHECK bool transfers_init(struct transfers *all, uint32_t slot_count, size_t legs_max,
                               const uint8_t hash_key[16]);
void transfers_fini(struct transfers *all);

/* Deadlines must not fall from one to the next, and `key` must not be under way.
 * NULL: no memory. */
MUST_CHECK struct transfer *transfers_open(struct transfers *all, uint32_t source_slot,
                                           struct transfer_key key, uint64_t deadline_ms);
/* False: too many are under way to that slot, or no memory. */
MUST_CHECK bool transfers_add_leg(struct transfers *all, struct transfer *transfer, uint32_t slot,
                                  uint64_t session_id);
/* The outcome of a leg that was never sent. */
void transfer_note(struct transfer *transfer, enum outcome outcome);
/* No more legs: from now on it is done as soon as all are answered. */
void transfers_start(struct transfers *all, struct transfer *transfer);

/* True: a leg can end so; the other outcomes are for senders alone. */
bool transfer_leg_can_end(enum outcome outcome);
/* The answer of the gateway on `slot`. Ignored where no such leg waits: its time was over. */
void transfers_answer(struct transfers *all, struct transfer_key key, uint32_t slot,
                      uint64_t session_id, enum outcome outcome);
/* Legs whose transfer's deadline has come are unconfirmed. */
void transfers_expire(struct transfers *all, uint64_t now_ms);
/* Legs to that slot are unconfirmed; transfers from it are forgotten. */
void transfers_end_slot(struct transfers *all, uint32_t slot);

/* Takes the transfer that was done first. False: none is. */
MUST_CHECK bool transfers_pop_done(struct transfers *all, struct transfer_result *result);
