#include "common/link_codec.h"

#include "common/identity.h"

#include <assert.h>

/* The largest body besides its payload: submit, with both its strings at their bounds. */
enum {
    SUBMIT_MAX_BYTES = 8 + 8 + 8 + 1 + 1 + (1 + USER_ID_MAX_BYTES) + (1 + CALL_ID_MAX_BYTES),
    SUBMIT_FLAGS_OFFSET = LINK_RECORD_HEADER_BYTES + 8 + 8 + 8,
};

enum { FLAG_REPEAT = 1, FLAG_AWAITED = 2, FLAGS_END = 4 };

static_assert(LINK_RECORD_HEADER_BYTES + SUBMIT_MAX_BYTES <= LINK_RECORD_OVERHEAD_BYTES,
              "the overhead covers every record");
static_assert(USER_ID_MAX_BYTES <= UINT8_MAX && CALL_ID_MAX_BYTES <= UINT8_MAX &&
                  DEVICE_ID_MAX_BYTES <= UINT8_MAX,
              "the length of a string is one byte");
static_assert(CALL_TYPE_COUNT <= UINT8_MAX && (int)OUTCOME_COUNT <= UINT8_MAX,
              "a type and an outcome are one byte");

/* Sticky as the writer is: after the first failure everything reads as 0. */
struct reader {
    struct slice rest;
    bool failed;
};

static struct slice read_bytes(struct reader *reader, size_t count)
{
    if (reader->failed || count > reader->rest.len) {
        reader->failed = true;
        return slice_of(NULL, 0);
    }
    struct slice bytes = slice_of(reader->rest.data, count);
    reader->rest = slice_drop(reader->rest, count);
    return bytes;
}

static uint64_t read_little_endian(struct reader *reader, size_t width)
{
    struct slice bytes = read_bytes(reader, width);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        value |= (uint64_t)bytes.data[i] << (8 * i);
    }
    return value;
}

static uint8_t read_u8(struct reader *reader)
{
    return (uint8_t)read_little_endian(reader, sizeof(uint8_t));
}

static uint16_t read_u16(struct reader *reader)
{
    return (uint16_t)read_little_endian(reader, sizeof(uint16_t));
}

static uint32_t read_u32(struct reader *reader)
{
    return (uint32_t)read_little_endian(reader, sizeof(uint32_t));
}

static uint64_t read_u64(struct reader *reader)
{
    return read_little_endian(reader, sizeof(uint64_t));
}

static uint8_t read_below(struct reader *reader, uint8_t bound)
{
    uint8_t value = read_u8(reader);
    if (value >= bound) {
        reader->failed = true;
        return 0;
    }
    return value;
}

static struct slice read_string(struct reader *reader, size_t min_bytes, size_t max_bytes)
{
    size_t len = read_u8(reader);
    if (len < min_bytes || len > max_bytes) {
        reader->failed = true;
    }
    return read_bytes(reader, len);
}

static struct slice read_payload(struct reader *reader)
{
    if (reader->rest.len > LINK_PAYLOAD_MAX_BYTES) {
        reader->failed = true;
    }
    return read_bytes(reader, reader->rest.len);
}

static bool read_flag(struct reader *reader)
{
    return read_below(reader, 2) != 0;
}

/* The two flags of submit and deliver, a bit each. */
static void put_message_flags(struct buffer *out, bool is_repeat, bool is_awaited)
{
    buffer_put_u8(out, (uint8_t)((is_repeat ? FLAG_REPEAT : 0) | (is_awaited ? FLAG_AWAITED : 0)));
}

static void read_message_flags(struct reader *reader, bool *is_repeat, bool *is_awaited)
{
    uint8_t flags = read_below(reader, FLAGS_END);
    *is_repeat = (flags & FLAG_REPEAT) != 0;
    *is_awaited = (flags & FLAG_AWAITED) != 0;
}

static void put_string(struct buffer *out, struct slice string, size_t min_bytes, size_t max_bytes)
{
    assert(string.len >= min_bytes && string.len <= max_bytes);
    buffer_put_u8(out, (uint8_t)string.len);
    buffer_put(out, string);
}

static void put_payload(struct buffer *out, struct slice payload)
{
    assert(payload.len <= LINK_PAYLOAD_MAX_BYTES);
    buffer_put(out, payload);
}

static void put_outcome(struct buffer *out, enum outcome outcome)
{
    assert(outcome < OUTCOME_COUNT);
    buffer_put_u8(out, (uint8_t)outcome);
}

static void put_greeting(struct buffer *out, const struct link_record *record)
{
    buffer_put_u16(out, record->greeting.version);
    buffer_put_u64(out, record->greeting.instance_id);
}

