/* Close codes that this server sends (RFC 6455, 7.4; 40xx and 45xx as in PROTOCOL.md). The broker
 * names them in its evictions. */
#pragma once

enum close_code {
    CLOSE_NORMAL = 1000,
    CLOSE_GOING_AWAY = 1001,
    CLOSE_PROTOCOL_ERROR = 1002,
    CLOSE_UNSUPPORTED_DATA = 1003,
    CLOSE_NO_STATUS = 1005, /* never on the wire: a close frame without a code */
    CLOSE_INVALID_PAYLOAD = 1007,
    CLOSE_MESSAGE_TOO_BIG = 1009,
    CLOSE_INTERNAL_ERROR = 1011,
    CLOSE_TOO_SLOW = 4001, /* come back */
    CLOSE_IDLE = 4002,     /* come back */
    CLOSE_REPLACED = 4501, /* do not come back */
};
