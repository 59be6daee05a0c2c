#include "common/link_codec.h"

#include "common/identity.h"

#include <assert.h>
#include <endian.h>

/* The largest body besides its payload: submit, with both its strings at their bounds. */
enum {
    PARTY_FIXED_BYTES = 8 + 1 + 1 + 1,
    PARTY_MAX_BYTES =
        PARTY_FIXED_BYTES + USER_ID_MAX_BYTES + DEVICE_ID_MAX_BYTES + CALL_REASON_MAX_BYTES,
    SUBMIT_MAX_BYTES =
        8 + 8 + 8 + 1 + 1 + (1 + USER_ID_MAX_BYTES) + (1 + CALL_ID_MAX_BYTES) + PARTY_MAX_BYTES,
    LEG_MAX_BYTES = 8 + (1 + CALL_ID_MAX_BYTES) + LINK_LEG_STATE_MAX_BYTES,
    SUBMIT_FLAGS_OFFSET = LINK_RECORD_HEADER_BYTES + 8 + 8 + 8,
};

enum {
    FLAG_REPEAT = 1,
    FLAG_AWAITED = 2,
    FLAG_DEVICE_SCOPE = 4, /* of a submit */
    FLAG_EXPIRES = 4,      /* of a deliver: expires_ms follows */
    FLAGS_END = 8,
};

