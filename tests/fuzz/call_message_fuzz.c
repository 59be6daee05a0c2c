/* Call messages. Whatever is taken must give a payload that is JSON again, has one `from` with the
 * right value in front and otherwise the sender's bytes; whatever is refused, an error that is
 * JSON. What our scan takes cJSON must take too. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* The decoded key equals `from`; the text is JSON. */
static bool is_from(const struct json_text *key)
{
    if (key->has_nul) {
        return false;
    }
    cJSON *item = cJSON_ParseWithLength((const char *)key->raw.data - 1, key->raw.len + 2);
    require(item != NULL);
    bool is = strcmp(item->valuestring, "from") == 0;
    cJSON_Delete(item);
    return is;
}

/* The next member that is not a `from`. False: there is none. */
static bool next_other(struct json_scan *scan, struct json_member *member)
{
    enum json_step step = json_scan_next(scan, member);
    while (step == JSON_STEP_MEMBER && is_from(&member->key)) {
        step = json_scan_next(scan, member);
    }
    require(step != JSON_STEP_BAD);
    return step == JSON_STEP_MEMBER;
}

/* `from` first and once, all other members one by one as in `text`. */
static void check_members(struct slice text, struct slice payload)
{
    struct json_scan sent;
    struct json_scan carried;
    struct json_member before;
    struct json_member after;
    json_scan_init(&sent, text);
    json_scan_init(&carried, payload);
    require(json_scan_next(&carried, &after) == JSON_STEP_MEMBER);
    require(slice_equal_string(after.key.raw, "from"));
    require(slice_equal_string(after.value, from_value));
    while (next_other(&sent, &before)) {
        require(json_scan_next(&carried, &after) == JSON_STEP_MEMBER);
        require(!is_from(&after.key));
        require(slice_equal(before.key.raw, after.key.raw));
        require(slice_equal(before.value, after.value));
    }
    require(json_scan_next(&carried, &after) == JSON_STEP_END);
}

static size_t common_prefix(struct slice a, struct slice b)
{
    size_t count = 0;
    while (count < a.len && count < b.len && a.data[count] == b.data[count]) {
        count++;
    }
    return count;
}

static size_t common_suffix(struct slice a, struct slice b)
{
    size_t count = 0;
    while (count < a.len && count < b.len &&
           a.data[a.len - 1 - count] == b.data[b.len - 1 - count]) {
        count++;
    }
    return count;
}

/* The payload is the text with our `from` behind the brace and at most one piece cut out. */
static void check_bytes(const struct call_message *message, struct slice payload)
{
    const uint8_t *brace = memchr(message->text.data, '{', message->text.len);
    require(brace != NULL);
    size_t head_len = (size_t)(brace - message->text.data) + 1;
    size_t from_len = strlen("\"from\":,") + strlen(from_value);
    require(payload.len == message->text.len + from_len - message->from_member.len);
    require(common_prefix(message->text, payload) >= head_len);
    struct slice sent = slice_drop(message->text, head_len);
    struct slice carried = slice_drop(payload, head_len + from_len);
    require(common_prefix(sent, carried) + common_suffix(sent, carried) >= carried.len);
}

static void check_payload(const struct call_message *message)
{
    struct buffer out;
    buffer_init(&out, BUFFER_MAX_BYTES);
    call_message_put_payload(&out, message, slice_from_string(from_user));
    require(!out.failed);
    struct slice payload = buffer_slice(&out);
    require(payload.len <= call_message_payload_max_bytes(message->text.len));
    require(utf8_valid(payload));
    check_bytes(message, payload);
    json_arena_fini(); /* what follows is more than the arena holds */
    check_members(message->text, payload);
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
    struct buffer out;
    buffer_init(&out, BUFFER_MAX_BYTES);
    server_message_put_error(&out, outcome, complaint, message->to, message->id);
    require(!out.failed && utf8_valid(buffer_slice(&out)));
    struct json_scan scan;
    struct json_member member;
    json_scan_init(&scan, buffer_slice(&out));
    size_t expected = 3 + (size_t)(message->to.len > 0) + (size_t)(message->id.len > 0);
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
