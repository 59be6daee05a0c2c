#include "tests/sim/ledger.h"

#include <inttypes.h>
#include <stdlib.h>

enum { FIRST_CAP = 256, TEXT_MAX_BYTES = 4096, DECIMAL = 10, DEVICE_MAX_BYTES = 16 };

void sim_ledger_init(struct sim_ledger *ledger, struct sim_trace *trace)
{
    *ledger = (struct sim_ledger){.trace = trace};
    buffer_init(&ledger->expected, TEXT_MAX_BYTES);
}

void sim_ledger_fini(struct sim_ledger *ledger)
{
    free(ledger->messages);
    free(ledger->deliveries);
    buffer_fini(&ledger->expected);
}

/* Room for one more of `item_bytes`; a test that has no memory ends. */
static void *grow(void *items, uint32_t count, uint32_t *cap, size_t item_bytes)
{
    if (count < *cap) {
        return items;
    }
    *cap = *cap == 0 ? FIRST_CAP : *cap * 2;
    void *grown = realloc(items, *cap * item_bytes);
    if (grown == NULL) {
        abort();
    }
    return grown;
}

uint32_t sim_ledger_send(struct sim_ledger *ledger, const struct sim_message *message)
{
    ledger->messages = grow(ledger->messages, ledger->message_count, &ledger->message_cap,
                            sizeof *ledger->messages);
    struct sim_message *added = &ledger->messages[ledger->message_count];
    *added = *message;
    added->last_delivery = sim_no_delivery;
    added->is_owed = true;
    uint32_t place = ledger->message_count;
    added->before_again = sim_no_message;
    added->last_again = place;
    if (added->first == sim_no_message) {
        added->first = place;
    } else {
        struct sim_message *first = &ledger->messages[added->first];
        added->before_again = first->last_again;
        first->last_again = place;
    }
    if (added->call == sim_no_call) {
        added->type = (enum call_type)(place % CALL_TYPE_COUNT);
    }
    added->sent_at_event = ledger->trace->event_count;
    sim_trace_note(ledger->trace, SIM_EVENT_SEND, ledger->message_count, added->sender,
                   added->to_user, 0);
    return ledger->message_count++;
}

/* What follows the opening brace. */
static void put_members(const struct sim_ledger *ledger, uint32_t message, struct buffer *out)
{
    static const char padding[] =
        "................................................................";
    const struct sim_message *sent = &ledger->messages[message];
    buffer_put_format(out,
                      "\"m\":%" PRIu32 ",\"id\":%" PRIu32 ",\"s\":%" PRIu32 ",\"n\":%" PRIu32
                      ",\"to\":\"u%" PRIu32 "\",\"type\":\"%s\",",
                      message, sent->first, sent->sender, sent->number, sent->to_user,
                      call_type_name(sent->type));
    if (sent->call != sim_no_call) {
        buffer_put_format(out, "\"callId\":\"c%" PRIu32 "\",%s", sent->call,
                          sent->is_device_scope ? "\"scope\":\"device\"," : "");
    }
    buffer_put_string(out, "\"pad\":\"");
    for (size_t rest = sent->padding_bytes; rest > 0;) {
        size_t part = rest < sizeof padding - 1 ? rest : sizeof padding - 1;
        buffer_put(out, slice_of(padding, part));
        rest -= part;
    }
    buffer_put_string(out, "\"}");
}

void sim_ledger_put_text(const struct sim_ledger *ledger, uint32_t message, struct buffer *out)
{
    buffer_put_u8(out, '{');
    put_members(ledger, message, out);
}

/* Reads the digits at the front. False: there are none, or too many. */
static bool read_number(struct slice text, uint32_t *number)
{
    uint64_t value = 0;
    size_t count = 0;
    while (count < text.len && text.data[count] >= '0' && text.data[count] <= '9') {
        value = value * DECIMAL + (uint64_t)(text.data[count] - '0');
        count++;
        if (value > UINT32_MAX) {
            return false;
        }
    }
    *number = (uint32_t)value;
    return count > 0;
}

bool sim_ledger_find(const struct sim_ledger *ledger, struct slice payload, uint32_t *message)
{
    static const char label[] = "\"m\":";
    uint8_t *at = memmem(payload.data, payload.len, label, sizeof label - 1);
    return at != NULL &&
           read_number(slice_drop(payload, (size_t)(at - payload.data) + sizeof label - 1),
                       message) &&
           *message < ledger->message_count;
}

static const char expiry_label[] = "{\"expiresInMs\":";

bool sim_ledger_read_expiry(struct slice payload, uint32_t *left_ms)
{
    size_t len = sizeof expiry_label - 1;
    return payload.len > len && memcmp(payload.data, expiry_label, len) == 0 &&
           read_number(slice_drop(payload, len), left_ms);
}