static_assert(LINK_RECORD_HEADER_BYTES + SUBMIT_MAX_BYTES <= LINK_RECORD_OVERHEAD_BYTES &&
                  LINK_RECORD_HEADER_BYTES + LEG_MAX_BYTES <= LINK_RECORD_OVERHEAD_BYTES,
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

/* `value` is filled from its bytes; 0 once the reader has failed. */
static void read_bytes_into(struct reader *reader, void *value, size_t width)
{
    struct slice bytes = read_bytes(reader, width);
    if (bytes.data != NULL) {
        memcpy(value, bytes.data, width);
    }
}

static uint8_t read_u8(struct reader *reader)
{
    uint8_t value = 0;
    read_bytes_into(reader, &value, sizeof value);
    return value;
}

static uint16_t read_u16(struct reader *reader)
{
    uint16_t value = 0;
    read_bytes_into(reader, &value, sizeof value);
    return le16toh(value);
}

static uint32_t read_u32(struct reader *reader)
{
    uint32_t value = 0;
    read_bytes_into(reader, &value, sizeof value);
    return le32toh(value);
}

static uint64_t read_u64(struct reader *reader)
{
    uint64_t value = 0;
    read_bytes_into(reader, &value, sizeof value);
    return le64toh(value);
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

/* Where the next byte goes; the room was made for the whole record. */
struct writer {
    uint8_t *at;
};

static void put_bytes(struct writer *writer, const void *bytes, size_t count)
{
    if (count > 0) {
        memcpy(writer->at, bytes, count);
        writer->at += count;
    }
}

static void put_u8(struct writer *writer, uint8_t value)
{
    *writer->at++ = value;
}

static void put_u16(struct writer *writer, uint16_t value)
{
    uint16_t bytes = htole16(value);
    put_bytes(writer, &bytes, sizeof bytes);
}

static void put_u32(struct writer *writer, uint32_t value)
{
    uint32_t bytes = htole32(value);
    put_bytes(writer, &bytes, sizeof bytes);
}

static void put_u64(struct writer *writer, uint64_t value)
{
    uint64_t bytes = htole64(value);
    put_bytes(writer, &bytes, sizeof bytes);
}

static bool read_flag(struct reader *reader)
{
    return read_below(reader, 2) != 0;
}

/* The two flags of submit and deliver, a bit each. */
static void put_message_flags(struct writer *writer, bool is_repeat, bool is_awaited, uint8_t more)
{
    put_u8(writer,
           (uint8_t)((is_repeat ? FLAG_REPEAT : 0) | (is_awaited ? FLAG_AWAITED : 0) | more));
}

/* Returns the flags that are left. */
static uint8_t read_message_flags(struct reader *reader, bool *is_repeat, bool *is_awaited)
{
    uint8_t flags = read_below(reader, FLAGS_END);
    *is_repeat = (flags & FLAG_REPEAT) != 0;
    *is_awaited = (flags & FLAG_AWAITED) != 0;
    return flags & (uint8_t) ~(FLAG_REPEAT | FLAG_AWAITED);
}

static void put_string(struct writer *writer, struct slice string, size_t min_bytes,
                       size_t max_bytes)
{
    assert(string.len >= min_bytes && string.len <= max_bytes);
    put_u8(writer, (uint8_t)string.len);
    put_bytes(writer, string.data, string.len);
}

static void put_payload(struct writer *writer, struct slice payload)
{
    assert(payload.len <= LINK_PAYLOAD_MAX_BYTES);
    put_bytes(writer, payload.data, payload.len);
}

static void put_outcome(struct writer *writer, enum outcome outcome)
{
    assert(outcome < OUTCOME_COUNT);
    put_u8(writer, (uint8_t)outcome);
}

static void put_greeting(struct writer *writer, const struct link_record *record)
{
    put_u16(writer, record->greeting.version);
    put_u64(writer, record->greeting.instance_id);
}

static void read_greeting(struct reader *reader, struct link_record *record)
{
    record->greeting.version = read_u16(reader);
    record->greeting.instance_id = read_u64(reader);
}

static void put_attach(struct writer *writer, const struct link_record *record)
{
    put_u64(writer, record->attach.session_id);
    put_u64(writer, record->attach.since_ms);
    put_u8(writer, record->attach.was_attached ? 1 : 0);
    put_string(writer, record->attach.user_id, 1, USER_ID_MAX_BYTES);
    put_string(writer, record->attach.device_id, 0, DEVICE_ID_MAX_BYTES);
}

static void read_attach(struct reader *reader, struct link_record *record)
{
    record->attach.session_id = read_u64(reader);
    record->attach.since_ms = read_u64(reader);
    record->attach.was_attached = read_flag(reader);
    record->attach.user_id = read_string(reader, 1, USER_ID_MAX_BYTES);
    record->attach.device_id = read_string(reader, 0, DEVICE_ID_MAX_BYTES);
}

static void put_session(struct writer *writer, const struct link_record *record)
{
    put_u64(writer, record->session.session_id);
}

static void read_session(struct reader *reader, struct link_record *record)
{
    record->session.session_id = read_u64(reader);
}

/* synced and ready say all by their kind. */
static void put_nothing(struct writer *writer, const struct link_record *record)
{
    (void)writer;
    (void)record;
}

static void read_nothing(struct reader *reader, struct link_record *record)
{
    (void)reader;
    (void)record;
}

static void put_party(struct writer *writer, const struct link_party *party)
{
    put_string(writer, party->user_id, 1, USER_ID_MAX_BYTES);
    put_string(writer, party->device_id, 0, DEVICE_ID_MAX_BYTES);
    put_string(writer, party->reason, 0, CALL_REASON_MAX_BYTES);
    put_u64(writer, party->message_hash);
}

static void read_party(struct reader *reader, struct link_party *party)
{
    party->user_id = read_string(reader, 1, USER_ID_MAX_BYTES);
    party->device_id = read_string(reader, 0, DEVICE_ID_MAX_BYTES);
    party->reason = read_string(reader, 0, CALL_REASON_MAX_BYTES);
    party->message_hash = read_u64(reader);
}

static void put_submit(struct writer *writer, const struct link_record *record)
{
    assert(record->submit.type < CALL_TYPE_COUNT);
    put_u64(writer, record->submit.seq);
    put_u64(writer, record->submit.session_id);
    put_u64(writer, record->submit.deadline_ms);
    bool is_device_scope = record->submit.call_id.len > 0 && record->submit.party.is_device_scope;
    put_message_flags(writer, record->submit.is_repeat, record->submit.is_awaited,
                      is_device_scope ? FLAG_DEVICE_SCOPE : 0);
    put_u8(writer, (uint8_t)record->submit.type);
    put_string(writer, record->submit.to, 1, USER_ID_MAX_BYTES);
    put_string(writer, record->submit.call_id, 0, CALL_ID_MAX_BYTES);
    if (record->submit.call_id.len > 0) {
        put_party(writer, &record->submit.party);
    }
    put_payload(writer, record->submit.payload);
}

static void read_submit(struct reader *reader, struct link_record *record)
{
    record->submit.seq = read_u64(reader);
    record->submit.session_id = read_u64(reader);
    record->submit.deadline_ms = read_u64(reader);
    uint8_t flags =
        read_message_flags(reader, &record->submit.is_repeat, &record->submit.is_awaited);
    record->submit.type = (enum call_type)read_below(reader, CALL_TYPE_COUNT);
    record->submit.to = read_string(reader, 1, USER_ID_MAX_BYTES);
    record->submit.call_id = read_string(reader, 0, CALL_ID_MAX_BYTES);
    if (record->submit.call_id.len > 0) {
        record->submit.party.is_device_scope = (flags & FLAG_DEVICE_SCOPE) != 0;
        read_party(reader, &record->submit.party);
    } else if (flags != 0) {
        reader->failed = true;
    }
    record->submit.payload = read_payload(reader);
}

static void put_delivery_outcome(struct writer *writer, const struct link_record *record)
{
    put_u64(writer, record->delivery_outcome.source_instance_id);
    put_u64(writer, record->delivery_outcome.seq);
    put_u64(writer, record->delivery_outcome.session_id);
    put_outcome(writer, record->delivery_outcome.outcome);
}

static void read_delivery_outcome(struct reader *reader, struct link_record *record)
{
    record->delivery_outcome.source_instance_id = read_u64(reader);
    record->delivery_outcome.seq = read_u64(reader);
    record->delivery_outcome.session_id = read_u64(reader);
    record->delivery_outcome.outcome = (enum outcome)read_below(reader, OUTCOME_COUNT);
}

static void put_deliver(struct writer *writer, const struct link_record *record)
{
    put_u64(writer, record->deliver.source_instance_id);
    put_u64(writer, record->deliver.seq);
    put_u64(writer, record->deliver.session_id);
    put_u64(writer, record->deliver.deadline_ms);
    put_message_flags(writer, record->deliver.is_repeat, record->deliver.is_awaited,
                      record->deliver.expires_ms > 0 ? FLAG_EXPIRES : 0);
    if (record->deliver.expires_ms > 0) {
        put_u64(writer, record->deliver.expires_ms);
    }
    put_payload(writer, record->deliver.payload);
}

static void read_deliver(struct reader *reader, struct link_record *record)
{
    record->deliver.source_instance_id = read_u64(reader);
    record->deliver.seq = read_u64(reader);
    record->deliver.session_id = read_u64(reader);
    record->deliver.deadline_ms = read_u64(reader);
    uint8_t flags =
        read_message_flags(reader, &record->deliver.is_repeat, &record->deliver.is_awaited);
    record->deliver.expires_ms = 0;
    if ((flags & FLAG_EXPIRES) != 0) {
        record->deliver.expires_ms = read_u64(reader);
        if (record->deliver.expires_ms == 0) {
            reader->failed = true; /* there is one way to say it */
        }
    }
    record->deliver.payload = read_payload(reader);
}

static void put_submit_outcome(struct writer *writer, const struct link_record *record)
{
    put_u64(writer, record->submit_outcome.seq);
    put_outcome(writer, record->submit_outcome.outcome);
    put_string(writer, record->submit_outcome.detail, 0, CALL_ID_MAX_BYTES);
}

static void read_submit_outcome(struct reader *reader, struct link_record *record)
{
    record->submit_outcome.seq = read_u64(reader);
    record->submit_outcome.outcome = (enum outcome)read_below(reader, OUTCOME_COUNT);
    record->submit_outcome.detail = read_string(reader, 0, CALL_ID_MAX_BYTES);
}

static void put_evict(struct writer *writer, const struct link_record *record)
{
    put_u64(writer, record->evict.session_id);
    put_u16(writer, record->evict.close_code);
}

static void read_evict(struct reader *reader, struct link_record *record)
{
    record->evict.session_id = read_u64(reader);
    record->evict.close_code = read_u16(reader);
}

static void put_leg(struct writer *writer, const struct link_record *record)
{
    assert(record->leg.state.len <= LINK_LEG_STATE_MAX_BYTES);
    put_u64(writer, record->leg.session_id);
    put_string(writer, record->leg.call_id, 1, CALL_ID_MAX_BYTES);
    put_bytes(writer, record->leg.state.data, record->leg.state.len);
}

static void read_leg(struct reader *reader, struct link_record *record)
{
    record->leg.session_id = read_u64(reader);
    record->leg.call_id = read_string(reader, 1, CALL_ID_MAX_BYTES);
    if (reader->rest.len > LINK_LEG_STATE_MAX_BYTES) {
        reader->failed = true;
    }
    record->leg.state = read_bytes(reader, reader->rest.len);
}

/* A body's two directions, and its length without strings' and payloads' bytes; a kind without them
 * does not exist. */
struct body_codec {
    void (*put)(struct writer *writer, const struct link_record *record);
    void (*read)(struct reader *reader, struct link_record *record);
    size_t fixed_bytes;
};

static const struct body_codec body_codecs[LINK_RECORD_KIND_COUNT] = {
    [LINK_HELLO] = {put_greeting, read_greeting, 2 + 8},
    [LINK_ATTACH] = {put_attach, read_attach, 8 + 8 + 1 + 1 + 1},
    [LINK_DETACH] = {put_session, read_session, 8},
    [LINK_RETIRE] = {put_session, read_session, 8},
    [LINK_SYNCED] = {put_nothing, read_nothing, 0},
    [LINK_SUBMIT] = {put_submit, read_submit, 8 + 8 + 8 + 1 + 1 + 1 + 1},
    [LINK_DELIVERY_OUTCOME] = {put_delivery_outcome, read_delivery_outcome, 8 + 8 + 8 + 1},
    [LINK_WELCOME] = {put_greeting, read_greeting, 2 + 8},
    [LINK_ATTACHED] = {put_session, read_session, 8},
    [LINK_RETIRED] = {put_session, read_session, 8},
    [LINK_READY] = {put_nothing, read_nothing, 0},
    [LINK_DELIVER] = {put_deliver, read_deliver, 8 + 8 + 8 + 8 + 1},
    [LINK_SUBMIT_OUTCOME] = {put_submit_outcome, read_submit_outcome, 8 + 1 + 1},
    [LINK_EVICT] = {put_evict, read_evict, 8 + 2},
    [LINK_LEG] = {put_leg, read_leg, 8 + 1},
};

static size_t party_bytes(const struct link_party *party)
{
    return PARTY_FIXED_BYTES + party->user_id.len + party->device_id.len + party->reason.len;
}

static size_t body_bytes(const struct link_record *record)
{
    size_t bytes = body_codecs[record->kind].fixed_bytes;
    switch (record->kind) {
    case LINK_ATTACH:
        return bytes + record->attach.user_id.len + record->attach.device_id.len;
    case LINK_SUBMIT:
        bytes += record->submit.to.len + record->submit.call_id.len + record->submit.payload.len;
        return record->submit.call_id.len > 0 ? bytes + party_bytes(&record->submit.party) : bytes;
    case LINK_DELIVER:
        bytes += record->deliver.expires_ms > 0 ? sizeof record->deliver.expires_ms : 0;
        return bytes + record->deliver.payload.len;
    case LINK_SUBMIT_OUTCOME:
        return bytes + record->submit_outcome.detail.len;
    case LINK_LEG:
        return bytes + record->leg.call_id.len + record->leg.state.len;
    default:
        return bytes;
    }
}

void link_record_put(struct buffer *out, const struct link_record *record)
{
    assert(record->kind < LINK_RECORD_KIND_COUNT && body_codecs[record->kind].put != NULL);
    size_t body_len = body_bytes(record);
    uint8_t *room = buffer_reserve(out, LINK_RECORD_HEADER_BYTES + body_len);
    if (room == NULL) {
        return;
    }
    struct writer writer = {.at = room};
    put_u32(&writer, (uint32_t)body_len);
    put_u8(&writer, (uint8_t)record->kind);
    body_codecs[record->kind].put(&writer, record);
    assert(writer.at == room + LINK_RECORD_HEADER_BYTES + body_len);
    buffer_commit(out, LINK_RECORD_HEADER_BYTES + body_len);
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
    record->kind = (enum link_record_kind)kind; /* each kind's reader fills all that it has */
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
