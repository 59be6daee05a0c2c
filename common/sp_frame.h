/* How nng puts messages on a stream socket (the SP mapping for ipc): each side first sends an
 * opening of 8 bytes that says which protocol it speaks, then messages. A message is a head, one
 * byte 1 and the length as a big-endian u64, and that many bytes.
 *
 * A link speaks PAIR0: one peer, both directions, nothing in front of the payload. */
#pragma once

#include "common/parse.h"
#include "common/slice.h"

enum { SP_OPENING_BYTES = 8, SP_HEAD_BYTES = 9 };

/* The opening of a PAIR0 peer. */
extern const uint8_t sp_opening[SP_OPENING_BYTES];

/* PARSE_DONE: `input` begins with the opening of a PAIR0 peer. Says PARSE_BAD with the first byte
 * that is wrong. */
enum parse_result sp_opening_check(struct slice input);

/* Writes the head of a message of `message_bytes`. */
void sp_head_put(uint8_t head[SP_HEAD_BYTES], uint64_t message_bytes);

/* Reads the head at the front of `input`; the message behind it need not be there. PARSE_BAD: no
 * head, or one of a message of more than `max_bytes`; said as soon as the bytes that are there
 * leave no other way. `message_bytes` is written only with PARSE_DONE. */
enum parse_result sp_head_decode(struct slice input, size_t max_bytes, size_t *message_bytes);
