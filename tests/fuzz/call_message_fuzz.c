/* Call messages. Whatever is taken must give a payload that is JSON again, has one `from` with the
 * right value in front, in a call one `fromDevice` behind it and none of the server's other words,
 * and otherwise the sender's bytes; whatever is refused, an error that is JSON. What our scan takes
 * cJSON must take too. */
#include "common/compiler.h"
#include "common/utf8.h"
#include "gateway/call_message.h"
#include "gateway/json_arena.h"
#include "gateway/json_scan.h"
#include "gateway/server_message.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

enum {
    BUFFER_MAX_BYTES = 16 * 1024 * 1024,
    /* Some versions of cJSON refuse longer ones. */
    CJSON_NUMBER_MAX_BYTES = 63,
};

static const char from_user[] = "a\"lice\\";
static const char from_value[] = "\"a\\\"lice\\\\\"";
static const char from_device[] = "ph\x01one";
static const char from_device_value[] = "\"ph\\u0001one\"";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* The key, decoded, is one that only the server writes into such a message; the text is JSON. */
static bool is_word_of_server(const struct json_text *key, bool is_of_call)
{
    static const char *const words[] = {"from", "fromDevice", "expiresInMs", "server"};
    if (key->has_nul) {
        return false;
    }
    cJSON *item = cJSON_ParseWithLength((const char *)key->raw.data - 1, key->raw.len + 2);
    require(item != NULL);
    bool is = false;
    for (size_t i = 0; i < (is_of_call ? ARRAY_LENGTH(words) : 1); i++) {
        is = is || strcmp(item->valuestring, words[i]) == 0;
    }
    cJSON_Delete(item);
    return is;
}

/* The next member that is none of the server's. False: there is none. */
static bool next_other(struct json_scan *scan, bool is_of_call, struct json_member *member)
{
    enum json_step step = json_scan_next(scan, member);
    while (step == JSON_STEP_MEMBER && is_word_of_server(&member->key, is_of_call)) {
        step = json_scan_next(scan, member);
    }
    require(step != JSON_STEP_BAD);
    return step == JSON_STEP_MEMBER;
}

static void check_next(struct json_scan *scan, const char *key, const char *value)
{
    struct json_member member;
    require(json_scan_next(scan, &member) == JSON_STEP_MEMBER);
    require(slice_equal_string(member.key.raw, key));
    require(slice_equal_string(member.value, value));
}

/* The server's words first and once, all other members one by one as in `text`. */
static void check_members(struct slice text, bool is_of_call, struct slice payload)
{
    struct json_scan sent;
    struct json_scan carried;
    struct json_member before;
    struct json_member after;
    json_scan_init(&sent, text);
    json_scan_init(&carried, payload);
    check_next(&carried, "from", from_value);
    if (is_of_call) {
        check_next(&carried, "fromDevice", from_device_value);
    }
    while (next_other(&sent, is_of_call, &before)) {
        require(json_scan_next(&carried, &after) == JSON_STEP_MEMBER);
        require(!is_word_of_server(&after.key, is_of_call));
        require(slice_equal(before.key.raw, after.key.raw));
        require(slice_equal(before.value, after.value));
    }
    require(json_scan_next(&carried, &after) == JSON_STEP_END);
}

/* The payload is the text with the server's words behind the brace, without the pieces that were
 * cut out. */
static void check_bytes(const struct call_message *message, struct slice payload)
{
    struct buffer expected;
    buffer_init(&expected, BUFFER_MAX_BYTES);
    const uint8_t *brace = memchr(message->text.data, '{', message->text.len);
    require(brace != NULL);
    const uint8_t *at = brace + 1;
    buffer_put(&expected, slice_of(message->text.data, (size_t)(at - message->text.data)));
    buffer_put_format(&expected, "\"from\":%s,", from_value);
    if (message->call_id.len > 0) {
        buffer_put_format(&expected, "\"fromDevice\":%s,", from_device_value);
    }
    for (size_t i = 0; i < message->cut_count; i++) {
        require(message->cuts[i].len > 0 && message->cuts[i].data >= at);
        buffer_put(&expected, slice_of(at, (size_t)(message->cuts[i].data - at)));
        at = message->cuts[i].data + message->cuts[i].len;
    }
    size_t before = (size_t)(at - message->text.data);
    require(before <= message->text.len);
    buffer_put(&expected, slice_drop(message->text, before));
    require(!expected.failed && slice_equal(buffer_slice(&expected), payload));
    buffer_fini(&expected);
}

