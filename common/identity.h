/* The names under which a client is known: bounds that gateway, link and broker share. */
#pragma once

#include "common/slice.h"

enum {
    USER_ID_MAX_BYTES = 128,
    DEVICE_ID_MAX_BYTES = 64,
    CALL_ID_MAX_BYTES = 64,
    MESSAGE_ID_MAX_BYTES = 64,
    CALL_REASON_MAX_BYTES = 64,
};

/* True: `text`, valid UTF-8, holds a control character: C0, DEL, or C1 (U+0080 to U+009F), which no
 * userId and no deviceId may. */
bool identity_has_control(struct slice text);
