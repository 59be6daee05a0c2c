#include "gateway/server_message.h"

#include "common/json_string.h"

#include <inttypes.h>

static void put_text(struct buffer *out, const char *comma_and_key, struct slice text)
{
    buffer_put_string(out, comma_and_key);
    json_put_string(out, text);
}

static void put_id(struct buffer *out, struct slice id)
{
    buffer_put_string(out, ",\"id\":");
    buffer_put(out, id);
}

static void put_text_if_any(struct buffer *out, const char *comma_and_key, struct slice text)
{
    if (text.len > 0) {
        put_text(out, comma_and_key, text);
    }
}

void server_message_put_error(struct buffer *out, const struct server_error *error)
{
    const char *sentence =
        error->sentence != NULL ? error->sentence : outcome_sentence(error->outcome);
    buffer_put_string(out, "{\"type\":\"error\"");
    put_text(out, ",\"code\":", slice_from_string(outcome_code(error->outcome)));
    put_text(out, ",\"message\":", slice_from_string(sentence));
    put_text_if_any(out, ",\"to\":", error->to);
    if (error->id.len > 0) {
        put_id(out, error->id);
    }
    put_text_if_any(out, ",\"callId\":", error->call_id);
    put_text_if_any(out, ",\"state\":", error->state);
    buffer_put_u8(out, '}');
}

void server_message_put_ack(struct buffer *out, struct slice to, struct slice id)
{
    buffer_put_string(out, "{\"type\":\"ack\"");
    put_id(out, id);
    put_text(out, ",\"to\":", to);
    buffer_put_u8(out, '}');
}

void server_message_put_welcome(struct buffer *out, struct slice user_id, struct slice device_id,
                                uint64_t gateway_instance_id, uint64_t session_id)
{
    buffer_put_string(out, "{\"type\":\"welcome\"");
    put_text(out, ",\"userId\":", user_id);
    put_text(out, ",\"deviceId\":", device_id);
    buffer_put_format(out, ",\"sessionId\":\"%016" PRIx64 "-%" PRIx64 "\"}", gateway_instance_id,
                      session_id);
}
