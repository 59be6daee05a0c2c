#include "broker/leg_state.h"

#include "common/identity.h"

#include <assert.h>

enum { VERSION = 1, FLAG_CALLERS = 1, FLAG_ANSWERED = 2, FLAGS_END = 4, WORD_BYTES = 8 };

static_assert(2 + 4 * WORD_BYTES + 2 * (1 + USER_ID_MAX_BYTES) + 2 * (1 + DEVICE_ID_MAX_BYTES) <=
                  LINK_LEG_STATE_MAX_BYTES,
              "a leg fits into its record");

void leg_state_of(const struct call_leg *leg, struct leg_state *state)
{
    const struct call *call = leg->call;
    *state = (struct leg_state){
        .is_callers = call_is_callers(leg),
        .is_answered = call->answered != NULL,
        .start_ms = call->start_ms,
        .ring_ends_ms = call->due_ms,
        .answered_ms = call->answered_ms,
        .last_move = leg->last_move,
        .caller = slice_of(call->caller->user->id, call->caller->user->id_len),
        .caller_device = call_leg_device_id(call->caller),
        .callee = slice_of(call->callee->id, call->callee->id_len),
    };
    if (call->answered != NULL) {
        state->answered_device = call_leg_device_id(call->answered);
    }
}

static void put_text(struct buffer *out, struct slice text)
{
    buffer_put_u8(out, (uint8_t)text.len);
    buffer_put(out, text);
}

void leg_state_put(struct buffer *out, const struct leg_state *state)
{
    buffer_put_u8(out, VERSION);
    buffer_put_u8(out, (uint8_t)((state->is_callers ? FLAG_CALLERS : 0) |
                                 (state->is_answered ? FLAG_ANSWERED : 0)));
    buffer_put_u64(out, state->start_ms);
    buffer_put_u64(out, state->ring_ends_ms);
    buffer_put_u64(out, state->answered_ms);
    buffer_put_u64(out, state->last_move);
    put_text(out, state->caller);
    put_text(out, state->caller_device);
    put_text(out, state->callee);
    put_text(out, state->answered_device);
}

static bool take_byte(struct slice *bytes, uint8_t *byte)
{
    if (bytes->len == 0) {
        return false;
    }
    *byte = bytes->data[0];
    *bytes = slice_drop(*bytes, 1);
    return true;
}

static bool take_word(struct slice *bytes, uint64_t *word)
{
    if (bytes->len < WORD_BYTES) {
        return false;
    }
    *word = 0;
    for (size_t i = 0; i < WORD_BYTES; i++) {
        *word |= (uint64_t)bytes->data[i] << (8 * i);
    }
    *bytes = slice_drop(*bytes, WORD_BYTES);
    return true;
}

static bool take_text(struct slice *bytes, struct slice *text, size_t min_bytes, size_t max_bytes)
{
    uint8_t len = 0;
    if (!take_byte(bytes, &len) || len < min_bytes || len > max_bytes || len > bytes->len) {
        return false;
    }
    *text = slice_of(bytes->data, len);
    *bytes = slice_drop(*bytes, len);
    return true;
}

enum parse_result leg_state_parse(struct slice bytes, struct leg_state *state)
{
    uint8_t version = 0;
    uint8_t flags = 0;
    *state = (struct leg_state){0};
    bool is_good = take_byte(&bytes, &version) && version == VERSION && take_byte(&bytes, &flags) &&
                   flags < FLAGS_END && take_word(&bytes, &state->start_ms) &&
                   take_word(&bytes, &state->ring_ends_ms) &&
                   take_word(&bytes, &state->answered_ms) && take_word(&bytes, &state->last_move) &&
                   take_text(&bytes, &state->caller, 1, USER_ID_MAX_BYTES) &&
                   take_text(&bytes, &state->caller_device, 0, DEVICE_ID_MAX_BYTES) &&
                   take_text(&bytes, &state->callee, 1, USER_ID_MAX_BYTES) &&
                   take_text(&bytes, &state->answered_device, 0, DEVICE_ID_MAX_BYTES) &&
                   bytes.len == 0;
    state->is_callers = (flags & FLAG_CALLERS) != 0;
    state->is_answered = (flags & FLAG_ANSWERED) != 0;
    return is_good ? PARSE_DONE : PARSE_BAD;
}
