/* Messages that wait for a user, or for one device that has a part in a call. A hold begins when a
 * user's last session goes (it is away: a moment ago it was connected, and may be back in a
 * moment), or when another of its sessions goes while messages are under way to it (it settles:
 * they may come back, and must not be overtaken). A call's leg has a hold of its own from when its
 * device goes. What is for somebody with a hold is queued in it, in the order in which it was
 * submitted.
 *
 * Away, a hold ends when its time is over: its messages find nobody. Once the user is back it
 * settles until no leg to a session that has left is unanswered, or HOLDS_SETTLE_MS are over; then
 * its messages are sent on. users_max and messages_max bound it, with transfers' kept_max_bytes. */
#pragma once

#include "broker/transfers.h"

/* Many round trips; a gateway that takes longer to say what became of its deliveries stands still.
 */
enum { HOLDS_SETTLE_MS = 250 };

enum hold_state { HOLD_AWAY, HOLD_LEG_AWAY, HOLD_SETTLING, HOLD_STATE_COUNT };

struct hold {
    struct hold *prev; /* among those of its state, in the order in which they end */
    struct hold *next;
    struct user *user;
    struct call_leg *leg;   /* NULL: it is the user's own */
    struct transfer *first; /* the queue */
    struct transfer *last;
    uint64_t ends_ms;
    size_t count; /* in the queue */
    enum hold_state state;
};

struct hold_list {
    struct hold *first;
    struct hold *last;
};

struct holds {
    struct transfers *transfers;
    uint64_t times_ms[HOLD_STATE_COUNT]; /* how long each lasts; 0: there are none */
    size_t users_max;                    /* holds at a time; who leaves beyond is offline at once */
    size_t messages_max;                 /* in one hold */
    size_t count;
    size_t bytes; /* of the messages in all holds */
    struct hold_list lists[HOLD_STATE_COUNT];
};

struct holds_config {
    uint64_t away_ms;     /* for a user; 0: not at all */
    uint64_t leg_away_ms; /* for a call's leg; 0: not at all */
    size_t users_max;
    size_t messages_max;
};

void holds_init(struct holds *all, struct transfers *transfers, const struct holds_config *config);
/* Frees the holds; the transfers in them are left to transfers_fini. */
void holds_fini(struct holds *all);

/* Begins a hold, or brings the user's hold into that state. Without memory, beyond users_max, or
 * with away_ms 0 the user has none. */
void holds_begin(struct holds *all, struct user *user, enum hold_state state, uint64_t now_ms);
/* The same for a call's leg. */
void holds_begin_for_leg(struct holds *all, struct call_leg *leg, enum hold_state state,
                         uint64_t now_ms);
/* Ends a hold, whose queue must be empty. */
void holds_end(struct holds *all, struct hold *hold);

/* All holds together take at most one part in so many of what transfers may keep, so that messages
 * to users who are there always find room. */
enum { HOLDS_SHARE_DIVISOR = 2 };

/* Puts a done transfer into a hold. False: it is full, or all together are. */
MUST_CHECK bool holds_add(struct holds *all, struct hold *hold, struct transfer *transfer);
/* Takes the first transfer out, which is done then. NULL: the queue is empty. */
struct transfer *holds_take(struct holds *all, struct hold *hold);
/* Closes the plain transfers from that slot; those of calls go on without it. */
void holds_end_slot(struct holds *all, uint32_t slot);

/* The hold in that state that ends first. NULL: none. */
struct hold *holds_first(const struct holds *all, enum hold_state state);
/* The same, if its time is over. */
struct hold *holds_first_over(const struct holds *all, enum hold_state state, uint64_t now_ms);
