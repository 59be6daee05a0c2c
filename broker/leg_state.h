/* A leg as the broker tells it to the gateway of its device, so that the next broker can restore
 * the call from any one of its legs: to bytes and back. Gateways keep the bytes and do not look
 * into them. Layout: version (u8), flags (u8), start_ms, ring_ends_ms, answered_ms, last_move (u64
 * each), caller, its device, callee, the device that answered (length (u8) and bytes each);
 * little-endian. */
#pragma once

#include "broker/calls.h"
#include "common/parse.h"

struct leg_state {
    bool is_callers; /* the leg is the caller's */
    bool is_answered;
    uint64_t start_ms; /* CLOCK_MONOTONIC, as all times */
    uint64_t ring_ends_ms;
    uint64_t answered_ms;
    uint64_t last_move;
    struct slice caller; /* 1 to USER_ID_MAX_BYTES */
    struct slice caller_device;
    struct slice callee;          /* 1 to USER_ID_MAX_BYTES */
    struct slice answered_device; /* if it is answered */
};

void leg_state_of(const struct call_leg *leg, struct leg_state *state);
void leg_state_put(struct buffer *out, const struct leg_state *state);
/* PARSE_DONE or PARSE_BAD; slices point into `bytes`. */
enum parse_result leg_state_parse(struct slice bytes, struct leg_state *state);
