#include "gateway/call_message.h"

#include "common/compiler.h"
#include "gateway/json_arena.h"
#include "gateway/json_cut.h"
#include "gateway/json_scan.h"

#include <assert.h>
#include <cjson/cJSON.h>

/* The members that concern us, the usual ones first; all others are only carried through. */
enum our_member {
    OUR_TYPE,
    OUR_TO,
    OUR_ID,
    OUR_CALL_ID,
    OUR_FROM,
    OUR_SCOPE,
    OUR_REASON,
    OUR_SERVER,
    OUR_FROM_DEVICE,
    OUR_EXPIRES_IN_MS,
    OUR_MEMBER_COUNT,
};

enum {
    TYPE_MAX_BYTES = 16,
    SCOPE_MAX_BYTES = 6,
    KEY_MAX_BYTES = 11,
    /* An escape spells at least one byte with at most that many: \u0041. */
    ESCAPED_BYTE_MAX_BYTES = 6,
    /* What cJSON takes for one string at most besides its bytes. */
    DECODING_OVERHEAD_BYTES = 128,
};

static_assert(ESCAPED_BYTE_MAX_BYTES *
                          (TYPE_MAX_BYTES + USER_ID_MAX_BYTES + MESSAGE_ID_MAX_BYTES +
                           CALL_ID_MAX_BYTES + SCOPE_MAX_BYTES + CALL_REASON_MAX_BYTES) +
                      OUR_MEMBER_COUNT * DECODING_OVERHEAD_BYTES <=
                  JSON_ARENA_BYTES,
              "the strings of one message fit into the arena");

#define KEY(string) .key = (string), .key_len = sizeof(string) - 1

static const char bad_scope[] = "`scope` is neither `device` nor `all`";

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
    /* These concern us in a call only. */
    [OUR_SCOPE] = {KEY("scope"), .max_bytes = SCOPE_MAX_BYTES, .is_doubled = "`scope` occurs twice",
                   .is_wrong_kind = bad_scope, .has_nul = bad_scope, .is_too_long = bad_scope},
    [OUR_REASON] = {KEY("reason"), .is_doubled = "`reason` occurs twice"},
    [OUR_SERVER] = {KEY("server"), .is_doubled = "`server` occurs twice"},
    [OUR_FROM_DEVICE] = {KEY("fromDevice"), .is_doubled = "`fromDevice` occurs twice"},
    [OUR_EXPIRES_IN_MS] = {KEY("expiresInMs"), .is_doubled = "`expiresInMs` occurs twice"},
};

/* What only the server may say: the first PLAIN_WORD_COUNT in any message, the others in a call. */
static const enum our_member words_of_server[CALL_MESSAGE_CUTS_MAX] = {
    OUR_FROM, OUR_FROM_DEVICE, OUR_EXPIRES_IN_MS, OUR_SERVER};
enum { PLAIN_WORD_COUNT = 1 };

/* One message while its members are looked at. */
struct reading {
    struct json_member members[OUR_MEMBER_COUNT]; /* the first of each that is there */
    unsigned there;                               /* which are, a bit each */
    unsigned doubled;                             /* which are there again */
    const char *complaint;                        /* the first fault; NULL: none so far */
};

static void reading_init(struct reading *reading)
{
    reading->there = 0;
    reading->doubled = 0;
    reading->complaint = NULL;
}

static unsigned bit_of(enum our_member ours)
{
    return 1U << ours;
}

static bool is_there(const struct reading *reading, enum our_member ours)
{
    return (reading->there & bit_of(ours)) != 0;
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
        if (is_there(reading, ours)) {
            reading->doubled |= bit_of(ours);
        } else {
            reading->there |= bit_of(ours);
            reading->members[ours] = member;
        }
    }
    return step == JSON_STEP_END || complain(reading, scan.complaint);
}

