/* An exchange between a fake broker, which is a buffer on either side, and fake clients, which
 * write down what they are told. Both sides are compared as text: sessions are named by userId and
 * place ("alice.0"), messages by seq; what is said once more is "repeat" or "again". The outcome of
 * a message that belongs to a call ends with the callId and, in brackets, the detail. */
#pragma once

#include "common/close_code.h"
#include "common/link_codec.h"
#include "gateway/exchange.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    OWN_INSTANCE = 77,
    SOURCE_INSTANCE = 88,
    OUTCOME_TIMEOUT_MS = 1000,
    DELIVERY_TIME_MS = 900, /* of that, until it may not be handed over any more */
    REMEMBERED_MAX = 4,
    TEXT_MAX_BYTES = 1024 * 1024,
};

/* Whoever owns a session: its outbound stream. */
struct fake_client {
    struct session *session; /* NULL: detached */
    uint64_t queued_bytes;
    bool is_full; /* refuses what is delivered, and detaches */
};

struct exchange_fixture {
    struct exchange *exchange;
    struct buffer out; /* what goes to the broker */
    struct buffer log; /* what the clients were told */
    struct buffer batch;
    uint64_t now_ms;
    uint64_t deadline_ms; /* of what the broker delivers */
    bool is_evicting;     /* an evicted session is detached, as the real one is */
};

static inline struct fake_client *fake_client_of(struct session *session)
{
    return session->owner;
}

static inline void log_event(struct exchange_fixture *fixture, const char *event,
                             const struct session *session)
{
    struct slice user_id = session_user_id(session);
    buffer_put_format(&fixture->log, "%s %.*s.%u", event, (int)user_id.len,
                      (const char *)user_id.data, (unsigned)session->id);
}

static inline void detach(struct exchange_fixture *fixture, struct fake_client *client,
                          uint64_t written_bytes, uint64_t begun_bytes, enum outcome rest)
{
    struct session *session = client->session;
    client->session = NULL;
    exchange_detach(fixture->exchange, session, written_bytes, begun_bytes, rest);
}

static inline void fake_on_attached(void *arg, struct session *session)
{
    log_event(arg, "attached", session);
    buffer_put_string(&((struct exchange_fixture *)arg)->log, ";");
}

static inline bool fake_on_deliver(void *arg, struct session *session, struct slice payload,
                                   uint64_t *end_bytes)
{
    struct exchange_fixture *fixture = arg;
    struct fake_client *client = fake_client_of(session);
    if (client->is_full) {
        log_event(fixture, "full", session);
        buffer_put_string(&fixture->log, ";");
        detach(fixture, client, 0, 0, OUTCOME_OVERLOADED);
        return false;
    }
    log_event(fixture, "deliver", session);
    buffer_put_format(&fixture->log, " %.*s;", (int)payload.len, (const char *)payload.data);
    client->queued_bytes += payload.len;
    *end_bytes = client->queued_bytes;
    return true;
}

static inline void fake_on_outcome(void *arg, struct session *session,
                                   const struct exchange_outcome *outcome)
{
    struct exchange_fixture *fixture = arg;
    log_event(fixture, outcome_code(outcome->outcome), session);
    buffer_put_u8(&fixture->log, ' ');
    buffer_put(&fixture->log, outcome->to);
    buffer_put_u8(&fixture->log, ' ');
    buffer_put(&fixture->log, outcome->id);
    if (outcome->call_id.len > 0) {
        buffer_put_u8(&fixture->log, ' ');
        buffer_put(&fixture->log, outcome->call_id);
        buffer_put_string(&fixture->log, " [");
        buffer_put(&fixture->log, outcome->detail);
        buffer_put_u8(&fixture->log, ']');
    }
    buffer_put_u8(&fixture->log, ';');
}

