/* The exchange towards its broker: one outcome for each deliver, whoever reads too slowly, and
 * evictions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/exchange_fixture.h"

/* Four payloads of 10 bytes each wait in alice's queue. */
static void queue_four(struct exchange_fixture *fixture, struct fake_client *alice)
{
    link_comes_up(fixture);
    attach_fully(fixture, alice, "alice");
    for (uint64_t seq = 1; seq <= 4; seq++) {
        broker_puts_deliver(fixture, seq, alice->session->id, "0123456789");
    }
    assert_true(receive(fixture));
    expect_log(fixture, "deliver alice.0 0123456789;deliver alice.0 0123456789;"
                        "deliver alice.0 0123456789;deliver alice.0 0123456789;");
    expect_out(fixture, "");
}

static void delivered_is_said_when_the_last_byte_is_written(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    queue_four(fixture, &alice);
    exchange_written(fixture->exchange, alice.session, 9);
    expect_out(fixture, "");
    exchange_written(fixture->exchange, alice.session, 10);
    expect_out(fixture, "delivered 1 0;");
    exchange_written(fixture->exchange, alice.session, 19);
    expect_out(fixture, "");
    exchange_written(fixture->exchange, alice.session, 35);
    expect_out(fixture, "delivered 2 0;delivered 3 0;");
    exchange_written(fixture->exchange, alice.session, 40);
    exchange_written(fixture->exchange, alice.session, 40);
    expect_out(fixture, "delivered 4 0;");
}

/* The broker is to know that the session is gone when it hears of what comes back from it. */
static void who_goes_leaves_an_outcome_for_each_payload(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    queue_four(fixture, &alice);
    detach(fixture, &alice, 15, 20, OUTCOME_OVERLOADED);
    expect_out(fixture, "delivered 1 0;detach 0;unconfirmed 2 0;overloaded 3 0;overloaded 4 0;");
}

static void what_was_not_begun_is_not_unconfirmed(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    queue_four(fixture, &alice);
    detach(fixture, &alice, 20, 20, OUTCOME_USER_OFFLINE);
    expect_out(fixture, "delivered 1 0;delivered 2 0;detach 0;user-offline 3 0;user-offline 4 0;");
}

static void what_is_written_after_the_link_went_is_told_to_nobody(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    queue_four(fixture, &alice);
    link_goes_down(fixture);
    exchange_written(fixture->exchange, alice.session, 40);
    link_greets(fixture);
    expect_out(fixture, "attach 0 alice/phone again;synced;");
}

static void nobody_there_is_user_offline(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    struct fake_client bob;
    attach_fully(fixture, &alice, "alice");
    uint64_t gone_id = alice.session->id;
    detach(fixture, &alice, 0, 0, OUTCOME_USER_OFFLINE);
    attach(fixture, &bob, "bob"); /* in alice's place, and not attached yet */
    expect_out(fixture, "detach 0;attach 0 bob/phone;");
    broker_puts_deliver(fixture, 1, gone_id, "x");
    broker_puts_deliver(fixture, 2, UINT64_MAX, "x");
    broker_puts_deliver(fixture, 3, bob.session->id, "x");
    assert_true(receive(fixture));
    expect_log(fixture, "");
    expect_out(fixture, "user-offline 1 0;user-offline 2 4294967295;user-offline 3 0;");
}

static void a_full_queue_is_overloaded_and_costs_the_session(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    queue_four(fixture, &alice);
    alice.is_full = true;
    broker_puts_deliver(fixture, 5, alice.session->id, "x");
    broker_puts_deliver(fixture, 6, alice.session->id, "x");
    assert_true(receive(fixture));
    expect_log(fixture, "full alice.0;");
    expect_out(fixture, "detach 0;overloaded 1 0;overloaded 2 0;overloaded 3 0;overloaded 4 0;"
                        "overloaded 5 0;user-offline 6 0;");
    assert_int_equal(exchange_session_count(fixture->exchange), 0);
}

static void what_comes_at_its_deadline_is_refused(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    fixture->now_ms = DELIVERY_TIME_MS - 1;
    broker_puts_deliver(fixture, 1, alice.session->id, "in time");
    assert_true(receive(fixture));
    fixture->now_ms = DELIVERY_TIME_MS;
    broker_puts_deliver(fixture, 2, alice.session->id, "late");
    broker_puts_repeat(fixture, 3, alice.session->id, "late");
    assert_true(receive(fixture));
    expect_log(fixture, "deliver alice.0 in time;");
    expect_out(fixture, "overloaded 2 0;overloaded 3 0;");
    assert_non_null(alice.session); /* which is not its fault */
}

static void who_has_not_read_a_payload_by_its_deadline_is_evicted(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    queue_four(fixture, &alice);
    fixture->is_evicting = true;
    exchange_written(fixture->exchange, alice.session, 10);
    exchange_tick(fixture->exchange, DELIVERY_TIME_MS - 1);
    expect_log(fixture, "");
    expect_out(fixture, "delivered 1 0;");
    exchange_tick(fixture->exchange, DELIVERY_TIME_MS);
    expect_log(fixture, "evict alice.0 4001;");
    expect_out(fixture, "detach 0;overloaded 2 0;overloaded 3 0;overloaded 4 0;");
    exchange_tick(fixture->exchange, DELIVERY_TIME_MS);
    expect_log(fixture, "");
}

