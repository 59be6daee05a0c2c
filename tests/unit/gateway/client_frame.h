/* A frame as a client sends it, masked: input for the tests and the fuzz target of the receiver. */
#pragma once

#include "common/buffer.h"
#include "gateway/frame_head.h"

/* `first_byte` holds FIN, RSV and the opcode. */
static inline void put_client_frame(struct buffer *out, uint8_t first_byte, struct slice payload)
{
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint8_t head[FRAME_HEAD_MAX_BYTES];
    frame_head_write(head, 0, payload.len);
    head[0] = first_byte;
    head[1] |= FRAME_MASK;
    buffer_put(out, slice_of(head, frame_head_size(payload.len)));
    buffer_put(out, slice_of(key, sizeof key));
    for (size_t i = 0; i < payload.len; i++) {
        buffer_put_u8(out, payload.data[i] ^ key[i % sizeof key]);
    }
}