/* With the time that is left it is JSON too, and that stands in front. */
static void check_expiring(struct slice payload)
{
    struct buffer out;
    buffer_init(&out, BUFFER_MAX_BYTES);
    call_message_put_expiring(&out, payload, 59000);
    require(!out.failed);
    struct json_scan scan;
    struct json_scan before;
    struct json_member member;
    struct json_member member_before;
    json_scan_init(&scan, buffer_slice(&out));
    json_scan_init(&before, payload);
    check_next(&scan, "expiresInMs", "59000");
    while (json_scan_next(&before, &member_before) == JSON_STEP_MEMBER) {
        require(json_scan_next(&scan, &member) == JSON_STEP_MEMBER);
        require(slice_equal(member.key.raw, member_before.key.raw));
        require(slice_equal(member.value, member_before.value));
    }
    require(json_scan_next(&scan, &member) == JSON_STEP_END);
    buffer_fini(&out);
}

static void check_payload(const struct call_message *message)
{
    struct buffer out;
    buffer_init(&out, BUFFER_MAX_BYTES);
    call_message_put_payload(&out, message, slice_from_string(from_user),
                             slice_from_string(from_device));
    require(!out.failed);
    struct slice payload = buffer_slice(&out);
    require(payload.len <= call_message_payload_max_bytes(message->text.len));
    require(utf8_valid(payload));
    bool is_of_call = message->call_id.len > 0;
    check_bytes(message, payload);
    check_expiring(payload);
    json_arena_fini(); /* what follows is more than the arena holds */
    check_members(message->text, is_of_call, payload);
    require(json_arena_init());
    buffer_fini(&out);
}

static bool has_long_number(struct slice text)
{
    size_t run = 0;
    for (size_t i = 0; i < text.len && run <= CJSON_NUMBER_MAX_BYTES; i++) {
        bool is_in_number = text.data[i] != '\0' && strchr("0123456789+-.eE", text.data[i]) != NULL;
        run = is_in_number ? run + 1 : 0;
    }
    return run > CJSON_NUMBER_MAX_BYTES;
}

static void check_with_cjson(struct slice text)
{
    if (has_long_number(text)) {
        return;
    }
    json_arena_fini();
    cJSON *item = cJSON_ParseWithLength((const char *)text.data, text.len);
    require(cJSON_IsObject(item));
    cJSON_Delete(item);
    require(json_arena_init());
}

static void check_error(const struct call_message *message, enum outcome outcome,
                        const char *complaint)
{
    const struct server_error error = {.outcome = outcome,
                                       .sentence = complaint,
                                       .to = message->to,
                                       .id = message->id,
                                       .call_id = message->call_id};
    struct buffer out;
    buffer_init(&out, BUFFER_MAX_BYTES);
    server_message_put_error(&out, &error);
    require(!out.failed && utf8_valid(buffer_slice(&out)));
    struct json_scan scan;
    struct json_member member;
    json_scan_init(&scan, buffer_slice(&out));
    size_t expected = 3 + (size_t)(message->to.len > 0) + (size_t)(message->id.len > 0) +
                      (size_t)(message->call_id.len > 0);
    for (size_t i = 0; i < expected; i++) {
        require(json_scan_next(&scan, &member) == JSON_STEP_MEMBER);
    }
    require(json_scan_next(&scan, &member) == JSON_STEP_END);
    buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    if (!utf8_valid(text)) {
        return 0;
    }
    require(json_arena_init());
    struct call_message message;
    const char *complaint = NULL;
    enum outcome outcome = call_message_parse(text, &message, &complaint);
    require((complaint == NULL) == (outcome == OUTCOME_DELIVERED));
    require(message.to.len <= USER_ID_MAX_BYTES && message.call_id.len <= CALL_ID_MAX_BYTES);
    require(message.reason.len <= CALL_REASON_MAX_BYTES);
    require(message.call_id.len > 0 || (message.reason.len == 0 && !message.is_device_scope));
    if (outcome == OUTCOME_DELIVERED) {
        require(message.to.len > 0 && message.type < CALL_TYPE_COUNT);
        check_error(&message, OUTCOME_USER_OFFLINE, NULL);
        check_payload(&message);
    } else {
        check_error(&message, outcome, complaint);
    }
    if (outcome != OUTCOME_BAD_JSON) {
        check_with_cjson(text);
    }
    json_arena_fini();
    return 0;
}
