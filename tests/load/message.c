#include "tests/load/message.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DECIMAL = 10,
    DIGITS_MAX = 20,
    HEX_DIGITS = 16,
    BITS_PER_HEX_DIGIT = 4,
    HEX_DIGIT_MASK = 15,
    PAD_BYTE = 'x',
};

static const char key_number[] = "\"n\":";
static const char key_time[] = ",\"t\":";
static const char key_check[] = ",\"c\":\"";
static const char key_pad[] = "\",\"pad\":\"";

/* Everything but the head, the digits, the padding and the dialect's tail. */
enum {
    FRAME_OF_KEYS_BYTES = sizeof key_number - 1 + sizeof key_time - 1 + sizeof key_check - 1 +
                          HEX_DIGITS + sizeof key_pad - 1 + 1,
};

static uint8_t padding[MESSAGE_MAX_BYTES];

void message_name_user(char *name, const char *prefix, uint32_t number)
{
    int len = snprintf(name, DIALECT_USER_MAX_BYTES, "%s-%u", prefix, number);
    assert(len > 0 && len < DIALECT_USER_MAX_BYTES);
}

bool message_sheet_init(struct message_sheet *sheet, const struct message_format *format,
                        uint32_t self, uint32_t partner)
{
    char self_name[DIALECT_USER_MAX_BYTES];
    char partner_name[DIALECT_USER_MAX_BYTES];
    char head[DIALECT_TEXT_MAX_BYTES];
    char sent[DIALECT_TEXT_MAX_BYTES];
    char named[DIALECT_TEXT_MAX_BYTES];
    memset(padding, PAD_BYTE, sizeof padding);
    message_name_user(self_name, format->user_prefix, self);
    message_name_user(partner_name, format->user_prefix, partner);
    uint32_t head_len = dialect_fill(head, format->dialect->head, self_name, partner_name);
    uint32_t sent_len = dialect_fill(sent, format->dialect->head, partner_name, self_name);
    uint32_t named_len = dialect_fill(named, "\"from\":\"{peer}\"", self_name, partner_name);
    *sheet = (struct message_sheet){
        .text = malloc(head_len + sent_len + named_len),
        .self = self,
        .partner = partner,
        .head_len = (uint16_t)head_len,
        .sent_len = (uint16_t)sent_len,
        .named_len = (uint16_t)named_len,
    };
    if (sheet->text == NULL) {
        return false;
    }
    memcpy(sheet->text, head, head_len);
    memcpy(sheet->text + head_len, sent, sent_len);
    memcpy(sheet->text + head_len + sent_len, named, named_len);
    return true;
}

void message_sheet_fini(struct message_sheet *sheet)
{
    free(sheet->text);
    *sheet = (struct message_sheet){0};
}

static struct slice sheet_head(const struct message_sheet *sheet)
{
    return slice_of(sheet->text, sheet->head_len);
}

static struct slice sheet_sent(const struct message_sheet *sheet)
{
    return slice_of(sheet->text + sheet->head_len, sheet->sent_len);
}

static struct slice sheet_named(const struct message_sheet *sheet)
{
    return slice_of(sheet->text + sheet->head_len + sheet->sent_len, sheet->named_len);
}

/* A hash of what makes this message different from all others (the mixer of splitmix64). */
static uint64_t check_of(uint32_t sender, uint64_t n, uint64_t t_ns)
{
    uint64_t x = (n << 32U | sender) + UINT64_C(0x9e3779b97f4a7c15) * t_ns;
    x = (x ^ x >> 30U) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27U) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31U;
}

static size_t digits_of(uint64_t number)
{
    size_t count = 1;
    for (; number >= DECIMAL; number /= DECIMAL) {
        count++;
    }
    return count;
}

/* So much padding makes the message as long as it should be. */
static size_t pad_len_of(const struct message_format *format, size_t head_len, uint64_t n,
                         uint64_t t_ns)
{
    size_t len = head_len + FRAME_OF_KEYS_BYTES + strlen(format->dialect->tail) + digits_of(n) +
                 digits_of(t_ns);
    return len < format->message_bytes ? format->message_bytes - len : 0;
}

size_t message_max_bytes(const struct message_format *format, const struct message_sheet *sheet)
{
    size_t len = sheet->head_len + FRAME_OF_KEYS_BYTES + strlen(format->dialect->tail) +
                 (size_t)2 * DIGITS_MAX;
    return len < format->message_bytes ? format->message_bytes : len;
}

