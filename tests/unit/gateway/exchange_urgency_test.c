/* What the exchange says should leave at once: everything, but for good news that nobody awaits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/exchange_fixture.h"

/* And not again until there is more. */
static void expect_urgency(struct exchange_fixture *fixture, bool is_urgent)
{
    assert_int_equal(exchange_take_urgency(fixture->exchange), is_urgent);
    assert_false(exchange_take_urgency(fixture->exchange));
}

/* Ready, alice is there, and nothing is to be sent. */
static void begin(struct exchange_fixture *fixture, struct fake_client *alice)
{
    link_comes_up(fixture);
    attach_fully(fixture, alice, "alice");
    (void)exchange_take_urgency(fixture->exchange);
}

/* For alice, who gets it into her queue. */
static void broker_delivers(struct exchange_fixture *fixture, const struct fake_client *alice,
                            uint64_t seq, bool is_awaited)
{
    struct link_record record = make_deliver(fixture, seq, alice->session->id, "0123456789");
    record.deliver.is_awaited = is_awaited;
    broker_puts(fixture, record);
    assert_true(receive(fixture));
    expect_urgency(fixture, false);
}

static void what_a_connection_begins_with_is_urgent(void **state)
{
    struct exchange_fixture *fixture = *state;
    expect_urgency(fixture, false);
    exchange_link_up(fixture->exchange, &fixture->out);
    expect_urgency(fixture, true);
    expect_out(fixture, "hello 3 77;");
    expect_urgency(fixture, false);
    broker_puts_welcome(fixture);
    assert_true(receive(fixture));
    struct fake_client alice;
    attach(fixture, &alice, "alice");
    expect_out(fixture, "attach 0 alice/phone;synced;");
    expect_urgency(fixture, true);
    link_gets_ready(fixture);
    expect_out(fixture, "");
    expect_urgency(fixture, false);
}

static void who_comes_and_who_goes_is_urgent(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    struct fake_client bob;
    attach(fixture, &bob, "bob");
    expect_out(fixture, "attach 1 bob/phone;");
    expect_urgency(fixture, true);
    assert_false(exchange_retire(fixture->exchange, alice.session));
    expect_urgency(fixture, true);
    detach(fixture, &bob, 0, 0, OUTCOME_USER_OFFLINE);
    expect_urgency(fixture, true);
    expect_out(fixture, "retire 0;detach 1;");
}

static void a_message_is_urgent_when_it_is_sent(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    submit(fixture, &alice, "");
    expect_urgency(fixture, false);
    expect_out(fixture, "submit 1 0;");
    expect_urgency(fixture, true);
    expect_out(fixture, "");
    expect_urgency(fixture, false);
}

static void a_message_that_cannot_be_sent_yet_is_not_urgent(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    link_goes_down(fixture);
    submit(fixture, &alice, "1");
    exchange_pump(fixture->exchange);
    expect_urgency(fixture, false);
}

static void good_news_is_urgent_if_it_is_awaited(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    broker_delivers(fixture, &alice, 1, false);
    broker_delivers(fixture, &alice, 2, true);
    broker_delivers(fixture, &alice, 3, false);
    exchange_written(fixture->exchange, alice.session, 10);
    expect_urgency(fixture, false);
    expect_out(fixture, "delivered 1 0;"); /* it is there all the same */
    exchange_written(fixture->exchange, alice.session, 20);
    expect_urgency(fixture, true);
    expect_out(fixture, "delivered 2 0;");
    exchange_written(fixture->exchange, alice.session, 30);
    expect_urgency(fixture, false);
    expect_out(fixture, "delivered 3 0;");
}

static void what_is_not_urgent_does_not_hide_what_is(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    broker_delivers(fixture, &alice, 1, false);
    broker_delivers(fixture, &alice, 2, true);
    broker_delivers(fixture, &alice, 3, false);
    exchange_written(fixture->exchange, alice.session, 30);
    expect_urgency(fixture, true);
    expect_out(fixture, "delivered 1 0;delivered 2 0;delivered 3 0;");
}

