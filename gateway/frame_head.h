/* The head of a WebSocket frame, everything before its payload (RFC 6455, 5.2): bytes to numbers
 * and back. Judges nothing. */
#pragma once

#include "common/slice.h"

enum {
    FRAME_HEAD_MIN_BYTES = 2,
    FRAME_HEAD_MAX_BYTES = 14, /* 2, an extended length of 8, a masking key of 4 */
};

/* The fields of the first and of the second byte. */
enum {
    FRAME_FIN = 0x80,
    FRAME_RSV = 0x70,
    FRAME_OPCODE = 0x0f,
    FRAME_MASK = 0x80,
    FRAME_LEN = 0x7f,
};

/* Length of the head that begins with these FRAME_HEAD_MIN_BYTES bytes. */
size_t frame_head_bytes(const uint8_t *head);
/* Length of the payload behind this whole head. */
uint64_t frame_head_payload_bytes(const uint8_t *head);

/* Length of the head of an unmasked frame. */
size_t frame_head_size(size_t payload_bytes);
/* Writes the head of an unmasked, final frame: frame_head_size(payload_bytes) bytes. */
void frame_head_write(uint8_t *head, uint8_t opcode, size_t payload_bytes);
