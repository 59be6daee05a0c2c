/* The exchange towards its own clients: attaching, the outcome of what they submit, the bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/exchange_fixture.h"

static void a_session_is_attached_once_the_broker_says_so(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    attach(fixture, &alice, "alice");
    expect_out(fixture, "");
    exchange_link_up(fixture->exchange, &fixture->out);
    expect_out(fixture, "hello 3 77;");
    broker_puts_welcome(fixture);
    assert_true(receive(fixture));
    expect_out(fixture, "attach 0 alice/phone;synced;");
    expect_out(fixture, "");
    expect_log(fixture, "");
    broker_puts_attached(fixture, alice.session->id);
    broker_puts_attached(fixture, alice.session->id);
    assert_true(receive(fixture));
    expect_log(fixture, "attached alice.0;");
    assert_int_equal(exchange_session_count(fixture->exchange), 1);
}

static void all_are_attached_again_after_a_reconnect_and_told_once(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    struct fake_client bob;
    struct fake_client carol;
    attach_fully(fixture, &alice, "alice");
    attach_fully(fixture, &bob, "bob");
    attach(fixture, &carol, "carol");
    link_goes_down(fixture);
    link_greets(fixture);
    expect_out(fixture, "attach 0 alice/phone again;attach 1 bob/phone again;"
                        "attach 2 carol/phone;synced;");
    broker_puts_attached(fixture, alice.session->id);
    broker_puts_attached(fixture, carol.session->id);
    assert_true(receive(fixture));
    expect_log(fixture, "attached carol.2;");
}

static void who_goes_is_detached_if_the_broker_knows_him(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client clients[4];
    attach(fixture, &clients[0], "first");
    attach(fixture, &clients[1], "middle");
    attach(fixture, &clients[2], "last");
    detach(fixture, &clients[1], 0, 0, OUTCOME_USER_OFFLINE);
    detach(fixture, &clients[0], 0, 0, OUTCOME_USER_OFFLINE);
    expect_out(fixture, "attach 2 last/phone;");
    detach(fixture, &clients[2], 0, 0, OUTCOME_USER_OFFLINE);
    expect_out(fixture, "detach 2;");
    attach_fully(fixture, &clients[3], "alice");
    link_goes_down(fixture);
    detach(fixture, &clients[3], 0, 0, OUTCOME_USER_OFFLINE);
    link_greets(fixture);
    expect_out(fixture, "synced;");
    assert_int_equal(exchange_session_count(fixture->exchange), 0);
}

static void each_outcome_reaches_its_sender_once(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    struct fake_client bob;
    attach_fully(fixture, &alice, "alice");
    attach_fully(fixture, &bob, "bob");
    submit(fixture, &alice, "\"x\"");
    submit(fixture, &bob, "2");
    submit(fixture, &alice, "");
    expect_out(fixture, "submit 1 0;submit 2 1;submit 3 0;");
    assert_int_equal(exchange_unanswered_count(fixture->exchange), 3);
    broker_puts_outcome(fixture, 2, OUTCOME_USER_OFFLINE);
    broker_puts_outcome(fixture, 1, OUTCOME_DELIVERED);
    broker_puts_outcome(fixture, 1, OUTCOME_OVERLOADED); /* late: it has been answered */
    broker_puts_outcome(fixture, 3, OUTCOME_OVERLOADED);
    assert_true(receive(fixture));
    expect_log(fixture, "user-offline bob.1 bob 2;delivered alice.0 bob \"x\";"
                        "overloaded alice.0 bob ;");
    assert_int_equal(exchange_unanswered_count(fixture->exchange), 0);
    exchange_tick(fixture->exchange, UINT64_MAX);
    link_goes_down(fixture);
    expect_log(fixture, "");
}

static void the_broker_gets_the_whole_message(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    fixture->now_ms = 12345;
    submit(fixture, &alice, "1");
    exchange_pump(fixture->exchange);
    struct slice batch = buffer_slice(&fixture->out);
    struct link_record record;
    assert_int_equal(link_record_decode(&batch, &record), PARSE_DONE);
    assert_int_equal(batch.len, 0);
    assert_int_equal(record.kind, LINK_SUBMIT);
    assert_int_equal(record.submit.seq, 1);
    assert_int_equal(record.submit.session_id, alice.session->id);
    assert_int_equal(record.submit.type, CALL_TYPE_OFFER);
    assert_int_equal(record.submit.deadline_ms, fixture->now_ms + DELIVERY_TIME_MS);
    assert_false(record.submit.is_repeat);
    assert_true(slice_equal_string(record.submit.to, "bob"));
    assert_int_equal(record.submit.call_id.len, 0);
    assert_true(slice_equal_string(record.submit.payload, "{\"from\":\"alice\",\"n\":1}"));
}

