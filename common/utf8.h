/* UTF-8 validation (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF), whole or
 * in pieces, so that a fragmented WebSocket message can be refused at its first bad byte. */
#pragma once

#include "common/slice.h"

/* Zero-initialised at the start of a text; carries an unfinished sequence from piece to piece. */
struct utf8_state {
    uint8_t pending; /* continuation bytes still expected */
    uint8_t low;     /* the bounds of the next continuation byte, while pending > 0 */
    uint8_t high;
};

/* False: the text so far cannot be the beginning of valid UTF-8. */
bool utf8_feed(struct utf8_state *state, struct slice piece);

/* True: the text may end here (no sequence is unfinished). */
static inline bool utf8_complete(const struct utf8_state *state)
{
    return state->pending == 0;
}

/* The whole text at once. */
bool utf8_valid(struct slice text);
