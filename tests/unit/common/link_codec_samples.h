/* One record of each kind, with every field set, and the same on the wire. */
#pragma once

#include "common/link_codec.h"

#define BIG UINT64_C(0x8877665544332211)
#define TEXT(literal)                                                  \
    {                                                                  \
        .data = (const uint8_t *)(literal), .len = sizeof(literal) - 1 \
    }

static const struct link_record samples[LINK_RECORD_KIND_COUNT] = {
    [LINK_HELLO] = {.kind = LINK_HELLO, .greeting = {.version = 0x0102, .instance_id = BIG}},
    [LINK_ATTACH] = {.kind = LINK_ATTACH,
                     .attach = {.session_id = BIG,
                                .since_ms = 7,
                                .was_attached = true,
                                .user_id = TEXT("alice"),
                                .device_id = TEXT("phone")}},
    [LINK_DETACH] = {.kind = LINK_DETACH, .session = {.session_id = BIG}},
    [LINK_RETIRE] = {.kind = LINK_RETIRE, .session = {.session_id = BIG}},
    [LINK_SYNCED] = {.kind = LINK_SYNCED},
    [LINK_SUBMIT] = {.kind = LINK_SUBMIT,
                     .submit = {.seq = 1,
                                .session_id = BIG,
                                .deadline_ms = 9,
                                .is_repeat = true,
                                .is_awaited = true,
                                .type = CALL_TYPE_CANDIDATE,
                                .to = TEXT("bob"),
                                .call_id = TEXT("c1"),
                                .party = {.user_id = TEXT("alice"),
                                          .device_id = TEXT("phone"),
                                          .reason = TEXT("busy"),
                                          .message_hash = BIG,
                                          .is_device_scope = true},
                                .payload = TEXT("{\"from\":\"alice\"}")}},
    [LINK_DELIVERY_OUTCOME] = {.kind = LINK_DELIVERY_OUTCOME,
                               .delivery_outcome = {.source_instance_id = BIG,
                                                    .seq = 2,
                                                    .session_id = 3,
                                                    .outcome = OUTCOME_UNCONFIRMED}},
    [LINK_WELCOME] = {.kind = LINK_WELCOME, .greeting = {.version = 0x0102, .instance_id = BIG}},
    [LINK_ATTACHED] = {.kind = LINK_ATTACHED, .session = {.session_id = BIG}},
    [LINK_RETIRED] = {.kind = LINK_RETIRED, .session = {.session_id = BIG}},
    [LINK_READY] = {.kind = LINK_READY},
    [LINK_DELIVER] = {.kind = LINK_DELIVER,
                      .deliver = {.source_instance_id = BIG,
                                  .seq = 2,
                                  .session_id = 3,
                                  .deadline_ms = 9,
                                  .is_repeat = true,
                                  .is_awaited = true,
                                  .expires_ms = 10,
                                  .payload = TEXT("{}")}},
    [LINK_SUBMIT_OUTCOME] = {.kind = LINK_SUBMIT_OUTCOME,
                             .submit_outcome = {.seq = BIG,
                                                .outcome = OUTCOME_BAD_STATE,
                                                .detail = TEXT("ringing")}},
    [LINK_EVICT] = {.kind = LINK_EVICT, .evict = {.session_id = BIG, .close_code = 4501}},
    [LINK_LEG] = {.kind = LINK_LEG,
                  .leg = {.session_id = BIG, .call_id = TEXT("c1"), .state = TEXT("\x01\0")}},
};

#define BIG_BYTES "\x11\x22\x33\x44\x55\x66\x77\x88"
#define U64_BYTES(low) low "\0\0\0\0\0\0\0"
#define HEADER(len, kind) len "\0\0\0" kind

/* Body length, kind, body. */
static const struct slice sample_bytes[LINK_RECORD_KIND_COUNT] = {
    [LINK_HELLO] = TEXT(HEADER("\x0a", "\x01") "\x02\x01" BIG_BYTES),
    [LINK_ATTACH] = TEXT(HEADER("\x1d", "\x02") BIG_BYTES U64_BYTES("\x07") "\x01\x05"
                                                                            "alice\x05"
                                                                            "phone"),
    [LINK_DETACH] = TEXT(HEADER("\x08", "\x03") BIG_BYTES),
    [LINK_RETIRE] = TEXT(HEADER("\x08", "\x04") BIG_BYTES),
    [LINK_SYNCED] = TEXT(HEADER("\x00", "\x05")),
    [LINK_SUBMIT] = TEXT(HEADER("\x4a", "\x06") U64_BYTES("\x01")
                             BIG_BYTES U64_BYTES("\x09") "\x07\x08\x03"
                                                         "bob\x02"
                                                         "c1\x05"
                                                         "alice\x05"
                                                         "phone\x04"
                                                         "busy" BIG_BYTES "{\"from\":"
                                                         "\"alice\"}"),
    [LINK_DELIVERY_OUTCOME] =
        TEXT(HEADER("\x19", "\x07") BIG_BYTES U64_BYTES("\x02") U64_BYTES("\x03") "\x07"),
    [LINK_WELCOME] = TEXT(HEADER("\x0a", "\x08") "\x02\x01" BIG_BYTES),
    [LINK_ATTACHED] = TEXT(HEADER("\x08", "\x09") BIG_BYTES),
    [LINK_RETIRED] = TEXT(HEADER("\x08", "\x0a") BIG_BYTES),
    [LINK_READY] = TEXT(HEADER("\x00", "\x0b")),
    [LINK_DELIVER] = TEXT(HEADER("\x2b", "\x0c") BIG_BYTES U64_BYTES("\x02") U64_BYTES("\x03")
                              U64_BYTES("\x09") "\x07" U64_BYTES("\x0a") "{}"),
    [LINK_SUBMIT_OUTCOME] = TEXT(HEADER("\x11", "\x0d") BIG_BYTES "\x0e\x07"
                                                                  "ringing"),
    [LINK_EVICT] = TEXT(HEADER("\x0a", "\x0e") BIG_BYTES "\x95\x11"),
    [LINK_LEG] = TEXT(HEADER("\x0d", "\x0f") BIG_BYTES "\x02"
                                                       "c1\x01\0"),
};

/* Where the fields stand that take few of the values of their byte. */
enum {
    ATTACH_FLAG_OFFSET = LINK_RECORD_HEADER_BYTES + 16,
    SUBMIT_FLAGS_OFFSET = LINK_RECORD_HEADER_BYTES + 24,
    SUBMIT_TYPE_OFFSET = LINK_RECORD_HEADER_BYTES + 25,
    DELIVER_FLAGS_OFFSET = LINK_RECORD_HEADER_BYTES + 32,
    SUBMIT_OUTCOME_OFFSET = LINK_RECORD_HEADER_BYTES + 8,
};
