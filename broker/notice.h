/* What the server itself says of a call. The one place where the broker writes JSON; it reads none.
 */
#pragma once

#include "common/buffer.h"
#include "common/call_type.h"

struct notice {
    enum call_type type;
    struct slice from; /* the userId of the party it speaks for */
    struct slice call_id;
    const char *reason;
};

/* Appends {"type":...,"from":...,"callId":...,"reason":...,"server":true}. */
void notice_put(struct buffer *out, const struct notice *notice);
