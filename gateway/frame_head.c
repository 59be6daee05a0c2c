#include "gateway/frame_head.h"

#include "gateway/frame_mask.h"

enum {
    LEN_16_BITS = 126, /* the length follows in 2 bytes */
    LEN_64_BITS = 127, /* the length follows in 8 bytes */
};

/* Bytes of the length that follows behind this second byte. */
static size_t extended_len_bytes(uint8_t second)
{
    switch (second & FRAME_LEN) {
    case LEN_16_BITS:
        return sizeof(uint16_t);
    case LEN_64_BITS:
        return sizeof(uint64_t);
    default:
        return 0;
    }
}

size_t frame_head_bytes(const uint8_t *head)
{
    size_t key_bytes = (head[1] & FRAME_MASK) != 0 ? MASKING_KEY_BYTES : 0;
    return FRAME_HEAD_MIN_BYTES + extended_len_bytes(head[1]) + key_bytes;
}

uint64_t frame_head_payload_bytes(const uint8_t *head)
{
    size_t width = extended_len_bytes(head[1]);
    if (width == 0) {
        return head[1] & FRAME_LEN;
    }
    uint64_t len = 0;
    for (size_t i = 0; i < width; i++) {
        len = len << 8 | head[FRAME_HEAD_MIN_BYTES + i];
    }
    return len;
}

static uint8_t len_field(size_t payload_bytes)
{
    if (payload_bytes < LEN_16_BITS) {
        return (uint8_t)payload_bytes;
    }
    return payload_bytes <= UINT16_MAX ? LEN_16_BITS : LEN_64_BITS;
}

size_t frame_head_size(size_t payload_bytes)
{
    return FRAME_HEAD_MIN_BYTES + extended_len_bytes(len_field(payload_bytes));
}

void frame_head_write(uint8_t *head, uint8_t opcode, size_t payload_bytes)
{
    head[0] = (uint8_t)(FRAME_FIN | opcode);
    head[1] = len_field(payload_bytes);
    size_t rest = payload_bytes;
    for (size_t i = extended_len_bytes(head[1]); i > 0; i--) {
        head[FRAME_HEAD_MIN_BYTES + i - 1] = (uint8_t)rest;
        rest >>= 8;
    }
}
