/* The messages that the server itself writes to a client (PROTOCOL.md): one JSON object each. */
#pragma once

#include "common/buffer.h"
#include "common/outcome.h"

/* What is left out of it is left out of the message. */
struct server_error {
    enum outcome outcome;
    const char *sentence; /* NULL: the outcome's own */
    struct slice to;      /* text */
    struct slice id;      /* JSON text */
    struct slice call_id; /* text */
    struct slice state;   /* of the call, text */
};

/* {"type":"error","code":...,"message":...,"to":...,"id":...,"callId":...,"state":...} */
void server_message_put_error(struct buffer *out, const struct server_error *error);
/* {"type":"ack","id":...,"to":...} */
void server_message_put_ack(struct buffer *out, struct slice to, struct slice id);
/* {"type":"welcome","userId":...,"deviceId":...,"sessionId":"..."}: the session id as a string of
 * hex digits, gateway instance and session, so that it is unique in the whole set. */
void server_message_put_welcome(struct buffer *out, struct slice user_id, struct slice device_id,
                                uint64_t gateway_instance_id, uint64_t session_id);
