/* Once it is warm, a gateway allocates nothing for a message, whether it belongs to a call or not:
 * from the frame to the submit record, from the deliver record to the frame, for the outcomes, and
 * for what the broker tells of the call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link_codec.h"
#include "gateway/exchange.h"
#include "gateway/json_arena.h"
#include "gateway/websocket.h"
#include "tests/unit/allocation_count.h"

enum {
    WARM_UP = 1000,
    ROUNDS = 10000,
    FRAME_HEAD_BYTES = 8,
    SENT_MAX_BYTES = 64 * 1024,
    OUTCOME_TIMEOUT_MS = 500, /* within the warm-up: what is remembered then comes and goes */
    TICK_MS = 100,
    REMEMBERED_MAX = 100000,
};

#define CANDIDATE                                                                           \
    "\"candidate\":\"candidate:842163049 1 udp 1677729535 192.0.2.1 46154 typ srflx raddr " \
    "0.0.0.0\""

/* Long enough for an extended length, with an escape for cJSON to decode. */
static const char plain_text[] =
    "{\"type\":\"call-candidate\",\"to\":\"b\\u006fb\",\"id\":17," CANDIDATE "}";
static const char call_text[] =
    "{\"server\":true,\"type\":\"call-candidate\",\"to\":\"b\\u006fb\",\"id\":17,\"callId\":"
    "\"c\\u002d1\",\"reason\":\"b\\u0075sy\"," CANDIDATE ",\"fromDevice\":\"x\"}";

struct gateway {
    struct exchange *exchange;
    struct session *session;
    struct buffer out;  /* to the broker */
    struct buffer sent; /* to the client */
    uint64_t now_ms;    /* one message each */
    size_t outcome_count;
};

static void on_attached(void *arg, struct session *session)
{
    (void)arg;
    (void)session;
}

static bool on_deliver(void *arg, struct session *session, struct slice payload,
                       uint64_t *end_bytes)
{
    (void)session;
    struct gateway *gateway = arg;
    websocket_put_frame(&gateway->sent, WEBSOCKET_TEXT, payload);
    *end_bytes = buffer_len(&gateway->sent);
    return !gateway->sent.failed;
}

static void on_outcome(void *arg, struct session *session, const struct exchange_outcome *outcome)
{
    (void)session;
    struct gateway *gateway = arg;
    assert_int_equal(outcome->outcome, OUTCOME_DELIVERED);
    assert_true(slice_equal_string(outcome->to, "bob") && slice_equal_string(outcome->id, "17"));
    gateway->outcome_count++;
}

static void on_evict(void *arg, struct session *session, uint16_t close_code)
{
    (void)arg;
    (void)session;
    (void)close_code;
    fail();
}

static void on_retired(void *arg, struct session *session)
{
    (void)arg;
    (void)session;
    fail();
}

static const struct exchange_handlers exchange_handlers = {
    .on_attached = on_attached,
    .on_deliver = on_deliver,
    .on_outcome = on_outcome,
    .on_evict = on_evict,
    .on_retired = on_retired,
};

static bool on_message(void *owner, enum websocket_opcode opcode, struct slice payload)
{
    struct gateway *gateway = owner;
    assert_int_equal(opcode, WEBSOCKET_TEXT);
    struct call_message message;
    const char *complaint = NULL;
    assert_int_equal(call_message_parse(payload, &message, &complaint), OUTCOME_DELIVERED);
    assert_true(exchange_submit(gateway->exchange, gateway->session, &message, gateway->now_ms));
    return true;
}

static bool on_control(void *owner, struct slice payload)
{
    (void)owner;
    (void)payload;
    return true;
}

static const struct websocket_handlers websocket_handlers = {
    .on_message = on_message,
    .on_ping = on_control,
    .on_pong = on_control,
};

static void feed(struct gateway *gateway, const struct link_record *record, struct buffer *batch)
{
    buffer_clear(batch);
    link_record_put(batch, record);
    assert_true(exchange_receive(gateway->exchange, buffer_slice(batch), gateway->now_ms));
}

/* A masked text frame whose masking key is zero (RFC 6455, 5.3). */
static size_t make_frame(uint8_t *frame, struct slice text)
{
    size_t len = text.len;
    assert_true(len > 125 && len < sizeof call_text);
    const uint8_t head[FRAME_HEAD_BYTES] = {0x81, 0xfe, (uint8_t)(len >> 8), (uint8_t)len};
    memcpy(frame, head, sizeof head);
    memcpy(frame + sizeof head, text.data, len);
    return sizeof head + len;
}

/* An empty state: the call is over. */
static void feed_leg(struct gateway *gateway, const char *leg_state, struct buffer *batch)
{
    struct link_record leg = {.kind = LINK_LEG};
    leg.leg.session_id = gateway->session->id;
    leg.leg.call_id = slice_from_string("c-1");
    leg.leg.state = slice_from_string(leg_state);
    feed(gateway, &leg, batch);
}

