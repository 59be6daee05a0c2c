/* The messages that the server itself writes to a client (PROTOCOL.md): one JSON object each. */
#pragma once

#include "common/buffer.h"
#include "common/outcome.h"

/* {"type":"error","code":...,"message":...,"to":...,"id":...}. `sentence` NULL: the outcome's own.
 * `to` is text and left out if empty; `id` is JSON text and left out if empty. */
void server_message_put_error(struct buffer *out, enum outcome outcome, const char *sentence,
                              struct slice to, struct slice id);
/* {"type":"ack","id":...,"to":...} */
void server_message_put_ack(struct buffer *out, struct slice to, struct slice id);
/* {"type":"welcome","userId":...,"deviceId":...,"sessionId":"..."}: the session id as a string of
 * hex digits, gateway instance and session, so that it is unique in the whole set. */
void server_message_put_welcome(struct buffer *out, struct slice user_id, struct slice device_id,
                                uint64_t gateway_instance_id, uint64_t session_id);
