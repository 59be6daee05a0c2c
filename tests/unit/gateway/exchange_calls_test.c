/* The exchange and calls: what the broker is told of the sender, what the sender is told of the
 * call, and how long it may ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/json_arena.h"
#include "tests/unit/gateway/exchange_fixture.h"

#define MESSAGE(type, more) "{\"type\":\"" type "\",\"to\":\"bob\"" more "}"
#define CALL ",\"callId\":\"c1\""

static int set_up(void **state)
{
    return json_arena_init() ? exchange_set_up(state) : -1;
}

static int tear_down(void **state)
{
    json_arena_fini();
    return exchange_tear_down(state);
}

static void begin(struct exchange_fixture *fixture, struct fake_client *alice)
{
    link_comes_up(fixture);
    attach_fully(fixture, alice, "alice");
}

static void submit_message(struct exchange_fixture *fixture, struct fake_client *client,
                           const char *text)
{
    struct call_message message;
    const char *complaint = NULL;
    assert_int_equal(call_message_parse(slice_from_string(text), &message, &complaint),
                     OUTCOME_DELIVERED);
    assert_true(exchange_submit(fixture->exchange, client->session, &message, fixture->now_ms));
}

/* The record of one message; its slices last until the next one. */
static struct link_submit submitted(struct exchange_fixture *fixture, struct fake_client *client,
                                    const char *text)
{
    buffer_clear(&fixture->out);
    submit_message(fixture, client, text);
    exchange_pump(fixture->exchange);
    struct slice batch = buffer_slice(&fixture->out);
    struct link_record record;
    assert_int_equal(link_record_decode(&batch, &record), PARSE_DONE);
    assert_int_equal(batch.len, 0);
    assert_int_equal(record.kind, LINK_SUBMIT);
    return record.submit;
}

static void the_broker_hears_who_sent_it(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    struct link_submit submit = submitted(
        fixture, &alice,
        MESSAGE("call-reject", CALL ",\"scope\":\"device\",\"reason\":\"b\\u0075sy\",\"id\":1"));
    assert_true(slice_equal_string(submit.call_id, "c1"));
    assert_true(slice_equal_string(submit.party.user_id, "alice"));
    assert_true(slice_equal_string(submit.party.device_id, "phone"));
    assert_true(slice_equal_string(submit.party.reason, "busy"));
    assert_true(submit.party.is_device_scope);
    assert_int_not_equal(submit.party.message_hash, 0);
    assert_true(slice_equal_string(
        submit.payload, "{\"from\":\"alice\",\"fromDevice\":\"phone\",\"type\":\"call-reject\","
                        "\"to\":\"bob\",\"callId\":\"c1\",\"scope\":\"device\","
                        "\"reason\":\"b\\u0075sy\",\"id\":1}"));
    submit = submitted(fixture, &alice, MESSAGE("call-reject", CALL));
    assert_int_equal(submit.party.reason.len, 0);
    assert_int_equal(submit.party.message_hash, 0);
    assert_false(submit.party.is_device_scope);
}

static void without_a_call_nobody_is_named(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    struct link_submit submit =
        submitted(fixture, &alice,
                  MESSAGE("call-reject", ",\"scope\":\"device\",\"reason\":\"busy\",\"id\":1"));
    assert_int_equal(submit.call_id.len, 0);
    assert_true(slice_equal_string(submit.payload,
                                   "{\"from\":\"alice\",\"type\":\"call-reject\",\"to\":\"bob\","
                                   "\"scope\":\"device\",\"reason\":\"busy\",\"id\":1}"));
}

/* It is compared by other processes, of this version or of a later one: so its value is fixed. */
static void a_message_is_known_again_by_its_type_and_id(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    static const char *const texts[] = {
        MESSAGE("call-start", CALL ",\"id\":1"),     MESSAGE("call-start", CALL ",\"id\":2"),
        MESSAGE("call-start", CALL ",\"id\":12"),    MESSAGE("call-start", CALL ",\"id\":\"1\""),
        MESSAGE("call-start", CALL ",\"id\":\"\""),  MESSAGE("call-accept", CALL ",\"id\":1"),
        MESSAGE("call-candidate", CALL ",\"id\":1"),
    };
    uint64_t hashes[ARRAY_LENGTH(texts)];
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        hashes[i] = submitted(fixture, &alice, texts[i]).party.message_hash;
        assert_int_not_equal(hashes[i], 0);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(hashes[i], hashes[j]);
        }
    }
    uint64_t again = submitted(fixture, &alice, MESSAGE("call-start", ",\"id\" : 1 ,\"n\":0" CALL))
                         .party.message_hash;
    assert_int_equal(again, hashes[0]);
    /* FNV-1a of a zero byte and of "1". */
    uint64_t expected =
        (UINT64_C(0xcbf29ce484222325) * UINT64_C(0x100000001b3) ^ '1') * UINT64_C(0x100000001b3);
    assert_int_equal(again, expected);
}

