/* The records that gateway and broker exchange, to bytes and back. Many records are packed into
 * one nng message (a batch); no record spans two batches.
 *
 * On the wire a record is: length of the body (u32), kind (u8), body. All integers little-endian,
 * no padding. A string is its length (u8) and its bytes; a payload is the rest of the body.
 * Decoding is strict: a body that is shorter or longer than its kind says, a string beyond its
 * bound or empty where it must not be, a number outside its enum, an unknown kind: PARSE_BAD.
 * A batch is whole by construction, so a record cut short is PARSE_BAD as well. */
#pragma once

#include "common/buffer.h"
#include "common/call_type.h"
#include "common/outcome.h"
#include "common/parse.h"

enum {
    LINK_VERSION = 3,
    LINK_RECORD_HEADER_BYTES = 5,
    /* A payload, the largest message a gateway may be configured for plus its `from`. */
    LINK_PAYLOAD_MAX_BYTES = 17 * 1024 * 1024,
    /* Room that any record needs at most besides its payload. */
    LINK_RECORD_OVERHEAD_BYTES = 512,
    LINK_LEG_STATE_MAX_BYTES = 424,
};

enum link_record_kind {
    /* gateway to broker */
    LINK_HELLO = 1,        /* first on every connection: version, the gateway's instance */
    LINK_ATTACH,           /* a session wants to be in the directory */
    LINK_DETACH,           /* it is gone */
    LINK_RETIRE,           /* take it out of the directory; it is still served, until retired */
    LINK_SYNCED,           /* all sessions that were there at the greeting have been attached */
    LINK_SUBMIT,           /* a message of a session; only once the broker is ready */
    LINK_DELIVERY_OUTCOME, /* what became of one deliver */
    /* broker to gateway */
    LINK_WELCOME,        /* first on every connection, in answer to hello */
    LINK_ATTACHED,       /* the session can be called from now on */
    LINK_RETIRED,        /* the session is out of the directory: no deliver follows for it */
    LINK_READY,          /* in answer to synced, once the directory is whole: submit now */
    LINK_DELIVER,        /* write this payload to that session */
    LINK_SUBMIT_OUTCOME, /* what became of one submit */
    LINK_EVICT,          /* close that session with this code */
    /* either way */
    LINK_LEG, /* a session's part in a call: the broker tells it to the gateway, which keeps it and
                 tells it to the next broker, behind the session's attach */
    LINK_RECORD_KIND_COUNT
};

/* hello and welcome. */
struct link_greeting {
    uint16_t version;
    uint64_t instance_id; /* random at start: who restarted is somebody else */
};

/* attach. */
struct link_attach {
    uint64_t session_id;    /* unique within the gateway's instance, never reused */
    uint64_t since_ms;      /* when the client asked, CLOCK_MONOTONIC of this machine: of two
                               sessions of one device the later one is the true one */
    bool was_attached;      /* on an earlier connection: it may have been handed messages */
    struct slice user_id;   /* 1 to USER_ID_MAX_BYTES */
    struct slice device_id; /* 0 to DEVICE_ID_MAX_BYTES */
};

/* detach, retire, attached, retired. */
struct link_session {
    uint64_t session_id;
};

/* What the broker must know of a message that belongs to a call. The sender is named, since its
 * session may be gone by the time. */
struct link_party {
    struct slice user_id;   /* the sender's; 1 to USER_ID_MAX_BYTES */
    struct slice device_id; /* 0 to DEVICE_ID_MAX_BYTES */
    struct slice reason;    /* 0 to CALL_REASON_MAX_BYTES; a longer one is only carried */
    uint64_t message_hash;  /* of the message's `type` and `id`; 0: it has no id */
    bool is_device_scope;   /* a reject of this device alone */
};

struct link_submit {
    uint64_t seq; /* rises by one with each new message of a gateway's instance */
    uint64_t session_id;
    uint64_t deadline_ms; /* not to be delivered from then on; CLOCK_MONOTONIC of this machine */
    bool is_repeat;       /* a broker may have had it before, on an earlier connection */
    bool is_awaited;      /* the sender asked for an ack: good news should not take its time */
    enum call_type type;
    struct slice to;         /* 1 to USER_ID_MAX_BYTES */
    struct slice call_id;    /* 0 (none) to CALL_ID_MAX_BYTES */
    struct link_party party; /* only with a call_id */
    struct slice payload;    /* what the target is to read, `from` and all */
};

struct link_deliver {
    uint64_t source_instance_id; /* of the gateway that submitted it */
    uint64_t seq;                /* that gateway's */
    uint64_t session_id;         /* the target's */
    uint64_t deadline_ms;        /* as submitted */
    bool is_repeat;              /* as submitted */
    bool is_awaited;             /* as submitted */
    uint64_t expires_ms; /* of a call-start: when it stops ringing, CLOCK_MONOTONIC; 0: none */
    struct slice payload;
};

struct link_delivery_outcome {
    uint64_t source_instance_id;
    uint64_t seq;
    uint64_t session_id; /* the target's: a message may go to several devices */
    enum outcome outcome;
};

struct link_submit_outcome {
    uint64_t seq;
    enum outcome outcome;
    struct slice
        detail; /* glare: the callId that stands; bad-state: the call's state; else empty */
};

/* What the state is made of is the broker's business; the gateway keeps it as it is. */
struct link_leg {
    uint64_t session_id;
    struct slice call_id; /* 1 to CALL_ID_MAX_BYTES */
    struct slice state; /* 0 (the session has no part in it any more) to LINK_LEG_STATE_MAX_BYTES */
};

struct link_evict {
    uint64_t session_id;
    uint16_t close_code;
};

struct link_record {
    enum link_record_kind kind;
    union {
        struct link_greeting greeting; /* LINK_HELLO, LINK_WELCOME */
        struct link_attach attach;
        struct link_session session; /* LINK_DETACH, LINK_RETIRE, LINK_ATTACHED, LINK_RETIRED */
        struct link_submit submit;
        struct link_deliver deliver;
        struct link_delivery_outcome delivery_outcome;
        struct link_submit_outcome submit_outcome;
        struct link_evict evict;
        struct link_leg leg;
    };
};

/* Appends one record. Out-of-range fields are our own mistake (assert). What does not fit sets
 * out->failed and leaves no part of the record behind. */
void link_record_put(struct buffer *out, const struct link_record *record);

/* Reads the first record of `batch` and moves `batch` behind it. Slices in `record` point into the
 * batch. An empty batch is PARSE_NEED_MORE: nothing is left. */
enum parse_result link_record_decode(struct slice *batch, struct link_record *record);

/* Turns a whole submit record, as link_record_put wrote it, into a repeat. */
void link_submit_set_repeat(uint8_t *record, size_t record_len);

/* How many bytes at the front of `records` (as written by link_record_put) are whole records and
 * together at most `max_bytes`; at least one record, however large. 0 only for an empty slice. */
size_t link_batch_cut(struct slice records, size_t max_bytes);
