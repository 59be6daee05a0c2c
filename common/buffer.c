#include "common/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUFFER_FIRST_CAP_BYTES = 256, FORMAT_MAX_BYTES = 4096 };

void buffer_init(struct buffer *buf, size_t max_bytes)
{
    *buf = (struct buffer){.max_bytes = max_bytes};
}

void buffer_release(struct buffer *buf)
{
    free(buf->data);
    buffer_init(buf, buf->max_bytes);
}

void buffer_fini(struct buffer *buf)
{
    buffer_release(buf);
}

void buffer_clear(struct buffer *buf)
{
    buf->begin = 0;
    buf->end = 0;
    buf->failed = false;
}

void buffer_consume(struct buffer *buf, size_t count)
{
    assert(count <= buffer_len(buf));
    buf->begin += count;
    if (buf->begin == buf->end) {
        buf->begin = 0;
        buf->end = 0;
    }
}

void buffer_truncate(struct buffer *buf, size_t len)
{
    assert(len <= buffer_len(buf));
    buf->end = buf->begin + len;
    buf->failed = false;
}

/* Makes room for `count` bytes at the back: by moving the unread bytes to the front where that
 * frees at least half the memory, by doubling otherwise. */
static bool make_room(struct buffer *buf, size_t count)
{
    if (buf->cap - buf->end >= count) {
        return true;
    }
    size_t len = buffer_len(buf);
    if (buf->begin >= buf->cap / 2 && buf->cap - len >= count) {
        memmove(buf->data, buf->data + buf->begin, len);
    } else {
        size_t cap = buf->cap > 0 ? buf->cap : BUFFER_FIRST_CAP_BYTES;
        while (cap < len + count) {
            cap *= 2;
        }
        uint8_t *data = malloc(cap);
        if (data == NULL) {
            return false;
        }
        if (len > 0) {
            memcpy(data, buf->data + buf->begin, len);
        }
        free(buf->data);
        buf->data = data;
        buf->cap = cap;
    }
    buf->begin = 0;
    buf->end = len;
    return true;
}

uint8_t *buffer_reserve(struct buffer *buf, size_t count)
{
    assert(count > 0);
    if (buf->failed || count > buffer_room(buf) || !make_room(buf, count)) {
        buf->failed = true;
        return NULL;
    }
    return buf->data + buf->end;
}

void buffer_commit(struct buffer *buf, size_t count)
{
    assert(count <= buf->cap - buf->end && count <= buffer_room(buf));
    buf->end += count;
}

void buffer_put(struct buffer *buf, struct slice bytes)
{
    if (bytes.len == 0) {
        return;
    }
    uint8_t *room = buffer_reserve(buf, bytes.len);
    if (room == NULL) {
        return;
    }
    memcpy(room, bytes.data, bytes.len);
    buf->end += bytes.len;
}

void buffer_put_string(struct buffer *buf, const char *string)
{
    buffer_put(buf, slice_from_string(string));
}

static void put_little_endian(struct buffer *buf, uint64_t value, size_t width)
{
    uint8_t *room = buffer_reserve(buf, width);
    if (room == NULL) {
        return;
    }
    for (size_t i = 0; i < width; i++) {
        room[i] = (uint8_t)(value >> (8 * i));
    }
    buf->end += width;
}

void buffer_put_u8(struct buffer *buf, uint8_t value)
{
    put_little_endian(buf, value, sizeof value);
}

void buffer_put_u16(struct buffer *buf, uint16_t value)
{
    put_little_endian(buf, value, sizeof value);
}

void buffer_put_u32(struct buffer *buf, uint32_t value)
{
    put_little_endian(buf, value, sizeof value);
}

void buffer_put_u64(struct buffer *buf, uint64_t value)
{
    put_little_endian(buf, value, sizeof value);
}

void buffer_put_format(struct buffer *buf, const char *format, ...)
{
    char text[FORMAT_MAX_BYTES];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof text) {
        buf->failed = true;
        return;
    }
    buffer_put(buf, slice_of(text, (size_t)len));
}