/* What the reader is to find in front of the sender's members. */
static void put_server_members(struct buffer *out, const struct sim_message *sent,
                               struct slice payload)
{
    uint32_t left_ms = 0;
    buffer_put_u8(out, '{');
    if (sent->call == sim_no_call) {
        buffer_put_format(out, "\"from\":\"u%" PRIu32 "\",", sent->from_user);
        return;
    }
    if (sent->type == CALL_TYPE_START && sim_ledger_read_expiry(payload, &left_ms)) {
        buffer_put_format(out, "\"expiresInMs\":%" PRIu32 ",", left_ms);
    }
    char device[DEVICE_MAX_BYTES];
    (void)snprintf(device, sizeof device, "d%" PRIu32, sent->from_device);
    buffer_put_format(out, "\"from\":\"u%" PRIu32 "\",\"fromDevice\":\"%s\",", sent->from_user,
                      sent->from_device == 0 ? "" : device);
}

static void check_payload(struct sim_ledger *ledger, const struct sim_reader *reader,
                          uint32_t message, struct slice payload)
{
    const struct sim_message *sent = &ledger->messages[message];
    buffer_clear(&ledger->expected);
    put_server_members(&ledger->expected, sent, payload);
    put_members(ledger, message, &ledger->expected);
    if (ledger->expected.data == NULL || !slice_equal(buffer_slice(&ledger->expected), payload)) {
        sim_trace_break(ledger->trace,
                        "4: the payload of message %" PRIu32 " or its `from` is not the sender's",
                        message);
    }
    if (sent->to_user != reader->user) {
        sim_trace_break(ledger->trace,
                        "4: message %" PRIu32 " to user %" PRIu32 " was delivered to user %" PRIu32,
                        message, sent->to_user, reader->user);
    }
}

static bool is_call_start(const struct sim_message *message)
{
    return message->call != sim_no_call && message->type == CALL_TYPE_START;
}

static void check_once(struct sim_ledger *ledger, const struct sim_reader *reader, uint32_t message)
{
    uint32_t at = ledger->messages[message].last_delivery;
    for (; at != sim_no_delivery; at = ledger->deliveries[at].before_of_message) {
        bool is_from_before = ledger->messages[message].call != sim_no_call &&
                              ledger->deliveries[at].broker_count < ledger->broker_count;
        if (ledger->deliveries[at].reader == reader->client && !is_from_before) {
            sim_trace_break(ledger->trace,
                            "1: message %" PRIu32 " was delivered to client %" PRIu32 " twice",
                            message, reader->client);
        }
    }
}

static void check_order(struct sim_ledger *ledger, const struct sim_reader *reader,
                        uint32_t message)
{
    const struct sim_message *sent = &ledger->messages[message];
    uint32_t at = reader->last_delivery;
    if (is_call_start(sent)) {
        return; /* better late than never: its gateway may have submitted it again */
    }
    for (; at != sim_no_delivery; at = ledger->deliveries[at].before_of_reader) {
        uint32_t earlier = ledger->deliveries[at].message;
        if (ledger->messages[earlier].sender == sent->sender &&
            ledger->messages[earlier].call == sent->call) {
            if (sent->call != sim_no_call &&
                ledger->deliveries[at].broker_count < ledger->broker_count) {
                return;
            }
            if (ledger->messages[earlier].number > sent->number) {
                sim_trace_break(ledger->trace,
                                "3: client %" PRIu32 " got message %" PRIu32 " behind %" PRIu32
                                " of the same sender",
                                reader->client, message, earlier);
            }
            return;
        }
    }
}

static void check_time(struct sim_ledger *ledger, const struct sim_reader *reader, uint32_t message)
{
    if (ledger->messages[message].late_ms <= ledger->now_ms) {
        sim_trace_break(ledger->trace,
                        "13: message %" PRIu32 " was delivered to client %" PRIu32 " too late",
                        message, reader->client);
    }
}

uint32_t sim_ledger_deliver(struct sim_ledger *ledger, struct sim_reader *reader,
                            struct slice payload)
{
    uint32_t message = 0;
    if (!sim_ledger_find(ledger, payload, &message)) {
        sim_trace_break(ledger->trace, "4: client %" PRIu32 " got what nobody sent",
                        reader->client);
        return sim_no_delivery;
    }
    check_payload(ledger, reader, message, payload);
    check_once(ledger, reader, message);
    check_order(ledger, reader, message);
    check_time(ledger, reader, message);
    ledger->deliveries = grow(ledger->deliveries, ledger->delivery_count, &ledger->delivery_cap,
                              sizeof *ledger->deliveries);
    struct sim_message *sent = &ledger->messages[message];
    ledger->deliveries[ledger->delivery_count] = (struct sim_delivery){
        .message = message,
        .reader = reader->client,
        .before_of_message = sent->last_delivery,
        .before_of_reader = reader->last_delivery,
        .broker_count = ledger->broker_count,
    };
    sent->last_delivery = ledger->delivery_count;
    reader->last_delivery = ledger->delivery_count;
    return ledger->delivery_count++;
}

