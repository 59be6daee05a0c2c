#include "common/utf8.h"

#include "common/compiler.h"

/* What may follow a first byte: how many continuation bytes, and the bounds of the next of them,
 * which is where overlong forms, surrogates and what is above U+10FFFF are told apart. */
struct lead_row {
    uint8_t first;
    uint8_t last;
    struct utf8_state then;
};

enum { CONTINUATION_LOW = 0x80, CONTINUATION_HIGH = 0xbf };

/* RFC 3629, section 4, in rising order. */
static const struct lead_row lead_rows[] = {
    {0xc2, 0xdf, {1, CONTINUATION_LOW, CONTINUATION_HIGH}},
    {0xe0, 0xe0, {2, 0xa0, CONTINUATION_HIGH}},
    {0xe1, 0xec, {2, CONTINUATION_LOW, CONTINUATION_HIGH}},
    {0xed, 0xed, {2, CONTINUATION_LOW, 0x9f}},
    {0xee, 0xef, {2, CONTINUATION_LOW, CONTINUATION_HIGH}},
    {0xf0, 0xf0, {3, 0x90, CONTINUATION_HIGH}},
    {0xf1, 0xf3, {3, CONTINUATION_LOW, CONTINUATION_HIGH}},
    {0xf4, 0xf4, {3, CONTINUATION_LOW, 0x8f}},
};

/* How many bytes at the front of `text` are ASCII; most texts are, so eight are looked at at a
 * time. */
static size_t ascii_prefix_bytes(struct slice text)
{
    static const uint64_t high_bits = UINT64_C(0x8080808080808080);
    size_t count = 0;
    uint64_t word;
    for (; text.len - count >= sizeof word; count += sizeof word) {
        memcpy(&word, text.data + count, sizeof word);
        if ((word & high_bits) != 0) {
            break;
        }
    }
    while (count < text.len && text.data[count] < 0x80) {
        count++;
    }
    return count;
}

/* False: no sequence begins with this byte, which is not ASCII. */
static bool begin_sequence(struct utf8_state *state, uint8_t byte)
{
    for (size_t i = 0; i < ARRAY_LENGTH(lead_rows); i++) {
        if (byte <= lead_rows[i].last) {
            *state = lead_rows[i].then;
            return byte >= lead_rows[i].first;
        }
    }
    return false;
}

static bool continue_sequence(struct utf8_state *state, uint8_t byte)
{
    if (byte < state->low || byte > state->high) {
        return false;
    }
    *state =
        (struct utf8_state){(uint8_t)(state->pending - 1), CONTINUATION_LOW, CONTINUATION_HIGH};
    return true;
}

bool utf8_feed(struct utf8_state *state, struct slice piece)
{
    while (piece.len > 0) {
        size_t taken = 1;
        if (state->pending > 0) {
            if (!continue_sequence(state, piece.data[0])) {
                return false;
            }
        } else if (piece.data[0] < 0x80) {
            taken = ascii_prefix_bytes(piece);
        } else if (!begin_sequence(state, piece.data[0])) {
            return false;
        }
        piece = slice_drop(piece, taken);
    }
    return true;
}

bool utf8_valid(struct slice text)
{
    struct utf8_state state = {0};
    return utf8_feed(&state, text) && utf8_complete(&state);
}