static uint8_t *put(uint8_t *at, const void *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

static uint8_t *put_number(uint8_t *at, uint64_t number)
{
    size_t count = digits_of(number);
    for (size_t i = count; i > 0; i--) {
        at[i - 1] = (uint8_t)('0' + number % DECIMAL);
        number /= DECIMAL;
    }
    return at + count;
}

static uint8_t *put_hex(uint8_t *at, uint64_t number)
{
    for (size_t i = HEX_DIGITS; i > 0; i--) {
        at[i - 1] = (uint8_t) "0123456789abcdef"[number & HEX_DIGIT_MASK];
        number >>= BITS_PER_HEX_DIGIT;
    }
    return at + HEX_DIGITS;
}

size_t message_write(const struct message_format *format, const struct message_sheet *sheet,
                     uint64_t n, uint64_t t_ns, uint8_t *out)
{
    uint8_t *at = put(out, sheet->text, sheet->head_len);
    at = put(at, key_number, sizeof key_number - 1);
    at = put_number(at, n);
    at = put(at, key_time, sizeof key_time - 1);
    at = put_number(at, t_ns);
    at = put(at, key_check, sizeof key_check - 1);
    at = put_hex(at, check_of(sheet->self, n, t_ns));
    at = put(at, key_pad, sizeof key_pad - 1);
    at = put(at, padding, pad_len_of(format, sheet->head_len, n, t_ns));
    *at++ = '"';
    at = put(at, format->dialect->tail, strlen(format->dialect->tail));
    return (size_t)(at - out);
}

/* The readers below take their part from the front of `text`; false: it is not there. */

static bool take(struct slice *text, const void *bytes, size_t len)
{
    if (text->len < len || memcmp(text->data, bytes, len) != 0) {
        return false;
    }
    *text = slice_drop(*text, len);
    return true;
}

static bool take_slice(struct slice *text, struct slice bytes)
{
    return take(text, bytes.data, bytes.len);
}

static bool take_number(struct slice *text, uint64_t *number)
{
    size_t count = 0;
    uint64_t value = 0;
    while (count < text->len && count < DIGITS_MAX - 1 && text->data[count] >= '0' &&
           text->data[count] <= '9') {
        value = value * DECIMAL + (uint64_t)(text->data[count++] - '0');
    }
    *text = slice_drop(*text, count);
    *number = value;
    return count > 0;
}

/* Everything from `n` to the end of the padding, as the partner must have written it. */
static bool take_body(const struct message_format *format, const struct message_sheet *sheet,
                      struct slice *text, struct message_seen *seen)
{
    uint8_t check[HEX_DIGITS];
    if (!take(text, key_number, sizeof key_number - 1) || !take_number(text, &seen->n) ||
        !take(text, key_time, sizeof key_time - 1) || !take_number(text, &seen->t_ns) ||
        !take(text, key_check, sizeof key_check - 1)) {
        return false;
    }
    (void)put_hex(check, check_of(sheet->partner, seen->n, seen->t_ns));
    size_t pad_len = pad_len_of(format, sheet->sent_len, seen->n, seen->t_ns);
    return take(text, check, sizeof check) && take(text, key_pad, sizeof key_pad - 1) &&
           take(text, padding, pad_len) && take(text, "\"", 1);
}

/* `{"from":"PARTNER",` in place of `{`: true, and a `{` less to be expected. */
static bool take_from_first(const struct message_sheet *sheet, struct slice *text)
{
    struct slice rest = *text;
    if (!take(&rest, "{", 1) || !take_slice(&rest, sheet_named(sheet)) || !take(&rest, ",", 1)) {
        return false;
    }
    *text = rest;
    return true;
}

static bool is_good(const struct message_format *format, const struct message_sheet *sheet,
                    struct slice text, struct message_seen *seen)
{
    const struct dialect *dialect = format->dialect;
    struct slice sent = sheet_sent(sheet);
    bool may_be_first = dialect->from == FROM_FIRST || dialect->from == FROM_ANY;
    bool is_first = may_be_first && take_from_first(sheet, &text);
    if (dialect->from == FROM_FIRST && !is_first) {
        return false;
    }
    if (!take_slice(&text, is_first ? slice_drop(sent, 1) : sent) ||
        !take_body(format, sheet, &text, seen)) {
        return false;
    }
    if (dialect->from == FROM_ANY && !is_first && text.len > 0 && text.data[0] == ',') {
        (void)(take(&text, ",", 1) && take_slice(&text, sheet_named(sheet)));
    }
    return take(&text, dialect->tail, strlen(dialect->tail)) && text.len == 0;
}

/* The string behind the first `key`, up to the next quote; empty: none. */
static struct slice find_string(struct slice text, const char *key)
{
    const uint8_t *at = memmem(text.data, text.len, key, strlen(key));
    if (at == NULL) {
        return slice_of(NULL, 0);
    }
    struct slice rest = slice_drop(text, (size_t)(at - text.data) + strlen(key));
    const uint8_t *end = memchr(rest.data, '"', rest.len);
    return end == NULL ? slice_of(NULL, 0) : slice_of(rest.data, (size_t)(end - rest.data));
}

/* What is not good is rare; here there is time to look closely. */
static enum message_verdict judge(const struct message_format *format,
                                  const struct message_sheet *sheet, struct slice text,
                                  struct message_seen *seen)
{
    const struct dialect *dialect = format->dialect;
    char self[DIALECT_USER_MAX_BYTES];
    char partner[DIALECT_USER_MAX_BYTES];
    message_name_user(self, format->user_prefix, sheet->self);
    message_name_user(partner, format->user_prefix, sheet->partner);
    struct slice type = find_string(text, dialect->type_key);
    if (slice_equal_string(type, "OPEN") || slice_equal_string(type, "welcome") ||
        slice_equal_string(type, "ack")) {
        return MESSAGE_UNCOUNTED;
    }
    seen->code = find_string(text, "\"code\":\"");
    if (slice_equal_string(type, "error") && seen->code.len > 0) {
        return MESSAGE_ERROR;
    }
    if (type.len > 0 && !slice_equal(type, find_string(sheet_head(sheet), dialect->type_key))) {
        seen->code = type; /* EXPIRE, LEAVE, ERROR */
        return MESSAGE_ERROR;
    }
    struct slice to = find_string(text, dialect->to_key);
    if (to.len > 0 && !slice_equal_string(to, self)) {
        return MESSAGE_MISROUTED;
    }
    struct slice from = find_string(text, dialect->from_key);
    bool is_named = dialect->from == FROM_FIRST || from.len > 0;
    return is_named && !slice_equal_string(from, partner) ? MESSAGE_WRONG_FROM : MESSAGE_ALTERED;
}

enum message_verdict message_check(const struct message_format *format,
                                   const struct message_sheet *sheet, struct slice text,
                                   struct message_seen *seen)
{
    if (is_good(format, sheet, text, seen)) {
        return MESSAGE_GOOD;
    }
    return judge(format, sheet, text, seen);
}
