/* What is not urgent waits for company on the link: it leaves with what is, or by itself before
 * long. */
#include "tests/unit/common/link_fixture.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

/* By itself within two ticks; the rest is for a busy machine. */
enum { WAIT_MAX_MS = 2 * LOOP_TIMER_TICK_MS, SLACK_MS = 200, QUIET_MS = 4 * LOOP_TIMER_TICK_MS };

static bool at_once(struct fixture *fixture)
{
    (void)fixture;
    return true;
}

static bool gateway_saw_1(struct fixture *fixture)
{
    return fixture->gateway.seqs_seen == 1;
}

static bool gateway_saw_2(struct fixture *fixture)
{
    return fixture->gateway.seqs_seen == 2;
}

static struct loop_timer pause_timer;

static void on_pause_over(struct loop_timer *timer)
{
    timer->on_due = NULL;
}

static bool pause_is_over(struct fixture *fixture)
{
    (void)fixture;
    return pause_timer.on_due == NULL;
}

/* Turns as often as something is ready or due. */
static void run_for(struct fixture *fixture, uint64_t ms)
{
    pause_timer = (struct loop_timer){.on_due = on_pause_over};
    loop_timer_set(fixture->loop, &pause_timer, loop_now_ms(fixture->loop) + ms);
    run_until(fixture, pause_is_over);
}

/* The broker's first record has been flushed, and was not urgent. */
static void begin_to_wait(struct fixture *fixture)
{
    open_both(fixture);
    run_for(fixture, QUIET_MS); /* what opening them has set is over */
    fixture->is_patient = true;
    put_delivers(fixture->broker.link, 1, 1, 10);
    run_until(fixture, at_once);
    assert_true(buffer_len(link_out(fixture->broker.link)) > 0);
    assert_int_equal(fixture->gateway.batch_count, 0);
}

static void what_is_not_urgent_leaves_by_itself(void **state)
{
    struct fixture *fixture = *state;
    begin_to_wait(fixture);
    uint64_t start_ms = loop_now_ms(fixture->loop);
    run_until(fixture, gateway_saw_1);
    assert_in_range(loop_now_ms(fixture->loop) - start_ms, 1, WAIT_MAX_MS + SLACK_MS);
    assert_int_equal(buffer_len(link_out(fixture->broker.link)), 0);
    put_delivers(fixture->broker.link, 2, 2, 10); /* and again */
    run_until(fixture, gateway_saw_2);
    assert_int_equal(fixture->gateway.batch_count, 2);
}

/* Nothing is set besides, and nothing is left. */
static void waiting_costs_one_turn(void **state)
{
    struct fixture *fixture = *state;
    begin_to_wait(fixture);
    fixture->turns = 0;
    run_until(fixture, gateway_saw_1);
    assert_true(fixture->turns <= 4); /* the test's own, the timer's, the receiver's */
    fixture->turns = 0;
    run_for(fixture, QUIET_MS);
    assert_true(fixture->turns <= 3);
}

static void what_is_not_urgent_leaves_with_what_is(void **state)
{
    struct fixture *fixture = *state;
    begin_to_wait(fixture);
    put_delivers(fixture->broker.link, 2, 2, 10);
    uint64_t start_ms = loop_now_ms(fixture->loop);
    link_flush(fixture->broker.link, true);
    assert_int_equal(buffer_len(link_out(fixture->broker.link)), 0);
    run_until(fixture, gateway_saw_2);
    assert_int_equal(fixture->gateway.batch_count, 1);
    assert_true(loop_now_ms(fixture->loop) - start_ms < SLACK_MS);
}

static void what_comes_later_does_not_put_it_off(void **state)
{
    struct fixture *fixture = *state;
    begin_to_wait(fixture);
    put_delivers(fixture->broker.link, 2, 2, 10);
    uint64_t start_ms = loop_now_ms(fixture->loop);
    run_until(fixture, gateway_saw_2);
    assert_int_equal(fixture->gateway.batch_count, 1);
    assert_true(loop_now_ms(fixture->loop) - start_ms <= WAIT_MAX_MS + SLACK_MS);
}