static inline void fake_on_evict(void *arg, struct session *session, uint16_t close_code)
{
    struct exchange_fixture *fixture = arg;
    log_event(fixture, "evict", session);
    buffer_put_format(&fixture->log, " %u;", close_code);
    if (fixture->is_evicting) {
        detach(fixture, fake_client_of(session), 0, 0,
               close_code == CLOSE_TOO_SLOW ? OUTCOME_OVERLOADED : OUTCOME_USER_OFFLINE);
    }
}

/* Closes it, as the real one does; its socket takes no more. */
static inline void fake_on_retired(void *arg, struct session *session)
{
    log_event(arg, "retired", session);
    buffer_put_string(&((struct exchange_fixture *)arg)->log, ";");
    detach(arg, fake_client_of(session), 0, 0, OUTCOME_USER_OFFLINE);
}

static const struct exchange_handlers fake_handlers = {
    .on_attached = fake_on_attached,
    .on_deliver = fake_on_deliver,
    .on_outcome = fake_on_outcome,
    .on_evict = fake_on_evict,
    .on_retired = fake_on_retired,
};

static inline struct exchange_config exchange_fixture_config(void)
{
    return (struct exchange_config){
        .instance_id = OWN_INSTANCE,
        .outcome_timeout_ms = OUTCOME_TIMEOUT_MS,
        .backlog_max_bytes = TEXT_MAX_BYTES,
        .unanswered_max_bytes = TEXT_MAX_BYTES,
        .remembered_max = REMEMBERED_MAX,
    };
}

static inline struct exchange_fixture *exchange_fixture_new(const struct exchange_config *config)
{
    struct exchange_fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    buffer_init(&fixture->out, config->backlog_max_bytes);
    buffer_init(&fixture->log, TEXT_MAX_BYTES);
    buffer_init(&fixture->batch, TEXT_MAX_BYTES);
    fixture->deadline_ms = DELIVERY_TIME_MS;
    fixture->exchange = exchange_new(config, &fake_handlers, fixture);
    assert_non_null(fixture->exchange);
    return fixture;
}

static inline int exchange_set_up(void **state)
{
    struct exchange_config config = exchange_fixture_config();
    *state = exchange_fixture_new(&config);
    return 0;
}

static inline void exchange_fixture_free(struct exchange_fixture *fixture)
{
    exchange_free(fixture->exchange);
    buffer_fini(&fixture->out);
    buffer_fini(&fixture->log);
    buffer_fini(&fixture->batch);
    free(fixture);
}

static inline int exchange_tear_down(void **state)
{
    exchange_fixture_free(*state);
    return 0;
}

/* Compares and forgets. */
static inline void expect_text(struct buffer *text, const char *expected)
{
    buffer_put_u8(text, 0);
    assert_false(text->failed);
    assert_string_equal((const char *)buffer_slice(text).data, expected);
    buffer_clear(text);
}

static inline void expect_log(struct exchange_fixture *fixture, const char *expected)
{
    expect_text(&fixture->log, expected);
}

static inline void put_record_text(struct buffer *text, const struct link_record *record)
{
    switch (record->kind) {
    case LINK_HELLO:
        buffer_put_format(text, "hello %u %" PRIu64 ";", record->greeting.version,
                          record->greeting.instance_id);
        break;
    case LINK_ATTACH:
        buffer_put_format(
            text, "attach %u %.*s/%.*s%s;", (unsigned)record->attach.session_id,
            (int)record->attach.user_id.len, (const char *)record->attach.user_id.data,
            (int)record->attach.device_id.len, (const char *)record->attach.device_id.data,
            record->attach.was_attached ? " again" : "");
        break;
    case LINK_DETACH:
        buffer_put_format(text, "detach %u;", (unsigned)record->session.session_id);
        break;
    case LINK_RETIRE:
        buffer_put_format(text, "retire %u;", (unsigned)record->session.session_id);
        break;
    case LINK_SYNCED:
        buffer_put_string(text, "synced;");
        break;
    case LINK_SUBMIT:
        buffer_put_format(text, "%s %" PRIu64 " %u;",
                          record->submit.is_repeat ? "repeat" : "submit", record->submit.seq,
                          (unsigned)record->submit.session_id);
        break;
    case LINK_DELIVERY_OUTCOME:
        assert_int_equal(record->delivery_outcome.source_instance_id, SOURCE_INSTANCE);
        buffer_put_format(
            text, "%s %" PRIu64 " %u;", outcome_code(record->delivery_outcome.outcome),
            record->delivery_outcome.seq, (unsigned)record->delivery_outcome.session_id);
        break;
    case LINK_LEG:
        buffer_put_format(text, "leg %u %.*s %.*s;", (unsigned)record->leg.session_id,
                          (int)record->leg.call_id.len, (const char *)record->leg.call_id.data,
                          (int)record->leg.state.len, (const char *)record->leg.state.data);
        break;
    default:
        fail_msg("a record that no gateway sends: kind %d", (int)record->kind);
    }
}