/* True: the member is there once. */
static bool is_single(struct reading *reading, enum our_member ours)
{
    if ((reading->doubled & bit_of(ours)) != 0) {
        return complain(reading, rules[ours].is_doubled);
    }
    return is_there(reading, ours) || complain(reading, rules[ours].is_missing);
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
    if (is_there(reading, OUR_ID) && member->kind == JSON_INTEGER && is_single(reading, OUR_ID)) {
        if (member->value.len > rules[OUR_ID].max_bytes) {
            complain(reading, rules[OUR_ID].is_too_long);
            return;
        }
        *id = member->value;
    } else if (read_string(reading, OUR_ID, &decoded)) {
        *id = member->value;
    }
}

/* `scope` of a reject: this device alone, or all that the user has. */
static void read_scope(struct reading *reading, bool *is_device_scope)
{
    struct slice scope;
    if (read_string(reading, OUR_SCOPE, &scope)) {
        *is_device_scope = slice_equal_string(scope, "device");
        if (!*is_device_scope && !slice_equal_string(scope, "all")) {
            complain(reading, bad_scope);
        }
    }
}

/* A reason that is no string, or longer than what the server looks at, is no fault. */
static void read_reason(struct reading *reading, struct slice *reason)
{
    const struct json_member *member = &reading->members[OUR_REASON];
    struct slice decoded;
    if (is_single(reading, OUR_REASON) && member->kind == JSON_STRING && !member->string.has_nul &&
        !is_surely_longer(&member->string, CALL_REASON_MAX_BYTES) &&
        decode(&member->string, &decoded) && decoded.len <= CALL_REASON_MAX_BYTES) {
        *reason = decoded;
    }
}

/* The members that mean something in a call only. */
static void read_call(struct reading *reading, enum call_type type, struct call_message *message)
{
    if (type == CALL_TYPE_REJECT) {
        read_scope(reading, &message->is_device_scope);
    } else {
        is_single(reading, OUR_SCOPE);
    }
    read_reason(reading, &message->reason);
    for (size_t i = PLAIN_WORD_COUNT; i < ARRAY_LENGTH(words_of_server); i++) {
        is_single(reading, words_of_server[i]);
    }
}

/* What the sender wrote of the server's words is not carried. */
static void find_cuts(const struct reading *reading, struct call_message *message)
{
    size_t word_count = message->call_id.len > 0 ? CALL_MESSAGE_CUTS_MAX : PLAIN_WORD_COUNT;
    const struct json_member *words[CALL_MESSAGE_CUTS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < word_count; i++) {
        if (is_there(reading, words_of_server[i])) {
            words[count++] = &reading->members[words_of_server[i]];
        }
    }
    message->cut_count = json_cut(message->text, words, count, message->cuts);
}

/* Not zeroed as a whole, as the reading is not. */
static void message_init(struct call_message *message, struct slice text)
{
    message->type = CALL_TYPE_COUNT;
    message->is_device_scope = false;
    message->to = message->id = message->call_id = message->reason = slice_of(NULL, 0);
    message->text = text;
    message->cut_count = 0;
}

enum outcome call_message_parse(struct slice text, struct call_message *message,
                                const char **complaint)
{
    json_arena_reset();
    message_init(message, text);
    struct reading reading; /* not zeroed as a whole: that would cost as much as the reading */
    reading_init(&reading);
    if (!find_members(&reading, text)) {
        *complaint = reading.complaint;
        return OUTCOME_BAD_JSON;
    }
    struct slice name = {0};
    read_string(&reading, OUR_TYPE, &name);
    read_string(&reading, OUR_TO, &message->to);
    is_single(&reading, OUR_FROM);
    read_id(&reading, &message->id);
    read_string(&reading, OUR_CALL_ID, &message->call_id);
    enum call_type type = call_type_find(name);
    if (message->call_id.len > 0) {
        read_call(&reading, type, message);
    }
    *complaint = reading.complaint;
    if (reading.complaint != NULL) {
        return OUTCOME_BAD_MESSAGE;
    }
    if (type == CALL_TYPE_COUNT) {
        *complaint = outcome_sentence(OUTCOME_UNKNOWN_TYPE);
        return OUTCOME_UNKNOWN_TYPE;
    }
    message->type = type;
    find_cuts(&reading, message);
    return OUTCOME_DELIVERED;
}
