/* One call message: JSON to fields, and to what the target will read (PROTOCOL.md). One with a
 * `callId` belongs to a call that the server keeps; one without is plain.
 *
 * json_scan says whether the text is JSON and where its top-level members stand, so that all other
 * bytes can be carried as they are. cJSON decodes those of our strings that have escapes, and
 * nothing else: a tree of the whole text would cost memory for each value that is only carried
 * through, many times the text at worst, and could not tell "to\u0000" from "to".
 *
 * json_arena_init comes first; one thread. */
#pragma once

#include "common/buffer.h"
#include "common/call_type.h"
#include "common/identity.h"
#include "common/outcome.h"

/* Members that only the server writes: from, and in a call fromDevice, expiresInMs, server. */
enum { CALL_MESSAGE_CUTS_MAX = 4 };

struct call_message {
    enum call_type type;
    bool is_device_scope; /* a reject of a call, by this device alone */
    struct slice to;      /* decoded; 1 to USER_ID_MAX_BYTES. Empty if unknown */
    struct slice id;      /* the JSON text of `id` as sent (a string or an integer); empty: none */
    struct slice call_id; /* decoded; empty: none */
    struct slice reason;  /* in a call: decoded, at most CALL_REASON_MAX_BYTES; empty: none, or one
                             that is only carried */
    /* For call_message_put_payload: the text, and the pieces of it that the target does not get, in
     * their order, each with the comma that goes with it. */
    struct slice text;
    size_t cut_count;
    struct slice cuts[CALL_MESSAGE_CUTS_MAX];
};

/* Parses `text` (valid UTF-8). OUTCOME_DELIVERED stands for "well-formed" here; else the outcome is
 * BAD_JSON, BAD_MESSAGE or UNKNOWN_TYPE, and `to`, `id` and `call_id` are set if they could be read
 * all the same, so that the error can name them; *complaint is a sentence that says what is wrong
 * (static), NULL with OUTCOME_DELIVERED.
 * Slices point into `text` or into memory that the next call_message_parse reuses. */
enum outcome call_message_parse(struct slice text, struct call_message *message,
                                const char **complaint);

/* Bytes that call_message_put_payload writes at most for a text of this size. */
size_t call_message_payload_max_bytes(size_t text_bytes);

/* Appends what the target reads: the same bytes with "from":`from` behind the opening brace, and
 * behind that "fromDevice":`from_device` if the message belongs to a call; what the sender wrote of
 * that kind is taken out. Only for a message that was well-formed; `from` is a userId,
 * `from_device` a deviceId. */
void call_message_put_payload(struct buffer *out, const struct call_message *message,
                              struct slice from, struct slice from_device);

/* Appends a payload with "expiresInMs":`left_ms` behind the opening brace: only the gateway that
 * writes it to its target knows how much time is left. Without a brace, as no gateway makes it, it
 * stays as it is. */
void call_message_put_expiring(struct buffer *out, struct slice payload, uint64_t left_ms);
