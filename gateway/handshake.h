/* The opening handshake (RFC 6455, 4.2): from a parsed request to a 101 or a refusal. */
#pragma once

#include "common/buffer.h"
#include "common/identity.h"
#include "gateway/http_request.h"

enum { HANDSHAKE_ACCEPT_BYTES = 28 };

/* What a valid handshake says; owns its bytes. */
struct handshake {
    char accept[HANDSHAKE_ACCEPT_BYTES]; /* Sec-WebSocket-Accept */
    bool has_subprotocol;                /* the client offered switchboard.v1 */
    uint8_t user_id_len;
    uint8_t device_id_len;
    uint8_t user_id[USER_ID_MAX_BYTES];
    uint8_t device_id[DEVICE_ID_MAX_BYTES];
};

struct handshake_config {
    /* Origins that may connect, comma-separated, compared without case; "" lets every origin (and
     * clients that send none) in. A request without an Origin header is always let in: it does not
     * come from a browser. */
    const char *allowed_origins;
    /* False for a server without users (ws-echo): path and query are not looked at. */
    bool requires_user_id;
};

/* True: the request asks for an upgrade to anything, so that a refusal is an answer to a
 * handshake and not to a fetch of a file. */
bool handshake_is_upgrade(const struct http_request *request);

/* Checks the request in full. False: *refusal says why (400, 403, 404, 405, 426). */
MUST_CHECK bool handshake_check(const struct http_request *request,
                                const struct handshake_config *config, struct handshake *handshake,
                                struct http_refusal *refusal);

/* Appends the 101 response. */
void handshake_put_response(struct buffer *out, const struct handshake *handshake);