static void on_always_ready(struct loop_watch *watch, uint32_t epoll_events)
{
    (void)watch;
    (void)epoll_events;
}

/* One turn follows another, each with a flush. */
static void many_turns_do_not_put_it_off(void **state)
{
    struct fixture *fixture = *state;
    begin_to_wait(fixture);
    struct loop_watch watch = {.on_ready = on_always_ready, .fd = -1};
    int fd = eventfd(1, EFD_NONBLOCK);
    assert_true(loop_watch_add(fixture->loop, &watch, fd, EPOLLIN));
    uint64_t start_ms = loop_now_ms(fixture->loop);
    run_until(fixture, gateway_saw_1);
    assert_true(loop_now_ms(fixture->loop) - start_ms <= WAIT_MAX_MS + SLACK_MS);
    assert_true(fixture->turns > 10);
    loop_watch_remove(fixture->loop, &watch);
    (void)close(fd);
}

static void nothing_to_send_waits_for_nothing(void **state)
{
    struct fixture *fixture = *state;
    open_both(fixture);
    run_for(fixture, QUIET_MS);
    fixture->is_patient = true;
    fixture->turns = 0;
    run_for(fixture, QUIET_MS);
    assert_true(fixture->turns <= 3);
    assert_int_equal(fixture->gateway.batch_count, 0);
}

/* Turned over once more, a timer that was left would be noticed by the address sanitizer. */
static void an_ended_connection_leaves_no_timer_behind(void **state)
{
    struct fixture *fixture = *state;
    begin_to_wait(fixture);
    link_end(fixture->broker.link);
    link_free(fixture->broker.link);
    fixture->broker.link = NULL;
    run_for(fixture, QUIET_MS);
    assert_int_equal(fixture->gateway.batch_count, 0);
}

static void a_freed_link_leaves_no_timer_behind(void **state)
{
    struct fixture *fixture = *state;
    begin_to_wait(fixture);
    link_free(fixture->broker.link);
    fixture->broker.link = NULL;
    run_for(fixture, QUIET_MS);
    assert_int_equal(fixture->gateway.batch_count, 0);
}

static bool gateway_is_up_again(struct fixture *fixture)
{
    return fixture->gateway.up_count >= 2 && fixture->gateway.is_up && fixture->broker.is_up;
}

/* What waited is gone with its connection, and what the next one has waits in its turn. */
static void the_next_connection_waits_anew(void **state)
{
    struct fixture *fixture = *state;
    begin_to_wait(fixture);
    link_end(fixture->broker.link);
    assert_int_equal(buffer_len(link_out(fixture->broker.link)), 0);
    run_until(fixture, gateway_is_up_again);
    run_for(fixture, QUIET_MS);
    assert_int_equal(fixture->gateway.batch_count, 0);
    put_delivers(fixture->broker.link, 1, 1, 10);
    run_until(fixture, at_once);
    assert_true(buffer_len(link_out(fixture->broker.link)) > 0);
    run_until(fixture, gateway_saw_1);
}

int main(void)
{
#define LINK_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LINK_TEST(what_is_not_urgent_leaves_by_itself),
        LINK_TEST(waiting_costs_one_turn),
        LINK_TEST(what_is_not_urgent_leaves_with_what_is),
        LINK_TEST(what_comes_later_does_not_put_it_off),
        LINK_TEST(many_turns_do_not_put_it_off),
        LINK_TEST(nothing_to_send_waits_for_nothing),
        LINK_TEST(an_ended_connection_leaves_no_timer_behind),
        LINK_TEST(a_freed_link_leaves_no_timer_behind),
        LINK_TEST(the_next_connection_waits_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
