#include "gateway/call_message.h"

#include "common/json_string.h"
#include "gateway/json_arena.h"
#include "gateway/json_scan.h"
#include "gateway/server_message.h"

#include <assert.h>
#include <cjson/cJSON.h>

/* The members that concern us; all others are only carried through. */
enum our_member {
    OUR_TYPE,
    OUR_TO,
    OUR_FROM,
    OUR_ID,
    OUR_CALL_ID,
    OUR_MEMBER_COUNT,
};

enum {
    TYPE_MAX_BYTES = 16,
    KEY_MAX_BYTES = 6,
    /* An escape spells at least one byte with at most that many: \u0041. */
    ESCAPED_BYTE_MAX_BYTES = 6,
    /* What cJSON takes for one string at most besides its bytes. */
    DECODING_OVERHEAD_BYTES = 128,
};

static_assert(ESCAPED_BYTE_MAX_BYTES * (TYPE_MAX_BYTES + USER_ID_MAX_BYTES + MESSAGE_ID_MAX_BYTES +
                                        CALL_ID_MAX_BYTES) +
                      OUR_MEMBER_COUNT * DECODING_OVERHEAD_BYTES <=
                  JSON_ARENA_BYTES,
              "the strings of one message fit into the arena");

#define KEY(string) .key = (string), .key_len = sizeof(string) - 1

/* What may stand in a member, and what to say where it does not hold. NULL: no fault. */
static const struct rule {
    const char *key;
    size_t key_len;
    size_t max_bytes; /* of the decoded string, or of an integer's digits */
    const char *is_doubled;
    const char *is_missing;
    const char *is_wrong_kind;
    const char *has_nul;
    const char *is_too_long;
    const char *is_empty;
    const char *has_control;
} rules[OUR_MEMBER_COUNT] = {
    [OUR_TYPE] = {KEY("type"),
                  .max_bytes = TYPE_MAX_BYTES, /* a longer one is unknown, which is no fault yet */
                  .is_doubled = "`type` occurs twice", .is_missing = "`type` is missing",
                  .is_wrong_kind = "`type` is not a string",
                  .has_nul = "`type` contains a NUL character"},
    [OUR_TO] = {KEY("to"), .max_bytes = USER_ID_MAX_BYTES, .is_doubled = "`to` occurs twice",
                .is_missing = "`to` is missing", .is_wrong_kind = "`to` is not a string",
                .has_nul = "`to` contains a NUL character",
                .is_too_long = "`to` is longer than 128 bytes", .is_empty = "`to` is empty",
                .has_control = "`to` contains a control character"},
    [OUR_FROM] = {KEY("from"), .is_doubled = "`from` occurs twice"},
    [OUR_ID] = {KEY("id"), .max_bytes = MESSAGE_ID_MAX_BYTES, .is_doubled = "`id` occurs twice",
                .is_wrong_kind = "`id` is neither a string nor an integer",
                .has_nul = "`id` contains a NUL character",
                .is_too_long = "`id` is longer than 64 bytes"},
    [OUR_CALL_ID] = {KEY("callId"), .max_bytes = CALL_ID_MAX_BYTES,
                     .is_doubled = "`callId` occurs twice",
                     .is_wrong_kind = "`callId` is not a string",
                     .has_nul = "`callId` contains a NUL character",
                     .is_too_long = "`callId` is longer than 64 bytes",
                     .is_empty = "`callId` is empty"},
};

static const char from_key[] = "\"from\":";

/* One message while its members are looked at. */
struct reading {
    struct json_member members[OUR_MEMBER_COUNT]; /* the first of each that is there */
    bool is_there[OUR_MEMBER_COUNT];
    bool is_doubled[OUR_MEMBER_COUNT];
    const char *complaint; /* the first fault; NULL: none so far */
};

static void reading_init(struct reading *reading)
{
    for (size_t i = 0; i < OUR_MEMBER_COUNT; i++) {
        reading->is_there[i] = false;
        reading->is_doubled[i] = false;
    }
    reading->complaint = NULL;
}