/* An outcome that says that nobody got the message, and nobody ever will. */
static bool is_refusal(enum outcome outcome)
{
    return outcome != OUTCOME_DELIVERED && outcome != OUTCOME_UNCONFIRMED;
}

void sim_ledger_written(struct sim_ledger *ledger, uint32_t delivery)
{
    struct sim_delivery *written = &ledger->deliveries[delivery];
    struct sim_message *message = &ledger->messages[written->message];
    sim_trace_note(ledger->trace, SIM_EVENT_WRITTEN, written->message, written->reader, 0, 0);
    written->is_written = true;
    message->is_written = true;
    if (message->has_outcome && is_refusal(message->outcome)) {
        sim_trace_break(ledger->trace,
                        "5: message %" PRIu32 " was written to client %" PRIu32
                        " after its sender had been told %s",
                        written->message, written->reader, outcome_code(message->outcome));
    }
}

/* True: the broker may call it delivered although nobody is to read it. */
static bool may_end_unread(const struct sim_ledger *ledger, const struct sim_message *sent)
{
    return sent->call != sim_no_call &&
           (&ledger->messages[sent->first] != sent || sent->type == CALL_TYPE_START ||
            sent->type == CALL_TYPE_CANCEL || sent->type == CALL_TYPE_END || sent->is_device_scope);
}

static void check_outcome(struct sim_ledger *ledger, uint32_t message, uint32_t client,
                          enum outcome outcome)
{
    const struct sim_message *sent = &ledger->messages[message];
    if (sent->sender != client) {
        sim_trace_break(ledger->trace,
                        "2: client %" PRIu32 " was told of message %" PRIu32 " of another", client,
                        message);
    }
    if (sent->has_outcome) {
        sim_trace_break(ledger->trace, "2: message %" PRIu32 " has two outcomes: %s and %s",
                        message, outcome_code(sent->outcome), outcome_code(outcome));
    }
    if (outcome == OUTCOME_DELIVERED && !sent->is_written && !may_end_unread(ledger, sent)) {
        sim_trace_break(ledger->trace,
                        "5: message %" PRIu32 " is called delivered and was written to nobody",
                        message);
    }
    if (is_refusal(outcome) && sent->is_written) {
        sim_trace_break(ledger->trace, "5: message %" PRIu32 " is called %s and was written",
                        message, outcome_code(outcome));
    }
}

/* The last that this client sent with that id, or whatever has it. */
static uint32_t last_of(const struct sim_ledger *ledger, uint32_t first, uint32_t client)
{
    uint32_t at = ledger->messages[first].last_again;
    while (at != sim_no_message && ledger->messages[at].sender != client) {
        at = ledger->messages[at].before_again;
    }
    return at != sim_no_message ? at : first;
}

uint32_t sim_ledger_outcome(struct sim_ledger *ledger, uint32_t client, struct slice id,
                            enum outcome outcome)
{
    uint32_t message = 0;
    if (!read_number(id, &message) || message >= ledger->message_count) {
        sim_trace_break(ledger->trace, "2: client %" PRIu32 " got an outcome of nothing", client);
        return sim_no_message;
    }
    message = last_of(ledger, message, client);
    sim_trace_note(ledger->trace, SIM_EVENT_OUTCOME, message, client, (uint64_t)outcome, 0);
    check_outcome(ledger, message, client, outcome);
    struct sim_message *sent = &ledger->messages[message];
    sent->has_outcome = true;
    sent->is_owed = false;
    sent->outcome = outcome;
    return message;
}

void sim_ledger_forget_sender(struct sim_ledger *ledger, uint32_t client)
{
    for (uint32_t i = ledger->first_owed; i < ledger->message_count; i++) {
        if (ledger->messages[i].sender == client) {
            ledger->messages[i].is_owed = false;
        }
    }
}

bool sim_ledger_is_written_to(const struct sim_ledger *ledger, uint32_t message, uint32_t client)
{
    uint32_t at = ledger->messages[message].last_delivery;
    for (; at != sim_no_delivery; at = ledger->deliveries[at].before_of_message) {
        if (ledger->deliveries[at].reader == client && ledger->deliveries[at].is_written) {
            return true;
        }
    }
    return false;
}
