/* A view of bytes that somebody else owns: never NUL-terminated, never freed through it.
 * `data` may be NULL when `len` is 0. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data;
    size_t len;
};

static inline struct slice slice_of(const void *data, size_t len)
{
    return (struct slice){.data = data, .len = len};
}

static const struct slice slice_none = {0};

static inline struct slice slice_from_string(const char *string)
{
    return slice_of(string, strlen(string));
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool slice_equal_string(struct slice a, const char *string)
{
    return slice_equal(a, slice_from_string(string));
}

/* ASCII case is ignored (RFC 9110, 5.1: field names). */
static inline bool slice_equal_nocase(struct slice a, const char *lower)
{
    if (a.len != strlen(lower)) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        uint8_t c = a.data[i];
        if (c >= 'A' && c <= 'Z') {
            c = (uint8_t)(c | 0x20);
        }
        if (c != (uint8_t)lower[i]) {
            return false;
        }
    }
    return true;
}

/* What is left of `s` behind its first `count` bytes; `count` is at most s.len. */
static inline struct slice slice_drop(struct slice s, size_t count)
{
    return count == 0 ? s : slice_of(s.data + count, s.len - count);
}
