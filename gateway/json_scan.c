#include "gateway/json_scan.h"

#include <assert.h>

enum {
    END_OF_TEXT = -1,
    ESCAPE_HEX_DIGITS = 4,
    /* The object that is scanned is a level of its own. */
    VALUE_DEPTH_MAX = JSON_DEPTH_MAX - 1,
};

static const uint64_t ones = UINT64_C(0x0101010101010101);
static const uint64_t high_bits = UINT64_C(0x8080808080808080);

/* The objects and arrays that are open around a value, one bit each; the innermost is the lowest.
 */
struct nesting {
    uint64_t is_object;
    unsigned depth;
};

static_assert(VALUE_DEPTH_MAX <= 64, "a level is a bit");

static bool complain(struct json_scan *scan, const char *complaint)
{
    scan->complaint = complaint;
    return false;
}

static int peek(const struct json_scan *scan)
{
    return scan->at < scan->text.len ? scan->text.data[scan->at] : END_OF_TEXT;
}

static bool take(struct json_scan *scan, int byte)
{
    if (peek(scan) != byte) {
        return false;
    }
    scan->at++;
    return true;
}

static bool is_space(int byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static void skip_space(struct json_scan *scan)
{
    /* Mostly there is none, which one comparison tells. */
    for (int byte = peek(scan); byte <= ' ' && is_space(byte); byte = peek(scan)) {
        scan->at++;
    }
}

/* Complains that something else was expected here. */
static bool refuse_byte(struct json_scan *scan)
{
    return complain(scan, peek(scan) == END_OF_TEXT ? "the JSON text is cut short"
                                                    : "the JSON text has a byte out of place");
}

static struct slice text_since(const struct json_scan *scan, size_t begin)
{
    return slice_of(scan->text.data + begin, scan->at - begin);
}

/* -1: none. */
static int hex_digit(int byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    int lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The four digits of a \u escape. */
static bool scan_code_unit(struct json_scan *scan, unsigned *unit)
{
    *unit = 0;
    for (int i = 0; i < ESCAPE_HEX_DIGITS; i++) {
        int digit = peek(scan) == END_OF_TEXT ? -1 : hex_digit(peek(scan));
        if (digit < 0) {
            return false;
        }
        *unit = *unit << 4 | (unsigned)digit;
        scan->at++;
    }
    return true;
}

/* What follows the backslash. */
static bool scan_escape(struct json_scan *scan, struct json_text *string)
{
    static const char bad_escape[] = "a string has an invalid escape";
    static const char half_pair[] = "a string escapes half of a surrogate pair";
    int byte = peek(scan);
    if (byte <= 0 || strchr("\"\\/bfnrtu", byte) == NULL) {
        return complain(scan, bad_escape);
    }
    scan->at++;
    string->has_escape = true;
    if (byte != 'u') {
        return true;
    }
    unsigned unit;
    if (!scan_code_unit(scan, &unit)) {
        return complain(scan, bad_escape);
    }
    string->has_nul |= unit == 0;
    if (unit < 0xd800 || unit > 0xdfff) {
        return true;
    }
    unsigned low = 0;
    bool is_pair = unit <= 0xdbff && take(scan, '\\') && take(scan, 'u') &&
                   scan_code_unit(scan, &low) && low >= 0xdc00 && low <= 0xdfff;
    return is_pair || complain(scan, half_pair);
}

/* In each byte of `word`, the highest bit: the byte is less than `bound` (at most 128), or, where a
 * lower byte's is set, perhaps not; never missing. */
static uint64_t bytes_below(uint64_t word, uint8_t bound)
{
    return (word - ones * bound) & ~word & high_bits;
}

/* Goes on over what is a string's own text, a word at a time, and stops within a word of whatever
 * ends it, begins an escape or does not belong there. */
static void skip_plain(struct json_scan *scan)
{
    uint64_t word = 0;
    for (; scan->text.len - scan->at >= sizeof word; scan->at += sizeof word) {
        memcpy(&word, scan->text.data + scan->at, sizeof word);
        uint64_t special = bytes_below(word, ' ') | bytes_below(word ^ ones * '"', 1) |
                           bytes_below(word ^ ones * '\\', 1);
        if (special != 0) {
            return;
        }
    }
}

static bool scan_string(struct json_scan *scan, struct json_text *string)
{
    if (!take(scan, '"')) {
        return refuse_byte(scan);
    }
    *string = (struct json_text){0};
    size_t begin = scan->at;
    skip_plain(scan);
    for (int byte = peek(scan); byte != '"'; byte = peek(scan)) {
        if (byte < 0x20) {
            return byte == END_OF_TEXT ? refuse_byte(scan)
                                       : complain(scan, "a string has a raw control character");
        }
        scan->at++;
        if (byte == '\\' && !scan_escape(scan, string)) {
            return false;
        }
    }
    string->raw = text_since(scan, begin);
    scan->at++;
    return true;
}

/* A key and what leads up to its value. */
static bool scan_key(struct json_scan *scan, struct json_text *key)
{
    skip_space(scan);
    if (!scan_string(scan, key)) {
        return false;
    }
    skip_space(scan);
    if (!take(scan, ':')) {
        return refuse_byte(scan);
    }
    skip_space(scan);
    return true;
}

static bool scan_digits(struct json_scan *scan)
{
    size_t begin = scan->at;
    while (peek(scan) >= '0' && peek(scan) <= '9') {
        scan->at++;
    }
    return scan->at > begin || complain(scan, "a number is malformed");
}

static bool scan_number(struct json_scan *scan, enum json_kind *kind)
{
    *kind = JSON_INTEGER;
    take(scan, '-');
    if (!take(scan, '0') && !scan_digits(scan)) {
        return false;
    }
    if (take(scan, '.')) {
        *kind = JSON_NUMBER;
        if (!scan_digits(scan)) {
            return false;
        }
    }
    if (!take(scan, 'e') && !take(scan, 'E')) {
        return true;
    }
    *kind = JSON_NUMBER;
    if (!take(scan, '+')) {
        take(scan, '-');
    }
    return scan_digits(scan);
}

static bool scan_word(struct json_scan *scan, const char *word)
{
    for (; *word != '\0'; word++) {
        if (!take(scan, *word)) {
            return refuse_byte(scan);
        }
    }
    return true;
}

static bool scan_scalar(struct json_scan *scan, enum json_kind *kind, struct json_text *string)
{
    *kind = JSON_LITERAL;
    switch (peek(scan)) {
    case '"':
        *kind = JSON_STRING;
        return scan_string(scan, string);
    case 't':
        return scan_word(scan, "true");
    case 'f':
        return scan_word(scan, "false");
    case 'n':
        return scan_word(scan, "null");
    case '-':
        return scan_number(scan, kind);
    default:
        return peek(scan) >= '0' && peek(scan) <= '9' ? scan_number(scan, kind) : refuse_byte(scan);
    }
}

static bool nesting_push(struct nesting *nesting, bool is_object)
{
    nesting->is_object = nesting->is_object << 1 | is_object;
    nesting->depth++;
    return nesting->depth <= VALUE_DEPTH_MAX;
}

/* Takes the innermost closing bracket, if it is next. */
static bool take_close(struct json_scan *scan, struct nesting *nesting)
{
    if (!take(scan, (nesting->is_object & 1) != 0 ? '}' : ']')) {
        return false;
    }
    nesting->is_object >>= 1;
    nesting->depth--;
    return true;
}

/* In front of the next value inside the innermost brackets. */
static bool scan_to_value(struct json_scan *scan, const struct nesting *nesting)
{
    struct json_text key;
    skip_space(scan);
    return (nesting->is_object & 1) == 0 || scan_key(scan, &key);
}

/* Behind a whole value: closes what ends here, and goes on to the value behind the next comma. With
 * nothing open any more there is none. */
static bool scan_on(struct json_scan *scan, struct nesting *nesting)
{
    while (nesting->depth > 0) {
        skip_space(scan);
        if (take(scan, ',')) {
            return scan_to_value(scan, nesting);
        }
        if (!take_close(scan, nesting)) {
            return refuse_byte(scan);
        }
    }
    return true;
}

/* One object or array: loops over the values inside, however deep, and keeps the open brackets in
 * `nesting`. */
static bool scan_container(struct json_scan *scan)
{
    struct nesting nesting = {0};
    struct json_text string;
    enum json_kind kind;
    do {
        bool is_object = take(scan, '{');
        if (is_object || take(scan, '[')) {
            if (!nesting_push(&nesting, is_object)) {
                return complain(scan, "the JSON text is nested deeper than 64 levels");
            }
            skip_space(scan);
            if (!take_close(scan, &nesting)) {
                if (!scan_to_value(scan, &nesting)) {
                    return false;
                }
                continue;
            }
        } else if (!scan_scalar(scan, &kind, &string)) {
            return false;
        }
        if (!scan_on(scan, &nesting)) {
            return false;
        }
    } while (nesting.depth > 0);
    return true;
}

static bool scan_value(struct json_scan *scan, struct json_member *member)
{
    int byte = peek(scan);
    if (byte == '{' || byte == '[') {
        member->kind = byte == '{' ? JSON_OBJECT : JSON_ARRAY;
        return scan_container(scan);
    }
    return scan_scalar(scan, &member->kind, &member->string);
}

static enum json_step scan_end(struct json_scan *scan)
{
    skip_space(scan);
    if (peek(scan) == END_OF_TEXT) {
        return JSON_STEP_END;
    }
    complain(scan, "something follows the JSON object");
    return JSON_STEP_BAD;
}

void json_scan_init(struct json_scan *scan, struct slice text)
{
    *scan = (struct json_scan){.text = text};
}

enum json_step json_scan_next(struct json_scan *scan, struct json_member *member)
{
    bool is_first = !scan->is_inside;
    skip_space(scan);
    if (is_first) {
        if (!take(scan, '{')) {
            complain(scan, scan->text.len == 0 ? "the message is empty"
                                               : "the message is not a JSON object");
            return JSON_STEP_BAD;
        }
        scan->is_inside = true;
        skip_space(scan);
    }
    if (take(scan, '}')) {
        return scan_end(scan);
    }
    if (!is_first && !take(scan, ',')) {
        refuse_byte(scan);
        return JSON_STEP_BAD;
    }
    if (!scan_key(scan, &member->key)) {
        return JSON_STEP_BAD;
    }
    size_t begin = scan->at;
    if (!scan_value(scan, member)) {
        return JSON_STEP_BAD;
    }
    member->value = text_since(scan, begin);
    return JSON_STEP_MEMBER;
}