static void read_greeting(struct reader *reader, struct link_record *record)
{
    record->greeting.version = read_u16(reader);
    record->greeting.instance_id = read_u64(reader);
}

static void put_attach(struct buffer *out, const struct link_record *record)
{
    buffer_put_u64(out, record->attach.session_id);
    buffer_put_u64(out, record->attach.since_ms);
    buffer_put_u8(out, record->attach.was_attached ? 1 : 0);
    put_string(out, record->attach.user_id, 1, USER_ID_MAX_BYTES);
    put_string(out, record->attach.device_id, 0, DEVICE_ID_MAX_BYTES);
}

static void read_attach(struct reader *reader, struct link_record *record)
{
    record->attach.session_id = read_u64(reader);
    record->attach.since_ms = read_u64(reader);
    record->attach.was_attached = read_flag(reader);
    record->attach.user_id = read_string(reader, 1, USER_ID_MAX_BYTES);
    record->attach.device_id = read_string(reader, 0, DEVICE_ID_MAX_BYTES);
}

static void put_session(struct buffer *out, const struct link_record *record)
{
    buffer_put_u64(out, record->session.session_id);
}

static void read_session(struct reader *reader, struct link_record *record)
{
    record->session.session_id = read_u64(reader);
}

/* synced and ready say all by their kind. */
static void put_nothing(struct buffer *out, const struct link_record *record)
{
    (void)out;
    (void)record;
}

static void read_nothing(struct reader *reader, struct link_record *record)
{
    (void)reader;
    (void)record;
}

static void put_submit(struct buffer *out, const struct link_record *record)
{
    assert(record->submit.type < CALL_TYPE_COUNT);
    buffer_put_u64(out, record->submit.seq);
    buffer_put_u64(out, record->submit.session_id);
    buffer_put_u64(out, record->submit.deadline_ms);
    put_message_flags(out, record->submit.is_repeat, record->submit.is_awaited);
    buffer_put_u8(out, (uint8_t)record->submit.type);
    put_string(out, record->submit.to, 1, USER_ID_MAX_BYTES);
    put_string(out, record->submit.call_id, 0, CALL_ID_MAX_BYTES);
    put_payload(out, record->submit.payload);
}

static void read_submit(struct reader *reader, struct link_record *record)
{
    record->submit.seq = read_u64(reader);
    record->submit.session_id = read_u64(reader);
    record->submit.deadline_ms = read_u64(reader);
    read_message_flags(reader, &record->submit.is_repeat, &record->submit.is_awaited);
    record->submit.type = (enum call_type)read_below(reader, CALL_TYPE_COUNT);
    record->submit.to = read_string(reader, 1, USER_ID_MAX_BYTES);
    record->submit.call_id = read_string(reader, 0, CALL_ID_MAX_BYTES);
    record->submit.payload = read_payload(reader);
}

static void put_delivery_outcome(struct buffer *out, const struct link_record *record)
{
    buffer_put_u64(out, record->delivery_outcome.source_instance_id);
    buffer_put_u64(out, record->delivery_outcome.seq);
    buffer_put_u64(out, record->delivery_outcome.session_id);
    put_outcome(out, record->delivery_outcome.outcome);
}

static void read_delivery_outcome(struct reader *reader, struct link_record *record)
{
    record->delivery_outcome.source_instance_id = read_u64(reader);
    record->delivery_outcome.seq = read_u64(reader);
    record->delivery_outcome.session_id = read_u64(reader);
    record->delivery_outcome.outcome = (enum outcome)read_below(reader, OUTCOME_COUNT);
}

static void put_deliver(struct buffer *out, const struct link_record *record)
{
    buffer_put_u64(out, record->deliver.source_instance_id);
    buffer_put_u64(out, record->deliver.seq);
    buffer_put_u64(out, record->deliver.session_id);
    buffer_put_u64(out, record->deliver.deadline_ms);
    put_message_flags(out, record->deliver.is_repeat, record->deliver.is_awaited);
    put_payload(out, record->deliver.payload);
}

static void read_deliver(struct reader *reader, struct link_record *record)
{
    record->deliver.source_instance_id = read_u64(reader);
    record->deliver.seq = read_u64(reader);
    record->deliver.session_id = read_u64(reader);
    record->deliver.deadline_ms = read_u64(reader);
    read_message_flags(reader, &record->deliver.is_repeat, &record->deliver.is_awaited);
    record->deliver.payload = read_payload(reader);
}

