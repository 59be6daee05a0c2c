/* What is said again after a link or a broker has died: messages are submitted again, nobody is
 * handed one twice, and nobody is told "not delivered" of what may have been. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/exchange_fixture.h"

enum { TEXT_BYTES = 1000 };

static void link_breaks(struct exchange_fixture *fixture)
{
    link_goes_down(fixture);
    link_comes_up(fixture);
}

/* Ready, and alice is there. */
static void begin(struct exchange_fixture *fixture, struct fake_client *alice)
{
    link_comes_up(fixture);
    attach_fully(fixture, alice, "alice");
}

static void what_has_no_outcome_is_submitted_again_in_order_and_before_the_rest(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    struct fake_client bob;
    begin(fixture, &alice);
    attach_fully(fixture, &bob, "bob");
    submit(fixture, &alice, "1");
    submit(fixture, &bob, "2");
    submit(fixture, &alice, "3");
    expect_out(fixture, "submit 1 0;submit 2 1;submit 3 0;");
    broker_puts_outcome(fixture, 2, OUTCOME_DELIVERED);
    assert_true(receive(fixture));
    submit(fixture, &bob, "4");
    link_goes_down(fixture);
    submit(fixture, &alice, "5");
    expect_log(fixture, "delivered bob.1 bob 2;"); /* and of the others nothing yet */
    link_greets(fixture);
    expect_out(fixture, "attach 0 alice/phone again;attach 1 bob/phone again;synced;");
    link_gets_ready(fixture);
    expect_out(fixture, "repeat 1 0;repeat 3 0;submit 4 1;submit 5 0;");
    for (uint64_t seq = 1; seq <= 5; seq++) {
        broker_puts_outcome(fixture, seq, OUTCOME_DELIVERED);
    }
    assert_true(receive(fixture));
    expect_log(fixture, "delivered alice.0 bob 1;delivered alice.0 bob 3;"
                        "delivered bob.1 bob 4;delivered alice.0 bob 5;");
    link_breaks(fixture);
    expect_out(fixture, "");
}

static void nothing_is_lost_that_never_left_the_buffer(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    submit(fixture, &alice, "1");
    submit(fixture, &alice, "2");
    exchange_pump(fixture->exchange);
    assert_true(buffer_len(&fixture->out) > 0);
    link_breaks(fixture); /* with all of it */
    expect_out(fixture, "repeat 1 0;repeat 2 0;");
}

static void the_message_is_the_same_but_for_the_flag(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    submit(fixture, &alice, "1");
    exchange_pump(fixture->exchange);
    struct buffer first;
    buffer_init(&first, TEXT_MAX_BYTES);
    buffer_put(&first, buffer_slice(&fixture->out));
    fixture->now_ms = 500; /* its time is not counted anew */
    link_breaks(fixture);
    exchange_pump(fixture->exchange);
    struct slice batch = buffer_slice(&fixture->out);
    struct link_record record;
    assert_int_equal(link_record_decode(&batch, &record), PARSE_DONE);
    assert_true(record.submit.is_repeat);
    record.submit.is_repeat = false;
    struct buffer again;
    buffer_init(&again, TEXT_MAX_BYTES);
    link_record_put(&again, &record);
    assert_true(slice_equal(buffer_slice(&again), buffer_slice(&first)));
    buffer_fini(&again);
    buffer_fini(&first);
}

static void links_may_break_again_and_again(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    submit(fixture, &alice, "1");
    expect_out(fixture, "submit 1 0;");
    link_breaks(fixture);
    link_breaks(fixture); /* before it was sent again */
    exchange_link_down(fixture->exchange);
    link_goes_down(fixture); /* told twice */
    link_comes_up(fixture);
    submit(fixture, &alice, "2");
    expect_out(fixture, "repeat 1 0;submit 2 0;");
    link_breaks(fixture);
    expect_out(fixture, "repeat 1 0;repeat 2 0;");
    broker_puts_outcome(fixture, 1, OUTCOME_DELIVERED);
    assert_true(receive(fixture));
    expect_log(fixture, "delivered alice.0 bob 1;");
    link_breaks(fixture);
    expect_out(fixture, "repeat 2 0;");
}

static void only_what_a_broker_may_have_had_is_a_repeat(void **state)
{
    (void)state;
    enum { MAX_BYTES = 4096 };
    struct exchange_config config = exchange_fixture_config();
    config.backlog_max_bytes = MAX_BYTES;
    struct exchange_fixture *fixture = exchange_fixture_new(&config);
    struct fake_client alice;
    begin(fixture, &alice);
    static char text[TEXT_BYTES] = "{"; /* the brace is all that is looked at here */
    for (int i = 0; i < 3; i++) {
        assert_true(submit_text(fixture, &alice, "1", slice_of(text, sizeof text)));
    }
    expect_out(fixture, "submit 1 0;submit 2 0;"); /* half of the buffer is full */
    link_breaks(fixture);
    expect_out(fixture, "repeat 1 0;repeat 2 0;");
    link_breaks(fixture);
    expect_out(fixture, "repeat 1 0;repeat 2 0;");
    expect_out(fixture, "submit 3 0;");
    exchange_fixture_free(fixture);
}

