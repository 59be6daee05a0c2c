/* A growing byte queue with a maximum from birth: put at the back, consume from the front.
 *
 * Writers are sticky: when a put does not fit (the maximum, or no memory) it adds nothing and sets
 * `failed`, as does every later put; so a sequence of puts needs one check at its end. What was in
 * the buffer before stays readable. Integers are written little-endian.
 * An empty buffer owns no memory after buffer_fini or buffer_release. */
#pragma once

#include "common/compiler.h"
#include "common/slice.h"

struct buffer {
    uint8_t *data;
    size_t begin;     /* where the unread bytes start */
    size_t end;       /* where the next put goes */
    size_t cap;       /* bytes allocated */
    size_t max_bytes; /* unread bytes never exceed this */
    bool failed;
};

/* Allocates nothing. */
void buffer_init(struct buffer *buf, size_t max_bytes);
void buffer_fini(struct buffer *buf);

/* Forgets all bytes and the failure, keeps the memory. */
void buffer_clear(struct buffer *buf);
/* Forgets all bytes and the failure, gives the memory back. */
void buffer_release(struct buffer *buf);

static inline size_t buffer_len(const struct buffer *buf)
{
    return buf->end - buf->begin;
}

/* Bytes that still fit below the maximum. */
static inline size_t buffer_room(const struct buffer *buf)
{
    return buf->max_bytes - buffer_len(buf);
}

/* The unread bytes; valid until the next put, consume or release. */
static inline struct slice buffer_slice(const struct buffer *buf)
{
    return slice_of(buf->data == NULL ? NULL : buf->data + buf->begin, buffer_len(buf));
}

/* Drops `count` bytes from the front; `count` is at most buffer_len. */
void buffer_consume(struct buffer *buf, size_t count);
/* Cuts the unread bytes down to the first `len`, and clears `failed`: takes back an unfinished
 * sequence of puts. */
void buffer_truncate(struct buffer *buf, size_t len);

void buffer_put(struct buffer *buf, struct slice bytes);
void buffer_put_string(struct buffer *buf, const char *string);
void buffer_put_u8(struct buffer *buf, uint8_t value);
void buffer_put_u16(struct buffer *buf, uint16_t value);
void buffer_put_u32(struct buffer *buf, uint32_t value);
void buffer_put_u64(struct buffer *buf, uint64_t value);
/* Appends formatted text, at most 4,096 bytes in one call (longer sets `failed`). */
void buffer_put_format(struct buffer *buf, const char *format, ...) PRINTF_FORMAT(2, 3);

/* Room for `count` bytes (more than 0) at the back, to be written by the caller and made part of
 * the buffer with buffer_commit. NULL: does not fit; `failed` is set. */
MUST_CHECK uint8_t *buffer_reserve(struct buffer *buf, size_t count);
void buffer_commit(struct buffer *buf, size_t count);
