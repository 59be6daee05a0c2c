/* The calls: who calls whom, how far it is, and which devices have a part in it. A call is the
 * server's one truth for all of them (terms of RFC 3261 and XEP-0353).
 *
 * A leg is one device's part: the caller's, and one for each device of the callee. Its device is
 * there (it has a session), or away (a hold keeps what is for it, holds.h), or out: the call went
 * on without it. What may be done, by whom and when, is a table (calls_judge); doing it is the
 * router's business (router_calls.c).
 *
 * A call that has ended is remembered for CALLS_ENDED_MS, so that its callId is not taken again and
 * a repeat of what ended it is known for one. calls_max and user_max bound all. */
#pragma once

#include "broker/directory.h"

enum {
    /* Longer than a leg without its device is kept, and than clients repeat messages. */
    CALLS_ENDED_MS = 30000,
    /* So many are remembered beyond a tick; of more, those that ended first are forgotten. */
    CALLS_ENDED_MAX = 16384,
};

enum call_state { CALL_CALLING, CALL_RINGING, CALL_ANSWERED, CALL_ENDED, CALL_STATE_COUNT };

/* How it ended, for the record. */
enum call_result {
    CALL_COMPLETED,
    CALL_CANCELLED,
    CALL_REJECTED,
    CALL_MISSED,      /* it rang until its time was over */
    CALL_OFFLINE,     /* nobody was there */
    CALL_UNREACHABLE, /* all of the callee's devices went while it rang */
    CALL_LOST,        /* a party went and did not come back */
    CALL_RESULT_COUNT
};

struct call_leg {
    struct map_node by_user; /* in the map only as its user's first */
    struct call_leg *next_of_user;
    struct call_leg *next_of_call; /* the callee's */
    struct call *call;
    struct user *user;
    struct hold *hold;           /* kept by holds.h; NULL: the device is there, or the leg is out */
    uint64_t handed_number;      /* of the last transfer that its device was handed in this call */
    uint64_t handed_to;          /* that session (call_mark); 0: none yet */
    uint64_t rung_by;            /* the call-start that made it ring (call_mark); 0: none has */
    uint64_t copied_instance_id; /* the last of another's messages that we said to it ourselves */
    uint64_t copied_seq;
    uint64_t last_move; /* the message_hash of what it did last (link_codec.h); 0: none */
    bool is_out;
    bool is_lost;   /* out since its device was away for too long, while it rang */
    bool is_listed; /* among its user's */
    uint8_t device_id_len;
    uint8_t device_id[];
};

struct call {
    struct map_node by_id;
    struct call *prev; /* among those that ring, are answered, have ended: in order of time */
    struct call *next;
    struct call_leg *caller;
    struct call_leg *callees;  /* the first of the callee's legs */
    struct call_leg *answered; /* NULL: nobody has accepted */
    struct user *callee;
    uint64_t start_ms;
    uint64_t answered_ms;
    uint64_t due_ms;        /* when ringing is, or was, over; ended: when it is forgotten */
    struct transfer *start; /* the call-start, while it waits for its outcome */
    uint8_t *payload;       /* of the call-start, while it rings: for devices that come meanwhile */
    uint32_t payload_len;
    uint64_t start_hash; /* the message_hash of the call-start; 0: it had no id, or a broker before
                            knew */
    uint32_t transfers;  /* that refer to it or to a leg of it */
    bool is_restored;    /* a broker before this one opened it */
    bool is_start_repeated; /* its sender does not hear of its outcome any more */
    bool is_accept_known;   /* the caller has the accept */
    bool is_rung_later;     /* a device that came while it rang was told of it */
    enum call_state state;
    uint8_t id_len;
    uint8_t id[];
};

struct call_list {
    struct call *first;
    struct call *last;
};

struct calls_config {
    size_t calls_max;
    size_t user_max; /* calls a user has a part in */
};

struct calls {
    struct calls_config config;
    struct directory *directory;
    struct map by_id;
    struct map legs_by_user;
    struct call_list ringing; /* the first one's time is over first */
    struct call_list answered;
    struct call_list ended;
    bool is_unsorted; /* those that ring: a broker's start restores them in any order */
    size_t count;     /* those that have not ended */
    size_t ended_count;
    size_t payload_bytes; /* of all that ring */
};

