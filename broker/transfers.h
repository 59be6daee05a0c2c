/* The messages that wait for their outcome. A transfer is one message, a leg its way to one
 * session (not to be confused with a call's leg, which is a device). It is under way while a leg is
 * unanswered, or held (holds.h) while its user is away, or done; a done one waits to be taken with
 * transfers_first_done, and then closed or held. Its outcome is the best of its legs': delivered to
 * one device is delivered.
 *
 * Transfers keep their payload, so that one that comes back from a session that has gone can wait
 * for its user. legs_max for each slot and kept_max_bytes for all bound the memory. */
#pragma once

#include "broker/calls.h"
#include "common/outcome.h"
#include "common/pool.h"

/* The source's own name for its message: a gateway's instance and its count. */
struct transfer_key {
    uint64_t source_instance_id;
    uint64_t seq;
};

struct transfer_leg {
    struct transfer_leg *next;
    struct session *session;
};

enum transfer_state { TRANSFER_UNDER_WAY, TRANSFER_HELD, TRANSFER_DONE, TRANSFER_STATE_COUNT };

struct transfer {
    struct map_node by_key;
    struct transfer_key key;
    struct transfer *prev; /* among those of its state, the one that came to it first in front */
    struct transfer *next;
    struct transfer *prev_held; /* while it is held: in its hold's queue */
    struct transfer *next_held;
    struct hold *hold;
    struct user *user;
    struct call *call;              /* NULL: it belongs to none */
    struct call_leg *call_leg;      /* it is for that device alone; NULL: for all it concerns */
    struct call_leg *missed;        /* the device that it came back from last; NULL: none */
    uint64_t number;                /* rises with each one that is sent; 0: a plain one that never
                                       was. Those of calls have one from the beginning */
    uint64_t expires_ms;            /* while it is under way: unconfirmed from then on */
    uint64_t deadline_ms;           /* not to be delivered from then on */
    struct transfer_leg *first_leg; /* the unanswered ones, in the order in which they were added */
    struct transfer_leg *last_leg;
    struct transfer_leg own_leg; /* most have just one */
    enum transfer_state state;
    enum outcome outcome; /* the best so far */
    uint32_t source_slot;
    uint32_t payload_len;
    bool is_repeat;
    bool is_awaited;     /* link_codec.h */
    uint8_t again_count; /* how often it was said again */
    bool is_accept;      /* of its call */
    bool is_last_word;   /* it ends its call, also for devices that are out of it by then */
    bool is_start;       /* the call-start of its call */
    bool has_copies;     /* to devices that it missed: what becomes of them is not its outcome */
    bool rings;          /* that, or one said again to a device that came later */
    uint8_t payload[];
};

struct transfer_list {
    struct transfer *first;
    struct transfer *last;
};

struct transfers {
    struct directory *directory;
    struct map by_key;
    struct pool pool; /* transfers, and legs beyond the first */
    struct transfer_list lists[TRANSFER_STATE_COUNT];
    size_t count; /* in any state */
    size_t kept_bytes;
    size_t kept_max_bytes;
    size_t legs_max;
    uint32_t slot_count;
    size_t *leg_counts; /* unanswered ones to each slot */
};

/* The source of what the broker says itself, or says again, or whose sender's gateway is not there:
 * nobody waits for an outcome. */
enum { TRANSFER_NO_SLOT = UINT32_MAX };

/* What a message is when it comes. */
struct transfer_start {
    struct transfer_key key;
    uint32_t source_slot;
    struct user *user;
    struct call *call;
    struct call_leg *call_leg;
    bool is_start;
    uint64_t deadline_ms;
    bool is_repeat;
    bool is_awaited;
    struct slice payload;
};

/* False: no memory. `directory` must outlive the transfers. */
MUST_CHECK bool transfers_init(struct transfers *all, struct directory *directory,
                               uint32_t slot_count, size_t legs_max, size_t kept_max_bytes);
/* Closes all transfers, held ones as well: the holds' queues must not be used any more. */
void transfers_fini(struct transfers *all);

/* NULL: unknown. */
struct transfer *transfers_find(const struct transfers *all, struct transfer_key key);

/* A new one, done as yet; copies the payload. Its key must be new.
 * NULL: too much is kept, or no memory. */
MUST_CHECK struct transfer *transfers_open(struct transfers *all,
                                           const struct transfer_start *start);
/* Forgets it. It may have legs, but must not be in a hold's queue. */
void transfers_close(struct transfers *all, struct transfer *transfer);

/* False: too many are under way to that slot, or no memory. */
MUST_CHECK bool transfers_add_leg(struct transfers *all, struct transfer *transfer,
                                  struct session *session);
/* Done, it is to be sent once more, for nobody who waits for its outcome. Whoever has had it knows
 * it for a repeat. */
void transfer_say_again(struct transfer *transfer);
/* The outcome of a leg that was never sent. */
void transfer_note(struct transfer *transfer, enum outcome outcome);
/* No more legs: it is under way, or done if it has none. `expires_ms` must not fall from one call
 * to the next. */
void transfers_send(struct transfers *all, struct transfer *transfer, uint64_t expires_ms);
/* It waits for its user. Only without legs. */
void transfers_hold(struct transfers *all, struct transfer *transfer);
/* It waits no longer, and is done. */
void transfers_unhold(struct transfers *all, struct transfer *transfer);

/* True: a leg can end so; the other outcomes are for senders alone. */
bool transfer_leg_can_end(enum outcome outcome);
/* The session that one of the unanswered legs goes to. NULL: no leg goes there. */
const struct session *transfers_session_of_leg(const struct transfer *transfer, uint32_t slot,
                                               uint64_t session_id);
/* The answer of the gateway on `slot`. Ignored where no such leg waits: its time was over. */
void transfers_answer(struct transfers *all, struct transfer *transfer, uint32_t slot,
                      uint64_t session_id, enum outcome outcome);
/* Those under way whose time has come are unconfirmed, and done. */
void transfers_expire(struct transfers *all, uint64_t now_ms);
/* Legs to that slot are unconfirmed; plain transfers from it that are under way are closed, those
 * of calls go on without it. None may be done. */
void transfers_end_slot(struct transfers *all, uint32_t slot);

/* NULL: none is. */
struct transfer *transfers_first_done(const struct transfers *all);
struct transfer *transfers_first_held(const struct transfers *all);
/* Unanswered legs to that slot. */
size_t transfers_leg_count(const struct transfers *all, uint32_t slot);

static inline struct slice transfer_payload(const struct transfer *transfer)
{
    return slice_of(transfer->payload, transfer->payload_len);
}

/* What it counts for in kept_bytes. */
static inline size_t transfer_memory(const struct transfer *transfer)
{
    return sizeof *transfer + transfer->payload_len;
}