static void what_is_to_be_sent_again_counts_as_backlog(void **state)
{
    (void)state;
    enum { MAX_BYTES = 8192, COUNT = 8 };
    struct exchange_config config = exchange_fixture_config();
    config.backlog_max_bytes = MAX_BYTES;
    struct exchange_fixture *fixture = exchange_fixture_new(&config);
    struct fake_client alice;
    begin(fixture, &alice);
    static char text[TEXT_BYTES] = "{";
    for (int i = 0; i < COUNT; i++) {
        assert_true(submit_text(fixture, &alice, "1", slice_of(text, sizeof text)));
        exchange_pump(fixture->exchange);
        buffer_clear(&fixture->out);
    }
    assert_false(exchange_is_congested(fixture->exchange));
    link_goes_down(fixture);
    exchange_pump(fixture->exchange);
    assert_true(exchange_is_congested(fixture->exchange));
    exchange_tick(fixture->exchange, OUTCOME_TIMEOUT_MS);
    exchange_pump(fixture->exchange);
    assert_false(exchange_is_congested(fixture->exchange));
    exchange_fixture_free(fixture);
}

static void a_message_whose_sender_is_gone_is_submitted_again_as_well(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    submit(fixture, &alice, "1");
    expect_out(fixture, "submit 1 0;");
    detach(fixture, &alice, 0, 0, OUTCOME_USER_OFFLINE);
    link_breaks(fixture);
    expect_out(fixture, "repeat 1 0;");
    broker_puts_outcome(fixture, 1, OUTCOME_DELIVERED);
    assert_true(receive(fixture));
    expect_log(fixture, "");
    assert_int_equal(exchange_unanswered_count(fixture->exchange), 0);
}

static void a_refusal_of_a_repeat_is_unconfirmed(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    static const enum outcome outcomes[] = {OUTCOME_USER_OFFLINE, OUTCOME_OVERLOADED,
                                            OUTCOME_UNAVAILABLE, OUTCOME_UNCONFIRMED};
    for (size_t i = 0; i <= ARRAY_LENGTH(outcomes); i++) {
        submit(fixture, &alice, "1");
    }
    expect_out(fixture, "submit 1 0;submit 2 0;submit 3 0;submit 4 0;submit 5 0;");
    link_breaks(fixture);
    exchange_pump(fixture->exchange);
    for (size_t i = 0; i < ARRAY_LENGTH(outcomes); i++) {
        broker_puts_outcome(fixture, i + 1, outcomes[i]);
        assert_true(receive(fixture));
        expect_log(fixture, "unconfirmed alice.0 bob 1;");
    }
    broker_puts_outcome(fixture, 5, OUTCOME_DELIVERED);
    assert_true(receive(fixture));
    expect_log(fixture, "delivered alice.0 bob 1;");
}

static void a_refusal_of_what_no_broker_had_before_stays_one(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    link_goes_down(fixture);
    submit(fixture, &alice, "1");
    link_comes_up(fixture);
    expect_out(fixture, "submit 1 0;");
    broker_puts_outcome(fixture, 1, OUTCOME_USER_OFFLINE);
    assert_true(receive(fixture));
    expect_log(fixture, "user-offline alice.0 bob 1;");
}

static void a_deadline_is_unavailable_only_for_what_was_never_sent(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    submit(fixture, &alice, "1");
    expect_out(fixture, "submit 1 0;");
    submit(fixture, &alice, "2");
    link_goes_down(fixture);
    exchange_tick(fixture->exchange, OUTCOME_TIMEOUT_MS);
    expect_log(fixture, "unconfirmed alice.0 bob 1;unavailable alice.0 bob 2;");
    link_comes_up(fixture);
    expect_out(fixture, "");
}

static void a_repeat_that_waits_is_not_delivered_again(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    broker_puts_deliver(fixture, 1, alice.session->id, "x");
    assert_true(receive(fixture));
    expect_log(fixture, "deliver alice.0 x;");
    link_breaks(fixture);
    broker_puts_repeat(fixture, 1, alice.session->id, "x");
    broker_puts_repeat(fixture, 1, alice.session->id, "x");
    assert_true(receive(fixture));
    expect_log(fixture, "");
    expect_out(fixture, "");
    exchange_written(fixture->exchange, alice.session, alice.queued_bytes);
    expect_out(fixture, "delivered 1 0;");
}

static void a_repeat_that_is_over_hears_what_became_of_it(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    uint64_t id = alice.session->id;
    for (uint64_t seq = 1; seq <= 3; seq++) {
        broker_puts_deliver(fixture, seq, id, "0123456789");
    }
    assert_true(receive(fixture));
    link_goes_down(fixture);
    detach(fixture, &alice, 10, 20, OUTCOME_OVERLOADED);
    buffer_clear(&fixture->log);
    link_comes_up(fixture);
    for (uint64_t seq = 1; seq <= 4; seq++) {
        broker_puts_repeat(fixture, seq, id, "0123456789");
    }
    assert_true(receive(fixture));
    expect_log(fixture, "");
    expect_out(fixture, "delivered 1 0;unconfirmed 2 0;overloaded 3 0;user-offline 4 0;");
}