/* False: no memory. `directory` must outlive the calls. */
MUST_CHECK bool calls_init(struct calls *all, struct directory *directory,
                           const struct calls_config *config, const uint8_t hash_key[16]);
/* There must be no transfer to any call and no hold of any leg. */
void calls_fini(struct calls *all);

/* What begins one. */
struct call_start {
    struct slice call_id; /* new */
    struct user *caller;
    struct slice device_id; /* the caller's */
    struct user *callee;
    uint64_t start_ms;
    uint64_t ring_ends_ms;
    uint64_t message_hash;
    struct slice payload; /* copied; empty where a call is restored */
};

/* With the caller's leg. NULL: no memory. */
MUST_CHECK struct call *calls_open(struct calls *all, const struct call_start *start);
/* NULL: none. */
struct call *calls_find(const struct calls *all, struct slice call_id);
/* True: one more would be too many, in all or for that user. */
bool calls_are_too_many(const struct calls *all, const struct user *user);
/* The one in which `caller` calls `callee` and nobody has accepted yet. NULL: none. */
struct call *calls_find_ringing(const struct calls *all, const struct user *caller,
                                const struct user *callee);

/* One more leg of the callee's; its device has none in this call. NULL: no memory. */
MUST_CHECK struct call_leg *calls_add_leg(struct calls *all, struct call *call,
                                          struct slice device_id);
/* Whatever has become of it; NULL: the device has no part in the call. */
struct call_leg *calls_find_leg(const struct call *call, const struct user *user,
                                struct slice device_id);
/* The legs of a user that are not out, or for which something waits. A leg found may leave the list
 * before the next one is asked for, others may not. */
struct call_leg *calls_first_of_user(const struct calls *all, const struct user *user);
struct call_leg *calls_next_of_user(const struct call_leg *leg);
/* NULL: its device is not there. */
struct session *call_leg_session(const struct call_leg *leg);
struct slice call_leg_device_id(const struct call_leg *leg);
struct slice call_id(const struct call *call);
bool call_is_callers(const struct call_leg *leg);
/* Stands for a gateway's instance and a number of its own, a session's or a message's, in 8 bytes:
 * never 0, and as good as never the same for two. */
uint64_t call_mark(uint64_t instance_id, uint64_t number);
/* The user at the other end. */
struct user *call_peer_of(const struct call_leg *leg);
/* The first of the callee's legs that is not out. NULL: none is left. */
struct call_leg *call_first_callee(const struct call *call);
struct call_leg *call_next_callee(const struct call_leg *leg);
/* True: no other of the callee's is left. */
bool call_is_last_callee(const struct call_leg *leg);

/* The leg's hold has come or gone: whether it is among its user's is seen to. */
void calls_update_leg(struct calls *all, struct call_leg *leg);
/* The call goes on without it. */
void calls_drop_leg(struct calls *all, struct call_leg *leg);
/* The device of a lost one is back while it rings. */
void calls_take_leg_back(struct calls *all, struct call_leg *leg);

/* What the router is to do. */
enum call_action {
    CALL_REFUSE,
    CALL_RELAY,  /* to the other end */
    CALL_RING,   /* and the state is `ringing` */
    CALL_ANSWER, /* the leg wins */
    CALL_REJECT,
    CALL_CANCEL,
    CALL_HANG_UP,
};

struct call_ruling {
    enum call_action action;
    enum outcome refusal;
};

/* May whoever has this leg (NULL: a device without one; `is_callee`: of the callee) do this to the
 * call? Not for call-start. */
struct call_ruling calls_judge(const struct call *call, const struct call_leg *leg, bool is_callee,
                               enum call_type type);

/* The moves. */
void calls_set_ringing(struct call *call);
void calls_answer(struct calls *all, struct call *call, struct call_leg *leg, uint64_t now_ms);
/* All legs are out. */
void calls_end(struct calls *all, struct call *call, uint64_t now_ms);

/* The first that has rung for too long. NULL: none. */
struct call *calls_first_missed(struct calls *all, uint64_t now_ms);
/* Forgets those that ended long ago, or are too many. Here alone calls and legs are freed: whoever
 * goes through legs meanwhile need not fear for them. */
void calls_forget(struct calls *all, uint64_t now_ms);

/* calling, ringing, answered, ended. */
const char *call_state_name(enum call_state state);
const char *call_result_name(enum call_result result);