static void each_slow_reader_is_evicted_and_nobody_else(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    fixture->is_evicting = true;
    struct fake_client clients[4];
    static const char *const names[] = {"alice", "bob", "carol", "dave"};
    for (uint64_t i = 0; i < ARRAY_LENGTH(clients); i++) {
        attach_fully(fixture, &clients[i], names[i]);
        fixture->deadline_ms = DELIVERY_TIME_MS + i / 3;
        broker_puts_deliver(fixture, i + 1, clients[i].session->id, "x");
    }
    assert_true(receive(fixture));
    buffer_clear(&fixture->log);
    exchange_written(fixture->exchange, clients[1].session, 1);
    exchange_tick(fixture->exchange, DELIVERY_TIME_MS);
    expect_log(fixture, "evict alice.0 4001;evict carol.2 4001;");
    exchange_tick(fixture->exchange, DELIVERY_TIME_MS + 1);
    expect_log(fixture, "evict dave.3 4001;");
    assert_non_null(clients[1].session);
}

static void a_slow_reader_is_evicted_without_a_link_as_well(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    queue_four(fixture, &alice);
    fixture->is_evicting = true;
    link_goes_down(fixture);
    exchange_tick(fixture->exchange, DELIVERY_TIME_MS);
    expect_log(fixture, "evict alice.0 4001;");
    assert_int_equal(exchange_session_count(fixture->exchange), 0);
}

static void an_owner_that_closes_later_is_told_once_a_tick(void **state)
{
    struct exchange_fixture *fixture = *state;
    struct fake_client alice;
    queue_four(fixture, &alice);
    exchange_tick(fixture->exchange, DELIVERY_TIME_MS);
    expect_log(fixture, "evict alice.0 4001;");
    exchange_written(fixture->exchange, alice.session, alice.queued_bytes);
    exchange_tick(fixture->exchange, DELIVERY_TIME_MS);
    expect_log(fixture, "");
}

/* For the messages, for those that wait in queues, and for those that are remembered. */
static void ticks_are_needed_as_long_as_there_is_anything_to_time(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    assert_false(exchange_needs_tick(fixture->exchange));
    submit(fixture, &alice, "1");
    assert_true(exchange_needs_tick(fixture->exchange));
    exchange_pump(fixture->exchange);
    broker_puts_outcome(fixture, 1, OUTCOME_DELIVERED);
    assert_true(receive(fixture));
    assert_false(exchange_needs_tick(fixture->exchange));
    broker_puts_deliver(fixture, 1, alice.session->id, "x");
    assert_true(receive(fixture));
    assert_true(exchange_needs_tick(fixture->exchange));
    exchange_written(fixture->exchange, alice.session, alice.queued_bytes);
    exchange_tick(fixture->exchange, DELIVERY_TIME_MS - 1);
    assert_true(exchange_needs_tick(fixture->exchange));
    exchange_tick(fixture->exchange, DELIVERY_TIME_MS);
    assert_false(exchange_needs_tick(fixture->exchange));
}

static void an_evicted_session_may_go_at_once(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach_fully(fixture, &alice, "alice");
    uint64_t id = alice.session->id;
    fixture->is_evicting = true;
    broker_puts_evict(fixture, id);
    broker_puts_evict(fixture, id);
    broker_puts_attached(fixture, id);
    assert_true(receive(fixture));
    expect_log(fixture, "evict alice.0 4501;");
    expect_out(fixture, "detach 0;");
}

/* Its client may have sent messages right behind the handshake. */
static void a_session_evicted_before_it_was_attached_submits_nothing(void **state)
{
    struct exchange_fixture *fixture = *state;
    link_comes_up(fixture);
    struct fake_client alice;
    attach(fixture, &alice, "alice");
    expect_out(fixture, "attach 0 alice/phone;");
    broker_puts_evict(fixture, alice.session->id);
    assert_true(receive(fixture));
    expect_log(fixture, "evict alice.0 4501;");
    assert_false(submit_text(fixture, &alice, "1", slice_from_string("{}")));
    detach(fixture, &alice, 0, 0, OUTCOME_USER_OFFLINE);
    expect_out(fixture, "detach 0;");
}

int main(void)
{
#define EXCHANGE_TEST(function) \
    cmocka_unit_test_setup_teardown(function, exchange_set_up, exchange_tear_down)
    const struct CMUnitTest tests[] = {
        EXCHANGE_TEST(delivered_is_said_when_the_last_byte_is_written),
        EXCHANGE_TEST(who_goes_leaves_an_outcome_for_each_payload),
        EXCHANGE_TEST(what_was_not_begun_is_not_unconfirmed),
        EXCHANGE_TEST(what_is_written_after_the_link_went_is_told_to_nobody),
        EXCHANGE_TEST(nobody_there_is_user_offline),
        EXCHANGE_TEST(a_full_queue_is_overloaded_and_costs_the_session),
        EXCHANGE_TEST(what_comes_at_its_deadline_is_refused),
        EXCHANGE_TEST(who_has_not_read_a_payload_by_its_deadline_is_evicted),
        EXCHANGE_TEST(each_slow_reader_is_evicted_and_nobody_else),
        EXCHANGE_TEST(a_slow_reader_is_evicted_without_a_link_as_well),
        EXCHANGE_TEST(an_owner_that_closes_later_is_told_once_a_tick),
        EXCHANGE_TEST(ticks_are_needed_as_long_as_there_is_anything_to_time),
        EXCHANGE_TEST(an_evicted_session_may_go_at_once),
        EXCHANGE_TEST(a_session_evicted_before_it_was_attached_submits_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