static bool complain(struct reading *reading, const char *complaint)
{
    if (reading->complaint == NULL) {
        reading->complaint = complaint;
    }
    return false;
}

/* True: however it is escaped, it decodes to more than `max_bytes`. */
static bool is_surely_longer(const struct json_text *string, size_t max_bytes)
{
    return string->raw.len > max_bytes * ESCAPED_BYTE_MAX_BYTES;
}

/* Decodes a string without \u0000. False: cJSON does not take what the scan took. */
static bool decode(const struct json_text *string, struct slice *decoded)
{
    if (!string->has_escape) {
        *decoded = string->raw;
        return true;
    }
    const char *quoted = (const char *)string->raw.data - 1;
    size_t quoted_len = string->raw.len + 2;
    const char *end = NULL;
    const cJSON *item = cJSON_ParseWithLengthOpts(quoted, quoted_len, &end, false);
    if (!cJSON_IsString(item) || end != quoted + quoted_len) {
        return false;
    }
    *decoded = slice_from_string(item->valuestring);
    return true;
}

/* Which of our members has this key, compared when decoded; OUR_MEMBER_COUNT: none. False: the key
 * cannot be decoded. */
static bool find_our_member(const struct json_text *key, enum our_member *member)
{
    *member = OUR_MEMBER_COUNT;
    if (key->has_nul || is_surely_longer(key, KEY_MAX_BYTES)) {
        return true;
    }
    struct slice decoded;
    bool is_decoded = decode(key, &decoded);
    for (size_t i = 0; is_decoded && i < OUR_MEMBER_COUNT; i++) {
        if (slice_equal(decoded, slice_of(rules[i].key, rules[i].key_len))) {
            *member = (enum our_member)i;
            break;
        }
    }
    if (key->has_escape) {
        json_arena_reset(); /* no number of keys can use it up */
    }
    return is_decoded;
}

/* Reads the whole text and keeps what is ours. False: it is not one JSON object. */
static bool find_members(struct reading *reading, struct slice text)
{
    struct json_scan scan;
    json_scan_init(&scan, text);
    struct json_member member;
    enum json_step step = json_scan_next(&scan, &member);
    for (; step == JSON_STEP_MEMBER; step = json_scan_next(&scan, &member)) {
        enum our_member ours;
        if (!find_our_member(&member.key, &ours)) {
            return complain(reading, "a key cannot be decoded");
        }
        if (ours == OUR_MEMBER_COUNT) {
            continue;
        }
        if (reading->is_there[ours]) {
            reading->is_doubled[ours] = true;
        } else {
            reading->is_there[ours] = true;
            reading->members[ours] = member;
        }
    }
    return step == JSON_STEP_END || complain(reading, scan.complaint);
}

/* True: the member is there once. */
static bool is_single(struct reading *reading, enum our_member ours)
{
    if (reading->is_doubled[ours]) {
        return complain(reading, rules[ours].is_doubled);
    }
    return reading->is_there[ours] || complain(reading, rules[ours].is_missing);
}

/* The decoded value of a member that is to be a string. False: absent or faulty; *value is left
 * alone. */
static bool read_string(struct reading *reading, enum our_member ours, struct slice *value)
{
    const struct rule *rule = &rules[ours];
    const struct json_member *member = &reading->members[ours];
    if (!is_single(reading, ours)) {
        return false;
    }
    if (member->kind != JSON_STRING) {
        return complain(reading, rule->is_wrong_kind);
    }
    if (member->string.has_nul) {
        return complain(reading, rule->has_nul);
    }
    if (is_surely_longer(&member->string, rule->max_bytes)) {
        return complain(reading, rule->is_too_long);
    }
    struct slice decoded;
    if (!decode(&member->string, &decoded)) {
        return complain(reading, "a string cannot be decoded");
    }
    if (decoded.len > rule->max_bytes) {
        return complain(reading, rule->is_too_long);
    }
    if (decoded.len == 0 && rule->is_empty != NULL) {
        return complain(reading, rule->is_empty);
    }
    if (rule->has_control != NULL && identity_has_control(decoded)) {
        return complain(reading, rule->has_control);
    }
    *value = decoded;
    return true;
}