/* On a connection on which the session has not been announced: no detach goes before. */
static void bad_news_is_urgent(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    broker_delivers(fixture, &alice, 1, false);
    broker_delivers(fixture, &alice, 2, false);
    link_goes_down(fixture);
    link_greets(fixture);
    expect_urgency(fixture, true);
    exchange_written(fixture->exchange, alice.session, 10);
    expect_urgency(fixture, false);
    detach(fixture, &alice, 10, 10, OUTCOME_OVERLOADED);
    expect_urgency(fixture, true);
    expect_out(fixture, "delivered 1 0;overloaded 2 0;synced;");
}

static void a_refusal_is_urgent(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    broker_puts_deliver(fixture, 1, alice.session->id + 1, "x");
    assert_true(receive(fixture));
    expect_urgency(fixture, true);
    expect_out(fixture, "user-offline 1 1;");
}

/* Whoever asks again has waited long enough. */
static void what_a_repeat_is_told_is_urgent(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    broker_delivers(fixture, &alice, 1, false);
    broker_puts_repeat(fixture, 1, alice.session->id, "0123456789");
    assert_true(receive(fixture));
    expect_urgency(fixture, false); /* its outcome follows */
    exchange_written(fixture->exchange, alice.session, 10);
    expect_urgency(fixture, false);
    broker_puts_repeat(fixture, 1, alice.session->id, "0123456789");
    assert_true(receive(fixture));
    expect_urgency(fixture, true);
    expect_out(fixture, "delivered 1 0;delivered 1 0;");
}

static void a_repeat_is_urgent_when_it_is_sent(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    submit(fixture, &alice, "1");
    exchange_pump(fixture->exchange);
    link_goes_down(fixture);
    link_comes_up(fixture);
    (void)exchange_take_urgency(fixture->exchange);
    expect_out(fixture, "repeat 1 0;");
    expect_urgency(fixture, true);
}

/* The next record that goes to the broker is a submit that says so. */
static void expect_awaited(struct exchange_fixture *fixture, bool is_awaited)
{
    exchange_pump(fixture->exchange);
    struct slice batch = buffer_slice(&fixture->out);
    struct link_record record;
    assert_int_equal(link_record_decode(&batch, &record), PARSE_DONE);
    assert_int_equal(record.kind, LINK_SUBMIT);
    assert_int_equal(record.submit.is_awaited, is_awaited);
    assert_int_equal(batch.len, 0);
    buffer_clear(&fixture->out);
}

static void an_outcome_is_awaited_by_who_wants_news_of_a_message_with_an_id(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    for (int wants_news = 0; wants_news < 2; wants_news++) {
        alice.session->wants_news = wants_news != 0;
        submit(fixture, &alice, "");
        expect_awaited(fixture, false);
        submit(fixture, &alice, "1");
        expect_awaited(fixture, wants_news != 0);
    }
}

static void a_repeat_is_awaited_as_before(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    begin(fixture, &alice);
    for (uint64_t seq = 1; seq <= 2; seq++) {
        submit(fixture, &alice, "1");
        exchange_pump(fixture->exchange);
        link_goes_down(fixture);
        link_comes_up(fixture);
        expect_awaited(fixture, alice.session->wants_news);
        broker_puts_outcome(fixture, seq, OUTCOME_DELIVERED);
        assert_true(receive(fixture));
        alice.session->wants_news = true;
    }
}

int main(void)
{
#define EXCHANGE_TEST(function) \
    cmocka_unit_test_setup_teardown(function, exchange_set_up, exchange_tear_down)
    const struct CMUnitTest tests[] = {
        EXCHANGE_TEST(what_a_connection_begins_with_is_urgent),
        EXCHANGE_TEST(who_comes_and_who_goes_is_urgent),
        EXCHANGE_TEST(a_message_is_urgent_when_it_is_sent),
        EXCHANGE_TEST(a_message_that_cannot_be_sent_yet_is_not_urgent),
        EXCHANGE_TEST(good_news_is_urgent_if_it_is_awaited),
        EXCHANGE_TEST(what_is_not_urgent_does_not_hide_what_is),
        EXCHANGE_TEST(bad_news_is_urgent),
        EXCHANGE_TEST(a_refusal_is_urgent),
        EXCHANGE_TEST(what_a_repeat_is_told_is_urgent),
        EXCHANGE_TEST(a_repeat_is_urgent_when_it_is_sent),
        EXCHANGE_TEST(an_outcome_is_awaited_by_who_wants_news_of_a_message_with_an_id),
        EXCHANGE_TEST(a_repeat_is_awaited_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
