/* The calls of a run, as each device that has a part in one sees it: what it was told, what it has
 * said and has no outcome of. A device behaves as PROTOCOL.md asks of a client; it keeps its view
 * when its connection is lost, and says again what had no outcome when it is back. It says at once
 * when a call breaks a promise:
 * - a call is answered by one device at most: no other is told so, and the caller hears no other
 *   accept;
 * - a ring has an end: the device is told of it, and does not have to look at its own clock;
 * - what is said in a call goes to the other end, and once it is answered to that device alone;
 * - an answered device gets no cancel, a device that leaves a call alone ends it for no other, and
 *   what is said again is not refused for that;
 * - a broker records each call it had once. */
#pragma once

#include "broker/router.h"
#include "tests/sim/client.h"

struct sim_world;

enum {
    SIM_RING_MS = 5000,
    SIM_GRACE_MS = 2000,
    SIM_CALLS_MAX = 64,
    SIM_PARTS = 1 + SIM_DEVICES, /* the caller's, then those of the callee's devices */
    SIM_PENDING_MAX = 4,
};

enum sim_view {
    SIM_VIEW_NONE, /* it has not heard of it */
    SIM_VIEW_CALLING,
    SIM_VIEW_RINGING,
    SIM_VIEW_ANSWERED,
    SIM_VIEW_ENDED,
    SIM_VIEW_COUNT
};

struct sim_part {
    enum sim_view view;
    bool says_again;         /* what is pending, as soon as it can */
    bool hangs_up;           /* as soon as it can */
    bool asks;               /* whether the call is still there */
    uint64_t rings_until_ms; /* or calls */
    uint32_t rings_at;       /* the client that was told to ring, or that its call rings */
    uint32_t rings_for;      /* the count of brokers by then */
    uint32_t tries;
    uint32_t pending_count;
    uint32_t pending[SIM_PENDING_MAX]; /* what it has said and has no outcome of, in order */
};

struct sim_call {
    uint32_t caller; /* the device: its place among world->devices */
    uint32_t callee; /* the user */
    struct sim_part parts[SIM_PARTS];
    uint32_t told_for;   /* the count of brokers by then */
    uint32_t cancel_for; /* the same, when a cancel was called delivered; 0: none was */
    uint32_t told_part;  /* whose accept was called delivered; SIM_PARTS: none */
    uint32_t accept;     /* the one that the caller got; sim_no_message: none */
    uint32_t accept_for; /* the count of brokers by then */
    bool is_cancelled;   /* by the caller, in times when that may have come too late */
    bool is_given_up;    /* by somebody, perhaps before others heard of it */
    bool is_left_by_all; /* somebody has rejected it for all of the callee's devices */
    /* What the broker makes of it. */
    bool is_open;            /* it has it, and it has not ended */
    uint32_t answered_part;  /* SIM_PARTS: none */
    uint64_t answered_event; /* when it was */
    uint64_t known_ms;       /* when somebody last made it known to the broker */
};

struct sim_calls {
    uint32_t count;
    uint32_t open_count;
    uint32_t first_live; /* no call before it is alive in any view */
    struct sim_call all[SIM_CALLS_MAX];
};

void sim_calls_init(struct sim_calls *calls);

/* Which part in the call that device has. SIM_PARTS: none. */
uint32_t sim_call_part_of(const struct sim_call *call, uint32_t place);
/* The device that has that part. */
uint32_t sim_call_place(const struct sim_call *call, uint32_t part);
/* The call whose name that is. sim_no_call: no call's. */
uint32_t sim_calls_find(const struct sim_calls *calls, struct slice call_id);

/* The client begins a call. */
void sim_calls_start(struct sim_world *world, struct sim_client *client, uint32_t user);
/* The device with that part does what its view allows, or anything. */
void sim_calls_move(struct sim_world *world, uint32_t number, uint32_t part_no);
/* It says that, if it can. */
void sim_calls_say(struct sim_world *world, uint32_t call, uint32_t part, enum call_type type);
/* True: the message is for any device of its user, and nobody has taken it back. */
bool sim_calls_must_find(const struct sim_world *world, const struct sim_message *message);
/* What devices have to say without being asked, and rings that are over. */
void sim_calls_step(struct sim_world *world);

/* True: the payload is the server's own word, and that one. */
MUST_CHECK bool sim_calls_read_notice(const struct sim_calls *calls, struct slice payload,
                                      struct sim_word *word);
/* A payload of a call was put into the client's stream. */
void sim_calls_delivered(struct sim_world *world, const struct sim_client *client,
                         const struct sim_word *word);
/* The client has read what a frame says. */
void sim_calls_hear(struct sim_world *world, const struct sim_client *client,
                    const struct sim_word *word);
/* The client is let in. */
void sim_calls_come(struct sim_world *world, const struct sim_client *client);

/* The broker says that a call has ended. */
void sim_calls_report(struct sim_world *world, const struct call_report *report);
/* It has died. */
void sim_calls_forget(struct sim_calls *calls);
/* The device, whose part that is, is there, and can say something. */
bool sim_calls_can_speak(const struct sim_world *world, uint32_t call, uint32_t part);