static void put_submit_outcome(struct buffer *out, const struct link_record *record)
{
    buffer_put_u64(out, record->submit_outcome.seq);
    put_outcome(out, record->submit_outcome.outcome);
}

static void read_submit_outcome(struct reader *reader, struct link_record *record)
{
    record->submit_outcome.seq = read_u64(reader);
    record->submit_outcome.outcome = (enum outcome)read_below(reader, OUTCOME_COUNT);
}

static void put_evict(struct buffer *out, const struct link_record *record)
{
    buffer_put_u64(out, record->evict.session_id);
    buffer_put_u16(out, record->evict.close_code);
}

static void read_evict(struct reader *reader, struct link_record *record)
{
    record->evict.session_id = read_u64(reader);
    record->evict.close_code = read_u16(reader);
}

/* A body's two directions; a kind without them does not exist. */
struct body_codec {
    void (*put)(struct buffer *out, const struct link_record *record);
    void (*read)(struct reader *reader, struct link_record *record);
};

static const struct body_codec body_codecs[LINK_RECORD_KIND_COUNT] = {
    [LINK_HELLO] = {put_greeting, read_greeting},
    [LINK_ATTACH] = {put_attach, read_attach},
    [LINK_DETACH] = {put_session, read_session},
    [LINK_RETIRE] = {put_session, read_session},
    [LINK_SYNCED] = {put_nothing, read_nothing},
    [LINK_SUBMIT] = {put_submit, read_submit},
    [LINK_DELIVERY_OUTCOME] = {put_delivery_outcome, read_delivery_outcome},
    [LINK_WELCOME] = {put_greeting, read_greeting},
    [LINK_ATTACHED] = {put_session, read_session},
    [LINK_RETIRED] = {put_session, read_session},
    [LINK_READY] = {put_nothing, read_nothing},
    [LINK_DELIVER] = {put_deliver, read_deliver},
    [LINK_SUBMIT_OUTCOME] = {put_submit_outcome, read_submit_outcome},
    [LINK_EVICT] = {put_evict, read_evict},
};

/* The length stands before the body that it counts: it is written last, in its place. */
static void set_body_len(struct buffer *out, size_t record_start)
{
    uint8_t *place = out->data + out->begin + record_start;
    size_t body_len = buffer_len(out) - record_start - LINK_RECORD_HEADER_BYTES;
    for (size_t i = 0; i < sizeof(uint32_t); i++) {
        place[i] = (uint8_t)(body_len >> (8 * i));
    }
}

void link_record_put(struct buffer *out, const struct link_record *record)
{
    assert(record->kind < LINK_RECORD_KIND_COUNT && body_codecs[record->kind].put != NULL);
    if (out->failed) {
        return;
    }
    size_t start = buffer_len(out);
    buffer_put_u32(out, 0);
    buffer_put_u8(out, (uint8_t)record->kind);
    body_codecs[record->kind].put(out, record);
    if (out->failed) {
        buffer_truncate(out, start);
        out->failed = true;
        return;
    }
    set_body_len(out, start);
}

enum parse_result link_record_decode(struct slice *batch, struct link_record *record)
{
    if (batch->len == 0) {
        return PARSE_NEED_MORE;
    }
    struct reader head = {.rest = *batch};
    size_t body_len = read_u32(&head);
    uint8_t kind = read_below(&head, LINK_RECORD_KIND_COUNT);
    struct reader body = {.rest = read_bytes(&head, body_len)};
    if (head.failed || body_codecs[kind].read == NULL) {
        return PARSE_BAD;
    }
    *record = (struct link_record){.kind = (enum link_record_kind)kind};
    body_codecs[kind].read(&body, record);
    if (body.failed || body.rest.len > 0) {
        return PARSE_BAD;
    }
    *batch = head.rest;
    return PARSE_DONE;
}

void link_submit_set_repeat(uint8_t *record, size_t record_len)
{
    assert(record_len > SUBMIT_FLAGS_OFFSET && record[LINK_RECORD_HEADER_BYTES - 1] == LINK_SUBMIT);
    record[SUBMIT_FLAGS_OFFSET] |= FLAG_REPEAT;
}

size_t link_batch_cut(struct slice records, size_t max_bytes)
{
    struct reader reader = {.rest = records};
    size_t cut = 0;
    while (reader.rest.len > 0) {
        size_t body_len = read_u32(&reader);
        (void)read_u8(&reader);
        (void)read_bytes(&reader, body_len);
        assert(!reader.failed);
        size_t end = records.len - reader.rest.len;
        if (cut > 0 && end > max_bytes) {
            break;
        }
        cut = end;
    }
    return cut;
}
