/* Masking of a frame's payload (RFC 6455, 5.3); the same again takes it off. */
#pragma once

#include <stdint.h>
#include <string.h>

enum { MASKING_KEY_BYTES = 4 };

/* Copies `len` bytes, masked, eight at a time; `to` may be `from`. */
static inline void frame_mask_copy(uint8_t *to, const uint8_t *from, size_t len, const uint8_t *key)
{
    uint64_t wide_key = 0;
    uint8_t twice[2 * MASKING_KEY_BYTES];
    memcpy(twice, key, MASKING_KEY_BYTES);
    memcpy(twice + MASKING_KEY_BYTES, key, MASKING_KEY_BYTES);
    memcpy(&wide_key, twice, sizeof wide_key);
    size_t i = 0;
    for (; i + sizeof wide_key <= len; i += sizeof wide_key) {
        uint64_t word = 0;
        memcpy(&word, from + i, sizeof word);
        word ^= wide_key;
        memcpy(to + i, &word, sizeof word);
    }
    for (; i < len; i++) {
        to[i] = (uint8_t)(from[i] ^ key[i % MASKING_KEY_BYTES]);
    }
}
