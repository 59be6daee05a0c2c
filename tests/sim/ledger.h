/* Every message of a run, every delivery and every outcome; says at once when one of them breaks a
 * promise:
 * - a message is delivered to a session at most once (one of a call once by each broker: what a
 *   broker that died said again itself, gateways do not know under their own name);
 * - it has at most one outcome, told to its own sender, and none if it was never sent;
 * - messages of one session to one session are delivered in the order sent: plain ones, and those
 *   of one call by one broker (what waits for a device waits apart for each call);
 * - a payload is what the sender sent, with the true `from`, and goes to the user it names;
 * - it is not put into a stream once its time is over;
 * - what was refused is never written to a session, and what was answered delivered has been, but
 *   for what a call alone is told (sim_ledger_outcome).
 * A message of a call can be sent again, over another session: it is another message then, with the
 * same `id`. */
#pragma once

#include "common/buffer.h"
#include "common/call_type.h"
#include "common/outcome.h"
#include "tests/sim/trace.h"

static const uint32_t sim_no_delivery = UINT32_MAX;
static const uint32_t sim_no_message = UINT32_MAX;
static const uint32_t sim_no_call = UINT32_MAX;

struct sim_message {
    uint32_t sender; /* the client's number */
    uint32_t number; /* of that sender's messages */
    uint32_t from_user;
    uint32_t from_device;
    uint32_t to_user;
    uint32_t padding_bytes;
    uint32_t call;          /* sim_no_call: a plain message */
    enum call_type type;    /* of a call's message */
    bool is_device_scope;   /* of a call's reject */
    bool is_fair;           /* its sender may do that, as far as it knows */
    uint32_t first;         /* the message that it says again; itself: none */
    uint32_t last_again;    /* of a first one: the last that says it again, or itself */
    uint32_t before_again;  /* sim_no_message: none */
    uint32_t last_delivery; /* sim_no_delivery: none */
    uint64_t deadline_ms;   /* for its outcome */
    uint64_t late_ms;       /* not to be delivered from then on */
    uint64_t sent_at_event;
    bool is_owed; /* an outcome: none was told, and the sender is still there */
    bool has_outcome;
    bool is_written; /* to some session, in full */
    bool is_routed;  /* a broker has handed it to some gateway */
    enum outcome outcome;
};

struct sim_delivery {
    uint32_t message;
    uint32_t reader;            /* the client's number */
    uint32_t before_of_message; /* the message's delivery before this one, sim_no_delivery: none */
    uint32_t before_of_reader;
    uint32_t broker_count; /* of brokers by then */
    bool is_written;
};

struct sim_ledger {
    struct sim_trace *trace;
    struct sim_message *messages;
    uint32_t message_count;
    uint32_t message_cap;
    struct sim_delivery *deliveries;
    uint32_t delivery_count;
    uint32_t delivery_cap;
    uint64_t now_ms;
    uint32_t broker_count; /* of all brokers so far */
    uint32_t first_owed;   /* no message before it is owed an outcome */
    struct buffer expected;
};

/* Whoever gets a payload. */
struct sim_reader {
    uint32_t client;
    uint32_t user;
    uint32_t last_delivery; /* sim_no_delivery at first; kept by the ledger */
};

void sim_ledger_init(struct sim_ledger *ledger, struct sim_trace *trace);
void sim_ledger_fini(struct sim_ledger *ledger);

/* `message` with who sends what to whom, its padding and its times, and `first` if it says another
 * again (else sim_no_message); gives its place. */
uint32_t sim_ledger_send(struct sim_ledger *ledger, const struct sim_message *message);
/* The JSON text in which a message is sent. */
void sim_ledger_put_text(const struct sim_ledger *ledger, uint32_t message, struct buffer *out);
/* The message whose payload that is, on the link or in a stream. False: nobody's. */
MUST_CHECK bool sim_ledger_find(const struct sim_ledger *ledger, struct slice payload,
                                uint32_t *message);
/* A payload was put into a reader's stream. sim_no_delivery: it is nobody's. */
uint32_t sim_ledger_deliver(struct sim_ledger *ledger, struct sim_reader *reader,
                            struct slice payload);
/* A delivery's last byte went to the socket. */
void sim_ledger_written(struct sim_ledger *ledger, uint32_t delivery);
/* In how many milliseconds that payload stops ringing. False: it says nothing of it. */
MUST_CHECK bool sim_ledger_read_expiry(struct slice payload, uint32_t *left_ms);
/* What `client` was told of the message with the JSON text `id`; gives its place. sim_no_message:
 * it was told of nothing that was sent. What has been said again, what only one device of several
 * leaves a call with, and what begins a call or ends one that nobody has heard of, may be called
 * delivered without being written. */
uint32_t sim_ledger_outcome(struct sim_ledger *ledger, uint32_t client, struct slice id,
                            enum outcome outcome);
/* The sender is gone: it is owed nothing. */
void sim_ledger_forget_sender(struct sim_ledger *ledger, uint32_t client);
/* True: the message was written in full to that client. */
bool sim_ledger_is_written_to(const struct sim_ledger *ledger, uint32_t message, uint32_t client);
