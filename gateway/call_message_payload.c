/* What the target of a call message reads: the sender's bytes, and the server's word in front. */
#include "gateway/call_message.h"

#include "common/json_string.h"

#include <assert.h>
#include <inttypes.h>

enum {
    /* What json_put_string writes for one byte at most: \u001f. */
    ESCAPED_BYTE_MAX_BYTES = 6,
    QUOTES_AND_COMMA_BYTES = 3,
};

static const char from_key[] = "\"from\":";
static const char from_device_key[] = "\"fromDevice\":";

/* What put_word writes at most behind the key. */
static size_t word_max_bytes(size_t value_bytes)
{
    return value_bytes * ESCAPED_BYTE_MAX_BYTES + QUOTES_AND_COMMA_BYTES;
}

size_t call_message_payload_max_bytes(size_t text_bytes)
{
    return text_bytes + strlen(from_key) + word_max_bytes(USER_ID_MAX_BYTES) +
           strlen(from_device_key) + word_max_bytes(DEVICE_ID_MAX_BYTES);
}

/* Splits a text behind its opening brace: appends what is before, returns what is behind. */
static struct slice put_head(struct buffer *out, struct slice text, const uint8_t *brace)
{
    size_t head_len = (size_t)(brace - text.data) + 1;
    buffer_put(out, slice_of(text.data, head_len));
    return slice_drop(text, head_len);
}

/* More members are always still to come: a message has `type` and `to`. */
static void put_word(struct buffer *out, const char *key, struct slice value)
{
    buffer_put_string(out, key);
    json_put_string(out, value);
    buffer_put_u8(out, ',');
}

void call_message_put_payload(struct buffer *out, const struct call_message *message,
                              struct slice from, struct slice from_device)
{
    assert(message->type != CALL_TYPE_COUNT && from.len <= USER_ID_MAX_BYTES &&
           from_device.len <= DEVICE_ID_MAX_BYTES);
    const uint8_t *brace = memchr(message->text.data, '{', message->text.len);
    assert(brace != NULL);
    struct slice rest = put_head(out, message->text, brace);
    put_word(out, from_key, from);
    if (message->call_id.len > 0) {
        put_word(out, from_device_key, from_device);
    }
    for (size_t i = 0; i < message->cut_count; i++) {
        size_t before = (size_t)(message->cuts[i].data - rest.data);
        buffer_put(out, slice_of(rest.data, before));
        rest = slice_drop(rest, before + message->cuts[i].len);
    }
    buffer_put(out, rest);
}

void call_message_put_expiring(struct buffer *out, struct slice payload, uint64_t left_ms)
{
    const uint8_t *brace = payload.len > 0 ? memchr(payload.data, '{', payload.len) : NULL;
    struct slice rest = payload;
    if (brace != NULL) {
        rest = put_head(out, payload, brace);
        buffer_put_format(out, "\"expiresInMs\":%" PRIu64 ",", left_ms);
    }
    buffer_put(out, rest);
}