/* What the broker gets at the end of this turn. */
static inline void expect_out(struct exchange_fixture *fixture, const char *expected)
{
    exchange_pump(fixture->exchange);
    struct buffer text;
    buffer_init(&text, TEXT_MAX_BYTES);
    struct slice batch = buffer_slice(&fixture->out);
    while (batch.len > 0) {
        struct link_record record;
        assert_int_equal(link_record_decode(&batch, &record), PARSE_DONE);
        put_record_text(&text, &record);
    }
    expect_text(&text, expected);
    buffer_fini(&text);
    buffer_clear(&fixture->out);
}

/* The broker's next record; they travel as one batch with the next `receive`. */
static inline void broker_puts(struct exchange_fixture *fixture, struct link_record record)
{
    link_record_put(&fixture->batch, &record);
    assert_false(fixture->batch.failed);
}

static inline void broker_puts_welcome(struct exchange_fixture *fixture)
{
    struct link_greeting greeting = {.version = LINK_VERSION, .instance_id = 5};
    broker_puts(fixture, (struct link_record){.kind = LINK_WELCOME, .greeting = greeting});
}

static inline void broker_puts_attached(struct exchange_fixture *fixture, uint64_t session_id)
{
    broker_puts(fixture, (struct link_record){.kind = LINK_ATTACHED, .session = {session_id}});
}

static inline void broker_puts_retired(struct exchange_fixture *fixture, uint64_t session_id)
{
    broker_puts(fixture, (struct link_record){.kind = LINK_RETIRED, .session = {session_id}});
}

static inline void broker_puts_ready(struct exchange_fixture *fixture)
{
    broker_puts(fixture, (struct link_record){.kind = LINK_READY});
}

static inline void broker_puts_outcome(struct exchange_fixture *fixture, uint64_t seq,
                                       enum outcome outcome)
{
    struct link_submit_outcome body = {.seq = seq, .outcome = outcome};
    broker_puts(fixture, (struct link_record){.kind = LINK_SUBMIT_OUTCOME, .submit_outcome = body});
}

static inline struct link_record make_deliver(const struct exchange_fixture *fixture, uint64_t seq,
                                              uint64_t session_id, const char *payload)
{
    struct link_record record = {.kind = LINK_DELIVER};
    record.deliver.source_instance_id = SOURCE_INSTANCE;
    record.deliver.seq = seq;
    record.deliver.session_id = session_id;
    record.deliver.deadline_ms = fixture->deadline_ms;
    record.deliver.payload = slice_from_string(payload);
    return record;
}

static inline void broker_puts_deliver(struct exchange_fixture *fixture, uint64_t seq,
                                       uint64_t session_id, const char *payload)
{
    broker_puts(fixture, make_deliver(fixture, seq, session_id, payload));
}

/* What was submitted to it as a repeat. */
static inline void broker_puts_repeat(struct exchange_fixture *fixture, uint64_t seq,
                                      uint64_t session_id, const char *payload)
{
    struct link_record record = make_deliver(fixture, seq, session_id, payload);
    record.deliver.is_repeat = true;
    broker_puts(fixture, record);
}