/* The margin for the outcome's way back is a tenth of the time, but a second at most. */
static void a_long_time_leaves_a_second_for_the_outcome(void **state)
{
    (void)state;
    enum { LONG_TIMEOUT_MS = 60000 };
    struct exchange_config config = exchange_fixture_config();
    config.outcome_timeout_ms = LONG_TIMEOUT_MS;
    struct exchange_fixture *fixture = exchange_fixture_new(&config);
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    submit(fixture, &alice, "1");
    exchange_pump(fixture->exchange);
    struct slice batch = buffer_slice(&fixture->out);
    struct link_record record;
    assert_int_equal(link_record_decode(&batch, &record), PARSE_DONE);
    assert_int_equal(record.submit.deadline_ms, LONG_TIMEOUT_MS - 1000);
    exchange_fixture_free(fixture);
}

static void the_broker_hears_since_when_a_session_has_been_there(void **state)
{
    struct exchange_fixture *fixture = *state;
    fixture->now_ms = 4711;
    struct fake_client alice;
    attach(fixture, &alice, "alice");
    fixture->now_ms = 5000;
    for (int i = 0; i < 2; i++) {
        link_greets(fixture);
        exchange_pump(fixture->exchange);
        struct slice batch = buffer_slice(&fixture->out);
        struct link_record record;
        assert_int_equal(link_record_decode(&batch, &record), PARSE_DONE);
        assert_int_equal(record.kind, LINK_ATTACH);
        assert_int_equal(record.attach.since_ms, 4711);
        link_goes_down(fixture);
    }
}

static void a_deadline_answers_by_whether_a_broker_took_it(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    submit(fixture, &alice, "1");
    expect_out(fixture, "submit 1 0;");
    fixture->now_ms = 10;
    submit(fixture, &alice, "2");
    fixture->now_ms = 20;
    submit(fixture, &alice, "3");
    exchange_tick(fixture->exchange, OUTCOME_TIMEOUT_MS - 1);
    expect_log(fixture, "");
    exchange_tick(fixture->exchange, OUTCOME_TIMEOUT_MS + 10);
    expect_log(fixture, "unconfirmed alice.0 bob 1;unavailable alice.0 bob 2;");
    expect_out(fixture, "submit 3 0;");
    broker_puts_outcome(fixture, 1, OUTCOME_DELIVERED); /* late: it has been answered */
    assert_true(receive(fixture));
    exchange_tick(fixture->exchange, OUTCOME_TIMEOUT_MS + 20);
    expect_log(fixture, "unconfirmed alice.0 bob 3;");
    assert_int_equal(exchange_unanswered_count(fixture->exchange), 0);
}

static void nobody_is_told_of_a_message_whose_sender_is_gone(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    struct fake_client bob;
    attach_fully(fixture, &alice, "alice");
    for (int i = 0; i < 3; i++) {
        submit(fixture, &alice, "1");
    }
    expect_out(fixture, "submit 1 0;submit 2 0;submit 3 0;");
    submit(fixture, &alice, "2");
    detach(fixture, &alice, 0, 0, OUTCOME_USER_OFFLINE);
    attach(fixture, &bob, "bob"); /* takes alice's place in the table, not her id */
    expect_out(fixture, "detach 0;attach 0 bob/phone;submit 4 0;");
    broker_puts_outcome(fixture, 1, OUTCOME_DELIVERED);
    assert_true(receive(fixture));
    exchange_tick(fixture->exchange, OUTCOME_TIMEOUT_MS);
    expect_log(fixture, "");
    assert_int_equal(exchange_unanswered_count(fixture->exchange), 0);
}

static void too_much_unanswered_is_refused_and_room_comes_back(void **state)
{
    (void)state;
    enum { MAX_BYTES = 4096 };
    struct exchange_config config = exchange_fixture_config();
    config.unanswered_max_bytes = MAX_BYTES;
    struct exchange_fixture *fixture = exchange_fixture_new(&config);
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    char text[1000]; /* the brace is all that is looked at here */
    memset(text, 'x', sizeof text);
    text[0] = '{';
    struct slice message = slice_of(text, sizeof text);
    size_t count = 0;
    while (count < MAX_BYTES && submit_text(fixture, &alice, "1", message)) {
        count++;
    }
    assert_int_equal(count, 3);
    assert_int_equal(exchange_unanswered_count(fixture->exchange), count);
    expect_out(fixture, "submit 1 0;submit 2 0;submit 3 0;");
    broker_puts_outcome(fixture, 2, OUTCOME_DELIVERED);
    assert_true(receive(fixture));
    assert_true(submit_text(fixture, &alice, "1", message));
    assert_false(submit_text(fixture, &alice, "1", message));
    expect_out(fixture, "submit 4 0;"); /* the refused one took no seq */
    expect_log(fixture, "delivered alice.0 bob 1;");
    exchange_fixture_free(fixture);
}

