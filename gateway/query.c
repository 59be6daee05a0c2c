#include "gateway/query.h"

/* The value of a hex digit; -1: it is none. */
static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    uint8_t lower = (uint8_t)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Takes one decoded byte off `text`, which is not empty. False: a bad percent code. */
static bool take_byte(struct slice *text, uint8_t *byte)
{
    *byte = text->data[0];
    if (*byte != '%') {
        *text = slice_drop(*text, 1);
        return true;
    }
    int high = text->len < 3 ? -1 : hex_value(text->data[1]);
    int low = text->len < 3 ? -1 : hex_value(text->data[2]);
    if (high < 0 || low < 0) {
        return false;
    }
    *byte = (uint8_t)(high * 16 + low);
    *text = slice_drop(*text, 3);
    return true;
}

enum query_result query_decode(struct slice text, uint8_t *out, size_t out_max_bytes,
                               size_t *out_len)
{
    size_t len = 0;
    while (text.len > 0) {
        uint8_t byte;
        if (!take_byte(&text, &byte)) {
            return QUERY_BAD_CODE;
        }
        if (len == out_max_bytes) {
            return QUERY_TOO_LONG;
        }
        out[len++] = byte;
    }
    *out_len = len;
    return QUERY_FOUND;
}

/* False: a bad percent code. *is_equal: the decoded text is `expected`. */
static bool compare_decoded(struct slice text, const char *expected, bool *is_equal)
{
    struct slice rest = slice_from_string(expected);
    bool equal = true;
    while (text.len > 0) {
        uint8_t byte;
        if (!take_byte(&text, &byte)) {
            return false;
        }
        equal = equal && rest.len > 0 && rest.data[0] == byte;
        rest = slice_drop(rest, rest.len > 0 ? 1 : 0);
    }
    *is_equal = equal && rest.len == 0;
    return true;
}

/* What stands before the first `mark`; `text` is left with what stands behind it. */
static struct slice take_until(struct slice *text, char mark)
{
    const uint8_t *found = text->len == 0 ? NULL : memchr(text->data, mark, text->len);
    size_t len = found == NULL ? text->len : (size_t)(found - text->data);
    struct slice taken = slice_of(text->data, len);
    *text = slice_drop(*text, found == NULL ? len : len + 1);
    return taken;
}

enum query_result query_get(struct slice query, const char *name, uint8_t *out,
                            size_t out_max_bytes, size_t *out_len)
{
    bool is_found = false;
    struct slice encoded = {0};
    while (query.len > 0) {
        struct slice value = take_until(&query, '&');
        struct slice value_name = take_until(&value, '=');
        bool is_named = false;
        if (!compare_decoded(value_name, name, &is_named)) {
            return QUERY_BAD_CODE;
        }
        if (is_named && is_found) {
            return QUERY_DOUBLED;
        }
        if (is_named) {
            is_found = true;
            encoded = value;
        }
    }
    return is_found ? query_decode(encoded, out, out_max_bytes, out_len) : QUERY_ABSENT;
}