static inline void broker_puts_evict(struct exchange_fixture *fixture, uint64_t session_id)
{
    struct link_evict body = {.session_id = session_id, .close_code = 4501};
    broker_puts(fixture, (struct link_record){.kind = LINK_EVICT, .evict = body});
}

static inline void broker_puts_leg(struct exchange_fixture *fixture, uint64_t session_id,
                                   const char *call_id, const char *leg_state)
{
    struct link_leg body = {.session_id = session_id,
                            .call_id = slice_from_string(call_id),
                            .state = slice_from_string(leg_state)};
    broker_puts(fixture, (struct link_record){.kind = LINK_LEG, .leg = body});
}

/* Feeds a copy that goes away at once, so that reading beyond or after it is noticed. */
static inline bool receive_bytes(struct exchange_fixture *fixture, struct slice bytes)
{
    if (bytes.data == NULL || bytes.len == 0) {
        return exchange_receive(fixture->exchange, bytes, fixture->now_ms);
    }
    uint8_t *copy = malloc(bytes.len);
    assert_non_null(copy);
    memcpy(copy, bytes.data, bytes.len);
    bool is_good = exchange_receive(fixture->exchange, slice_of(copy, bytes.len), fixture->now_ms);
    free(copy);
    return is_good;
}

static inline bool receive(struct exchange_fixture *fixture)
{
    bool is_good = receive_bytes(fixture, buffer_slice(&fixture->batch));
    buffer_clear(&fixture->batch);
    return is_good;
}

/* A connection begins, and the broker greets. */
static inline void link_greets(struct exchange_fixture *fixture)
{
    exchange_link_up(fixture->exchange, &fixture->out);
    expect_out(fixture, "hello 3 77;");
    broker_puts_welcome(fixture);
    assert_true(receive(fixture));
}

/* The broker has heard synced. */
static inline void link_gets_ready(struct exchange_fixture *fixture)
{
    broker_puts_ready(fixture);
    assert_true(receive(fixture));
    assert_true(exchange_is_ready(fixture->exchange));
}

/* All that: messages flow. What was announced on the way is not looked at. */
static inline void link_comes_up(struct exchange_fixture *fixture)
{
    link_greets(fixture);
    exchange_pump(fixture->exchange);
    link_gets_ready(fixture);
    buffer_clear(&fixture->out);
}

static inline void link_goes_down(struct exchange_fixture *fixture)
{
    exchange_link_down(fixture->exchange);
    buffer_clear(&fixture->out);
}

static inline void attach(struct exchange_fixture *fixture, struct fake_client *client,
                          const char *user_id)
{
    *client = (struct fake_client){0};
    client->session = exchange_attach(fixture->exchange, client, slice_from_string(user_id),
                                      slice_from_string("phone"), false, fixture->now_ms);
    assert_non_null(client->session);
}

/* Attaches, and lets the broker confirm it. */
static inline void attach_fully(struct exchange_fixture *fixture, struct fake_client *client,
                                const char *user_id)
{
    attach(fixture, client, user_id);
    exchange_pump(fixture->exchange);
    broker_puts_attached(fixture, client->session->id);
    assert_true(receive(fixture));
    assert_true(client->session->is_attached);
    buffer_clear(&fixture->out);
    buffer_clear(&fixture->log);
}

static inline bool submit_text(struct exchange_fixture *fixture, struct fake_client *client,
                               const char *id, struct slice text)
{
    struct call_message message = {
        .type = CALL_TYPE_OFFER,
        .to = slice_from_string("bob"),
        .id = slice_from_string(id),
        .text = text,
    };
    return exchange_submit(fixture->exchange, client->session, &message, fixture->now_ms);
}

static inline void submit(struct exchange_fixture *fixture, struct fake_client *client,
                          const char *id)
{
    assert_true(submit_text(fixture, client, id, slice_from_string("{\"n\":1}")));
}