static void a_repeat_that_was_never_seen_is_delivered(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    broker_puts_repeat(fixture, 1, alice.session->id, "x");
    assert_true(receive(fixture));
    expect_log(fixture, "deliver alice.0 x;");
    exchange_written(fixture->exchange, alice.session, alice.queued_bytes);
    expect_out(fixture, "delivered 1 0;");
}

/* One more than are remembered: of the first nobody knows any more. */
static void a_repeat_that_may_be_forgotten_is_unconfirmed(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    for (uint64_t seq = 1; seq <= REMEMBERED_MAX + 1; seq++) {
        fixture->deadline_ms = DELIVERY_TIME_MS + seq;
        broker_puts_deliver(fixture, seq, alice.session->id, "x");
    }
    assert_true(receive(fixture));
    exchange_written(fixture->exchange, alice.session, alice.queued_bytes);
    buffer_clear(&fixture->log);
    link_breaks(fixture);
    fixture->deadline_ms = DELIVERY_TIME_MS + 1;
    broker_puts_repeat(fixture, 1, alice.session->id, "x");
    fixture->deadline_ms = DELIVERY_TIME_MS + 2;
    broker_puts_repeat(fixture, 2, alice.session->id, "x");
    fixture->deadline_ms = DELIVERY_TIME_MS + 1;
    broker_puts_deliver(fixture, REMEMBERED_MAX + 2, alice.session->id, "new"); /* for sure */
    assert_true(receive(fixture));
    expect_log(fixture, "deliver alice.0 new;");
    expect_out(fixture, "unconfirmed 1 0;delivered 2 0;");
}

static void a_repeat_that_is_older_than_what_the_session_has_is_refused(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    broker_puts_deliver(fixture, 5, alice.session->id, "five");
    broker_puts_repeat(fixture, 3, alice.session->id, "three");
    broker_puts_repeat(fixture, 6, alice.session->id, "six");
    assert_true(receive(fixture));
    expect_log(fixture, "deliver alice.0 five;deliver alice.0 six;");
    expect_out(fixture, "user-offline 3 0;");
    exchange_written(fixture->exchange, alice.session, alice.queued_bytes);
    broker_puts_repeat(fixture, 4, alice.session->id, "four");
    struct link_record other = make_deliver(fixture, 1, alice.session->id, "another's");
    other.deliver.source_instance_id = SOURCE_INSTANCE + 1;
    other.deliver.is_repeat = true;
    broker_puts(fixture, other);
    assert_true(receive(fixture));
    expect_log(fixture, "deliver alice.0 another's;");
    expect_out(fixture, "delivered 5 0;delivered 6 0;user-offline 4 0;");
}

/* Their order is the broker's; only what comes again is looked at. */
static void what_is_delivered_for_the_first_time_is_never_too_old(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    broker_puts_deliver(fixture, 5, alice.session->id, "five");
    broker_puts_deliver(fixture, 3, alice.session->id, "three");
    assert_true(receive(fixture));
    expect_log(fixture, "deliver alice.0 five;deliver alice.0 three;");
}

int main(void)
{
#define EXCHANGE_TEST(function) \
    cmocka_unit_test_setup_teardown(function, exchange_set_up, exchange_tear_down)
    const struct CMUnitTest tests[] = {
        EXCHANGE_TEST(what_has_no_outcome_is_submitted_again_in_order_and_before_the_rest),
        EXCHANGE_TEST(nothing_is_lost_that_never_left_the_buffer),
        EXCHANGE_TEST(the_message_is_the_same_but_for_the_flag),
        EXCHANGE_TEST(links_may_break_again_and_again),
        cmocka_unit_test(only_what_a_broker_may_have_had_is_a_repeat),
        cmocka_unit_test(what_is_to_be_sent_again_counts_as_backlog),
        EXCHANGE_TEST(a_message_whose_sender_is_gone_is_submitted_again_as_well),
        EXCHANGE_TEST(a_refusal_of_a_repeat_is_unconfirmed),
        EXCHANGE_TEST(a_refusal_of_what_no_broker_had_before_stays_one),
        EXCHANGE_TEST(a_deadline_is_unavailable_only_for_what_was_never_sent),
        EXCHANGE_TEST(a_repeat_that_waits_is_not_delivered_again),
        EXCHANGE_TEST(a_repeat_that_is_over_hears_what_became_of_it),
        EXCHANGE_TEST(a_repeat_that_was_never_seen_is_delivered),
        EXCHANGE_TEST(a_repeat_that_may_be_forgotten_is_unconfirmed),
        EXCHANGE_TEST(a_repeat_that_is_older_than_what_the_session_has_is_refused),
        EXCHANGE_TEST(what_is_delivered_for_the_first_time_is_never_too_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
