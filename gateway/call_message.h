/* One call message: JSON to fields, and to what the target will read (PROTOCOL.md).
 *
 * cJSON says whether the text is JSON and decodes the strings; a scan of our own says where the
 * top-level members stand in the text (so that all other bytes can be carried as they are), and
 * refuses what cJSON lets through: trailing bytes, control characters, numbers that are none,
 * white space that is none. */
#pragma once

#include "common/buffer.h"
#include "common/call_type.h"
#include "common/identity.h"
#include "common/outcome.h"

struct call_message {
    enum call_type type;
    struct slice to;      /* decoded; 1 to USER_ID_MAX_BYTES. Empty if unknown */
    struct slice id;      /* the JSON text of `id` as sent (a string or an integer); empty: none */
    struct slice call_id; /* decoded; empty: none */
    /* For call_message_put_payload: the text, and where its own `from` members stand. */
    struct slice text;
    struct slice from_member; /* with the comma that goes with it; empty: none */
};

/* Parses `text` (valid UTF-8). OUTCOME_DELIVERED stands for "well-formed" here; else the outcome is
 * BAD_JSON, BAD_MESSAGE or UNKNOWN_TYPE, and `to` and `id` are set if they could be read all the
 * same, so that the error can name them; *complaint is a sentence that says what is wrong (static).
 * Slices point into `text` or into memory that the next call_message_parse reuses. */
enum outcome call_message_parse(struct slice text, struct call_message *message,
                                const char **complaint);

/* Bytes that call_message_put_payload writes at most for a text of this size. */
size_t call_message_payload_max_bytes(size_t text_bytes);

/* Appends what the target reads: the same bytes with "from":`from` behind the opening brace; a
 * `from` that the sender wrote is taken out. */
void call_message_put_payload(struct buffer *out, const struct call_message *message,
                              struct slice from);