/* Of a call or not, in turn. */
static void one_message(struct gateway *gateway, struct websocket_pool *pool, uint64_t seq,
                        struct buffer *batch)
{
    static uint8_t frame[sizeof call_text + FRAME_HEAD_BYTES];
    bool is_of_call = seq % 2 == 0;
    size_t len = make_frame(frame, slice_from_string(is_of_call ? call_text : plain_text));
    struct websocket_receiver *receiver = NULL;
    uint16_t code = 0;
    assert_int_equal(websocket_receive(pool, &receiver, slice_of(frame, len), gateway, &code),
                     WEBSOCKET_OPEN);
    exchange_pump(gateway->exchange);
    struct slice records = buffer_slice(&gateway->out);
    struct link_record submit;
    assert_int_equal(link_record_decode(&records, &submit), PARSE_DONE);
    assert_int_equal(submit.submit.seq, seq);
    assert_int_equal(submit.submit.call_id.len > 0, is_of_call);
    struct link_record deliver = {.kind = LINK_DELIVER};
    deliver.deliver.seq = submit.submit.seq;
    deliver.deliver.session_id = gateway->session->id;
    deliver.deliver.deadline_ms = submit.submit.deadline_ms;
    deliver.deliver.expires_ms = is_of_call ? gateway->now_ms + OUTCOME_TIMEOUT_MS : 0;
    deliver.deliver.payload = submit.submit.payload;
    feed(gateway, &deliver, batch);
    feed_leg(gateway, is_of_call ? "its state" : "", batch);
    exchange_written(gateway->exchange, gateway->session, buffer_len(&gateway->sent));
    struct link_record outcome = {.kind = LINK_SUBMIT_OUTCOME};
    outcome.submit_outcome.seq = seq;
    feed(gateway, &outcome, batch);
    buffer_clear(&gateway->out);
    buffer_clear(&gateway->sent);
    gateway->now_ms++;
    if (gateway->now_ms % TICK_MS == 0) {
        exchange_tick(gateway->exchange, gateway->now_ms);
    }
}

static void set_up(struct gateway *gateway, struct buffer *batch)
{
    struct exchange_config config = {.instance_id = 1,
                                     .outcome_timeout_ms = OUTCOME_TIMEOUT_MS,
                                     .backlog_max_bytes = 1024 * 1024,
                                     .unanswered_max_bytes = 1024 * 1024,
                                     .remembered_max = REMEMBERED_MAX};
    assert_true(json_arena_init());
    buffer_init(batch, SENT_MAX_BYTES);
    buffer_init(&gateway->out, SENT_MAX_BYTES);
    buffer_init(&gateway->sent, SENT_MAX_BYTES);
    gateway->exchange = exchange_new(&config, &exchange_handlers, gateway);
    exchange_link_up(gateway->exchange, &gateway->out);
    struct link_record welcome = {.kind = LINK_WELCOME};
    welcome.greeting.version = LINK_VERSION;
    feed(gateway, &welcome, batch);
    gateway->session = exchange_attach(gateway->exchange, gateway, slice_from_string("alice"),
                                       slice_from_string(""), true, 0);
    exchange_pump(gateway->exchange);
    struct link_record attached = {.kind = LINK_ATTACHED};
    attached.session.session_id = gateway->session->id;
    feed(gateway, &attached, batch);
    feed(gateway, &(struct link_record){.kind = LINK_READY}, batch);
    buffer_clear(&gateway->out);
}

static void a_message_costs_no_allocation(void **state)
{
    (void)state;
    struct gateway gateway = {0};
    struct buffer batch;
    set_up(&gateway, &batch);
    struct websocket_config config = {.message_max_bytes = SENT_MAX_BYTES};
    struct websocket_pool *pool = websocket_pool_new(&config, &websocket_handlers);
    uint64_t seq = 1;
    while (seq <= WARM_UP) {
        one_message(&gateway, pool, seq++, &batch);
    }
    size_t count_before = allocation_count;
    assert_true(count_before > 0);
    while (seq <= WARM_UP + ROUNDS) {
        one_message(&gateway, pool, seq++, &batch);
    }
    assert_int_equal(allocation_count - count_before, 0);
    assert_int_equal(gateway.outcome_count, WARM_UP + ROUNDS);
    assert_true(exchange_needs_tick(gateway.exchange)); /* some are remembered even now */
    for (int i = 0; i < 32 && exchange_needs_tick(gateway.exchange); i++) {
        exchange_tick(gateway.exchange,
                      gateway.now_ms + OUTCOME_TIMEOUT_MS); /* gives back bit by bit */
    }
    assert_false(exchange_needs_tick(gateway.exchange));
    websocket_pool_free(pool);
    exchange_free(gateway.exchange);
    json_arena_fini();
    buffer_fini(&batch);
    buffer_fini(&gateway.out);
    buffer_fini(&gateway.sent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_message_costs_no_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
