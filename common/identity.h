/* The names under which a client is known: bounds that gateway, link and broker share. */
#pragma once

enum {
    USER_ID_MAX_BYTES = 128,
    DEVICE_ID_MAX_BYTES = 64,
    CALL_ID_MAX_BYTES = 64,
    MESSAGE_ID_MAX_BYTES = 64,
};