static void an_outcome_names_the_call_and_the_broker_s_detail(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    for (int i = 0; i < 4; i++) {
        submit_message(fixture, &alice, MESSAGE("call-start", CALL ",\"id\":7"));
    }
    submit_message(fixture, &alice, MESSAGE("call-start", ",\"id\":8"));
    expect_out(fixture, "submit 1 0;submit 2 0;submit 3 0;submit 4 0;submit 5 0;");
    struct link_record outcome = {.kind = LINK_SUBMIT_OUTCOME};
    outcome.submit_outcome.seq = 1;
    outcome.submit_outcome.outcome = OUTCOME_GLARE;
    outcome.submit_outcome.detail = slice_from_string("c0");
    broker_puts(fixture, outcome);
    outcome.submit_outcome.seq = 2;
    outcome.submit_outcome.outcome = OUTCOME_BAD_STATE;
    outcome.submit_outcome.detail = slice_from_string("ringing");
    broker_puts(fixture, outcome);
    broker_puts_outcome(fixture, 3, OUTCOME_NO_SUCH_CALL);
    broker_puts_outcome(fixture, 5, OUTCOME_USER_OFFLINE);
    assert_true(receive(fixture));
    exchange_tick(fixture->exchange, OUTCOME_TIMEOUT_MS);
    expect_log(fixture, "glare alice.0 bob 7 c1 [c0];bad-state alice.0 bob 7 c1 [ringing];"
                        "no-such-call alice.0 bob 7 c1 [];user-offline alice.0 bob 8;"
                        "unconfirmed alice.0 bob 7 c1 [];");
}

/* What a broker says of a repeat says nothing of the time before. */
static void a_refused_repeat_is_unconfirmed_and_has_no_detail(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    submit_message(fixture, &alice, MESSAGE("call-start", CALL));
    expect_out(fixture, "submit 1 0;");
    link_goes_down(fixture);
    link_comes_up(fixture);
    exchange_pump(fixture->exchange);
    struct slice batch = buffer_slice(&fixture->out);
    struct link_record record;
    assert_int_equal(link_record_decode(&batch, &record), PARSE_DONE);
    assert_true(record.submit.is_repeat);
    assert_true(slice_equal_string(record.submit.party.user_id, "alice"));
    struct link_record outcome = {.kind = LINK_SUBMIT_OUTCOME};
    outcome.submit_outcome.seq = 1;
    outcome.submit_outcome.outcome = OUTCOME_GLARE;
    outcome.submit_outcome.detail = slice_from_string("c0");
    broker_puts(fixture, outcome);
    assert_true(receive(fixture));
    expect_log(fixture, "unconfirmed alice.0 bob  c1 [];");
}

static void broker_puts_start(struct exchange_fixture *fixture, uint64_t seq, uint64_t session_id,
                              uint64_t expires_ms, bool is_repeat)
{
    struct link_record record = make_deliver(fixture, seq, session_id, "{\"from\":\"bob\"}");
    record.deliver.expires_ms = expires_ms;
    record.deliver.is_repeat = is_repeat;
    broker_puts(fixture, record);
}

static void whoever_is_called_reads_how_long_it_may_ring(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    uint64_t id = alice.session->id;
    fixture->now_ms = 100;
    broker_puts_start(fixture, 1, id, 60000, false);
    broker_puts_start(fixture, 2, id, 101, true);
    broker_puts_start(fixture, 3, id, 100, false);
    broker_puts_start(fixture, 4, id, 1, false);
    broker_puts_start(fixture, 5, id, 0, false);    /* none */
    broker_puts_start(fixture, 1, id, 70000, true); /* it has it */
    assert_true(receive(fixture));
    expect_log(fixture, "deliver alice.0 {\"expiresInMs\":59900,\"from\":\"bob\"};"
                        "deliver alice.0 {\"expiresInMs\":1,\"from\":\"bob\"};"
                        "deliver alice.0 {\"expiresInMs\":0,\"from\":\"bob\"};"
                        "deliver alice.0 {\"expiresInMs\":0,\"from\":\"bob\"};"
                        "deliver alice.0 {\"from\":\"bob\"};");
    exchange_written(fixture->exchange, alice.session, alice.queued_bytes);
    expect_out(fixture, "delivered 1 0;delivered 2 0;delivered 3 0;delivered 4 0;delivered 5 0;");
}

int main(void)
{
#define CALLS_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CALLS_TEST(the_broker_hears_who_sent_it),
        CALLS_TEST(without_a_call_nobody_is_named),
        CALLS_TEST(a_message_is_known_again_by_its_type_and_id),
        CALLS_TEST(an_outcome_names_the_call_and_the_broker_s_detail),
        CALLS_TEST(a_refused_repeat_is_unconfirmed_and_has_no_detail),
        CALLS_TEST(whoever_is_called_reads_how_long_it_may_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
