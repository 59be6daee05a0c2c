#include "common/sp_frame.h"

enum { KIND_MESSAGE = 1, LENGTH_BYTES = SP_HEAD_BYTES - 1 };

/* 0 'S' 'P' 0, the protocol as a big-endian u16 (16: PAIR0), two bytes of zero. */
const uint8_t sp_opening[SP_OPENING_BYTES] = {0, 'S', 'P', 0, 0, 16, 0, 0};

enum parse_result sp_opening_check(struct slice input)
{
    size_t len = input.len < SP_OPENING_BYTES ? input.len : SP_OPENING_BYTES;
    if (!slice_equal(slice_of(input.data, len), slice_of(sp_opening, len))) {
        return PARSE_BAD;
    }
    return len == SP_OPENING_BYTES ? PARSE_DONE : PARSE_NEED_MORE;
}

void sp_head_put(uint8_t head[SP_HEAD_BYTES], uint64_t message_bytes)
{
    head[0] = KIND_MESSAGE;
    for (size_t i = 0; i < LENGTH_BYTES; i++) {
        head[1 + i] = (uint8_t)(message_bytes >> (8 * (LENGTH_BYTES - 1 - i)));
    }
}

enum parse_result sp_head_decode(struct slice input, size_t max_bytes, size_t *message_bytes)
{
    if (input.len == 0) {
        return PARSE_NEED_MORE;
    }
    /* Bytes that are not there yet count as 0: the length can only be greater. */
    uint64_t length = 0;
    for (size_t i = 1; i < SP_HEAD_BYTES; i++) {
        length = length << 8 | (i < input.len ? input.data[i] : 0U);
    }
    if (input.data[0] != KIND_MESSAGE || length > max_bytes) {
        return PARSE_BAD;
    }
    if (input.len < SP_HEAD_BYTES) {
        return PARSE_NEED_MORE;
    }
    *message_bytes = (size_t)length;
    return PARSE_DONE;
}
