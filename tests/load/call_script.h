/* The sixteen messages of a call that is made, answered and ended: who says each, its text, and
 * whether it was received as it should be. A plain one differs in a single letter: what would be
 * the callId is a member that means nothing to the server. */
#pragma once

#include "common/buffer.h"

enum {
    CALL_STEPS = 16,
    CALL_STEPS_ANSWERED = 3, /* so many until it stands */
    CALL_USER_MAX_BYTES = 32,
    CALL_MESSAGE_MIN_BYTES = 192,
};

struct call_script {
    bool is_managed;      /* messages have a callId */
    size_t message_bytes; /* of each, as sent; CALL_MESSAGE_MIN_BYTES or more */
};

/* One message of one call. */
struct call_line {
    unsigned step;
    uint64_t number; /* the call's; no other has it */
    const char *sender;
    const char *receiver;
};

bool call_script_is_callers(unsigned step);
/* Appends the text as it is sent. */
void call_script_put(struct buffer *out, const struct call_script *script,
                     const struct call_line *line);
/* True: `text` is what the receiver is to read. `scratch` is overwritten. */
bool call_script_check(const struct call_script *script, const struct call_line *line,
                       struct slice text, struct buffer *scratch);