static void a_backlog_is_congestion_until_half_of_it_is_gone(void **state)
{
    (void)state;
    enum { MAX_BYTES = 16000, COUNT_MAX = 100 };
    struct exchange_config config = exchange_fixture_config();
    config.backlog_max_bytes = MAX_BYTES;
    struct exchange_fixture *fixture = exchange_fixture_new(&config);
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    link_goes_down(fixture);
    char text[1000]; /* the brace is all that is looked at here */
    memset(text, 'x', sizeof text);
    text[0] = '{';
    size_t count = 0;
    while (count < COUNT_MAX && !exchange_is_congested(fixture->exchange)) {
        fixture->now_ms++;
        assert_true(submit_text(fixture, &alice, "1", slice_of(text, sizeof text)));
        exchange_pump(fixture->exchange);
        count++;
    }
    assert_int_equal(count, 14); /* of 1,040 bytes each: more than 7/8 of the backlog */
    exchange_tick(fixture->exchange, OUTCOME_TIMEOUT_MS + 6);
    exchange_pump(fixture->exchange);
    assert_true(exchange_is_congested(fixture->exchange)); /* 8 are left */
    exchange_tick(fixture->exchange, OUTCOME_TIMEOUT_MS + 7);
    exchange_pump(fixture->exchange);
    assert_false(exchange_is_congested(fixture->exchange));
    link_comes_up(fixture);
    expect_out(fixture, "submit 8 0;submit 9 0;submit 10 0;submit 11 0;"
                        "submit 12 0;submit 13 0;submit 14 0;");
    exchange_tick(fixture->exchange, UINT64_MAX);
    assert_int_equal(exchange_unanswered_count(fixture->exchange), 0);
    exchange_fixture_free(fixture);
}

static void what_waits_leaves_room_for_what_the_broker_must_hear(void **state)
{
    (void)state;
    enum { MAX_BYTES = 8192, COUNT = 200 };
    struct exchange_config config = exchange_fixture_config();
    config.backlog_max_bytes = MAX_BYTES;
    struct exchange_fixture *fixture = exchange_fixture_new(&config);
    struct fake_client clients[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        attach(fixture, &clients[i], "somebody-with-a-long-name-so-that-attaches-fill-the-buffer");
    }
    link_greets(fixture);
    exchange_pump(fixture->exchange);
    assert_false(exchange_is_stuck(fixture->exchange));
    assert_true(buffer_room(&fixture->out) > MAX_BYTES / 4);
    size_t turns = 0;
    while (turns < COUNT && buffer_len(&fixture->out) > 0) {
        buffer_clear(&fixture->out);
        exchange_pump(fixture->exchange);
        turns++;
    }
    assert_true(turns > 1 && turns < 10);
    assert_true(clients[COUNT - 1].session->is_announced);
    exchange_fixture_free(fixture);
}

static void what_no_backlog_can_hold_is_refused(void **state)
{
    (void)state;
    enum { MAX_BYTES = 4096 };
    struct exchange_config config = exchange_fixture_config();
    config.backlog_max_bytes = MAX_BYTES;
    struct exchange_fixture *fixture = exchange_fixture_new(&config);
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    char text[MAX_BYTES + 1];
    memset(text, 'x', sizeof text);
    text[0] = '{';
    assert_false(submit_text(fixture, &alice, "1", slice_of(text, sizeof text)));
    submit(fixture, &alice, "2");
    expect_out(fixture, "submit 1 0;");
    exchange_fixture_free(fixture);
}

static void without_room_for_an_answer_the_link_is_stuck_until_it_ends(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    fixture->out.max_bytes = 10;
    detach(fixture, &alice, 0, 0, OUTCOME_USER_OFFLINE);
    assert_true(exchange_is_stuck(fixture->exchange));
    assert_int_equal(buffer_len(&fixture->out), 0);
    exchange_pump(fixture->exchange);
    link_goes_down(fixture);
    assert_false(exchange_is_stuck(fixture->exchange));
    fixture->out.max_bytes = TEXT_MAX_BYTES;
    link_greets(fixture);
    expect_out(fixture, "synced;");
}

int main(void)
{
#define EXCHANGE_TEST(function) \
    cmocka_unit_test_setup_teardown(function, exchange_set_up, exchange_tear_down)
    const struct CMUnitTest tests[] = {
        EXCHANGE_TEST(a_session_is_attached_once_the_broker_says_so),
        EXCHANGE_TEST(all_are_attached_again_after_a_reconnect_and_told_once),
        EXCHANGE_TEST(who_goes_is_detached_if_the_broker_knows_him),
        EXCHANGE_TEST(each_outcome_reaches_its_sender_once),
        EXCHANGE_TEST(the_broker_gets_the_whole_message),
        cmocka_unit_test(a_long_time_leaves_a_second_for_the_outcome),
        EXCHANGE_TEST(the_broker_hears_since_when_a_session_has_been_there),
        EXCHANGE_TEST(a_deadline_answers_by_whether_a_broker_took_it),
        EXCHANGE_TEST(nobody_is_told_of_a_message_whose_sender_is_gone),
        cmocka_unit_test(too_much_unanswered_is_refused_and_room_comes_back),
        cmocka_unit_test(a_backlog_is_congestion_until_half_of_it_is_gone),
        cmocka_unit_test(what_waits_leaves_room_for_what_the_broker_must_hear),
        cmocka_unit_test(what_no_backlog_can_hold_is_refused),
        EXCHANGE_TEST(without_room_for_an_answer_the_link_is_stuck_until_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