/* `id` as it was sent. */
static void read_id(struct reading *reading, struct slice *id)
{
    const struct json_member *member = &reading->members[OUR_ID];
    struct slice decoded;
    if (reading->is_there[OUR_ID] && member->kind == JSON_INTEGER && is_single(reading, OUR_ID)) {
        if (member->value.len > rules[OUR_ID].max_bytes) {
            complain(reading, rules[OUR_ID].is_too_long);
            return;
        }
        *id = member->value;
    } else if (read_string(reading, OUR_ID, &decoded)) {
        *id = member->value;
    }
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

/* A member of `text` with the comma behind it, or, if it is the last one, the comma before it:
 * there is one or the other. */
static struct slice with_comma(struct slice text, const struct json_member *member)
{
    size_t begin = (size_t)(member->key.raw.data - 1 - text.data);
    size_t value_end = (size_t)(member->value.data - text.data) + member->value.len;
    size_t end = value_end;
    while (is_space(text.data[end])) {
        end++;
    }
    if (text.data[end] == ',') {
        return slice_of(text.data + begin, end + 1 - begin);
    }
    do {
        begin--;
    } while (is_space(text.data[begin]));
    assert(text.data[begin] == ',');
    return slice_of(text.data + begin, value_end - begin);
}

enum outcome call_message_parse(struct slice text, struct call_message *message,
                                const char **complaint)
{
    json_arena_reset();
    *message = (struct call_message){.type = CALL_TYPE_COUNT, .text = text};
    struct reading reading; /* not zeroed as a whole: that would cost as much as the reading */
    reading_init(&reading);
    if (!find_members(&reading, text)) {
        *complaint = reading.complaint;
        return OUTCOME_BAD_JSON;
    }
    struct slice type = {0};
    read_string(&reading, OUR_TYPE, &type);
    read_string(&reading, OUR_TO, &message->to);
    bool has_from = is_single(&reading, OUR_FROM);
    read_id(&reading, &message->id);
    read_string(&reading, OUR_CALL_ID, &message->call_id);
    *complaint = reading.complaint;
    if (reading.complaint != NULL) {
        return OUTCOME_BAD_MESSAGE;
    }
    message->type = call_type_find(type);
    if (message->type == CALL_TYPE_COUNT) {
        *complaint = outcome_sentence(OUTCOME_UNKNOWN_TYPE);
        return OUTCOME_UNKNOWN_TYPE;
    }
    if (has_from) {
        message->from_member = with_comma(text, &reading.members[OUR_FROM]);
    }
    return OUTCOME_DELIVERED;
}

size_t call_message_payload_max_bytes(size_t text_bytes)
{
    static const size_t escaped_byte_max_bytes = ESCAPED_BYTE_MAX_BYTES;
    static const size_t quotes_and_comma_bytes = 3;
    return text_bytes + strlen(from_key) + USER_ID_MAX_BYTES * escaped_byte_max_bytes +
           quotes_and_comma_bytes;
}

void call_message_put_payload(struct buffer *out, const struct call_message *message,
                              struct slice from)
{
    assert(message->type != CALL_TYPE_COUNT && from.len <= USER_ID_MAX_BYTES);
    const uint8_t *brace = memchr(message->text.data, '{', message->text.len);
    assert(brace != NULL);
    size_t head_len = (size_t)(brace - message->text.data) + 1;
    struct slice rest = slice_drop(message->text, head_len);
    buffer_put(out, slice_of(message->text.data, head_len));
    buffer_put_string(out, from_key);
    json_put_string(out, from);
    buffer_put_u8(out, ','); /* `type` and `to` are still to come */
    if (message->from_member.len > 0) {
        size_t before = (size_t)(message->from_member.data - rest.data);
        buffer_put(out, slice_of(rest.data, before));
        rest = slice_drop(rest, before + message->from_member.len);
    }
    buffer_put(out, rest);
}
