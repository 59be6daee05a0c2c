/* The loop: timers fire once, in order, not early; descriptors, retired memory and signals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct fixture {
    struct loop *loop;
    struct loop_timer timers[3];
    int fired[8];
    int fired_count;
    int turn_count;
    int freed_count;
    int freed_at_turn_end;
    struct loop_watch watch;
    struct loop_watch other;
    int ready_count;
    int signal_no;
    struct loop_retired retired;
};

static struct fixture *current;

static void on_turn_end(void *arg)
{
    struct fixture *fixture = arg;
    fixture->turn_count++;
    fixture->freed_at_turn_end = fixture->freed_count;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->loop = loop_new(on_turn_end, fixture);
    assert_non_null(fixture->loop);
    current = fixture;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    loop_free(fixture->loop);
    free(fixture);
    return 0;
}

static void on_due(struct loop_timer *timer)
{
    assert_true(loop_now_ms(current->loop) >= timer->due_ms);
    current->fired[current->fired_count++] = (int)(timer - current->timers);
    if (current->fired_count == 3) {
        loop_stop(current->loop);
    }
}

static void timers_fire_in_order_and_never_early(void **state)
{
    struct fixture *fixture = *state;
    uint64_t now = loop_now_ms(fixture->loop);
    static const uint64_t delays_ms[] = {60, 0, 30};
    for (size_t i = 0; i < ARRAY_LENGTH(delays_ms); i++) {
        fixture->timers[i].on_due = on_due;
        loop_timer_set(fixture->loop, &fixture->timers[i], now + delays_ms[i]);
    }
    loop_run(fixture->loop);
    assert_int_equal(fixture->fired[0], 1);
    assert_int_equal(fixture->fired[1], 2);
    assert_int_equal(fixture->fired[2], 0);
    assert_null(fixture->timers[0].next);
}

static void stop(struct loop_timer *timer)
{
    (void)timer;
    loop_stop(current->loop);
}

static void a_moved_timer_fires_once_and_a_cancelled_one_never(void **state)
{
    struct fixture *fixture = *state;
    uint64_t now = loop_now_ms(fixture->loop);
    fixture->timers[0].on_due = on_due;
    fixture->timers[1].on_due = on_due;
    fixture->timers[2].on_due = stop;
    loop_timer_set(fixture->loop, &fixture->timers[0], now + 5);
    loop_timer_set(fixture->loop, &fixture->timers[0], now + 50);
    loop_timer_set(fixture->loop, &fixture->timers[1], now + 5);
    loop_timer_cancel(fixture->loop, &fixture->timers[1]);
    loop_timer_cancel(fixture->loop, &fixture->timers[1]);
    loop_timer_set(fixture->loop, &fixture->timers[2], now + 100);
    loop_run(fixture->loop);
    assert_int_equal(fixture->fired_count, 1);
    assert_int_equal(fixture->fired[0], 0);
}

static void cancel_the_other(struct loop_timer *timer)
{
    (void)timer;
    current->fired_count++;
    loop_timer_cancel(current->loop, &current->timers[1]);
    loop_timer_set(current->loop, &current->timers[2], loop_now_ms(current->loop));
}

static void a_timer_may_cancel_one_that_is_due_in_the_same_tick(void **state)
{
    struct fixture *fixture = *state;
    uint64_t now = loop_now_ms(fixture->loop);
    fixture->timers[0].on_due = cancel_the_other;
    fixture->timers[1].on_due = on_due;
    fixture->timers[2].on_due = stop;
    loop_timer_set(fixture->loop, &fixture->timers[0], now);
    loop_timer_set(fixture->loop, &fixture->timers[1], now);
    loop_run(fixture->loop);
    assert_int_equal(fixture->fired_count, 1);
}

static void on_readable(struct loop_watch *watch, uint32_t epoll_events)
{
    assert_true((epoll_events & EPOLLIN) != 0);
    char byte;
    assert_int_equal(read(watch->fd, &byte, 1), 1);
    current->ready_count++;
    loop_watch_remove(current->loop, watch);
    if (current->other.fd >= 0 && watch != &current->other) {
        /* Ready in the same turn, but removed: must not be called. */
        loop_watch_remove(current->loop, &current->other);
    }
    loop_stop(current->loop);
}

static void a_watch_removed_in_a_turn_is_not_called_in_it(void **state)
{
    struct fixture *fixture = *state;
    int first[2];
    int second[2];
    assert_int_equal(pipe(first), 0);
    assert_int_equal(pipe(second), 0);
    fixture->watch.on_ready = on_readable;
    fixture->other.on_ready = on_readable;
    assert_true(loop_watch_add(fixture->loop, &fixture->watch, first[0], EPOLLIN));
    assert_true(loop_watch_add(fixture->loop, &fixture->other, second[0], EPOLLIN));
    assert_int_equal(write(first[1], "x", 1), 1);
    assert_int_equal(write(second[1], "x", 1), 1);
    loop_run(fixture->loop);
    assert_int_equal(fixture->ready_count, 1);
    for (int i = 0; i < 2; i++) {
        (void)close(first[i]);
        (void)close(second[i]);
    }
}

static void a_bad_descriptor_is_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_false(loop_watch_add(fixture->loop, &fixture->watch, -1, EPOLLIN));
    assert_int_equal(fixture->watch.fd, -1);
}

static void on_free(struct loop_retired *retired)
{
    assert_ptr_equal(retired, &current->retired);
    current->freed_count++;
}

static void retire_and_stop(struct loop_timer *timer)
{
    (void)timer;
    loop_retire(current->loop, &current->retired, on_free);
    assert_int_equal(current->freed_count, 0);
    loop_stop(current->loop);
}

static void what_is_retired_is_freed_after_the_end_of_the_turn(void **state)
{
    struct fixture *fixture = *state;
    fixture->timers[0].on_due = retire_and_stop;
    loop_timer_set(fixture->loop, &fixture->timers[0], loop_now_ms(fixture->loop));
    loop_run(fixture->loop);
    assert_int_equal(fixture->freed_at_turn_end, 0);
    assert_int_equal(fixture->freed_count, 1);
}

static void on_signal(void *arg, int signal_no)
{
    struct fixture *fixture = arg;
    fixture->signal_no = signal_no;
    loop_stop(fixture->loop);
}

static void signals_arrive_in_the_loop(void **state)
{
    struct fixture *fixture = *state;
    assert_true(loop_watch_signals(fixture->loop, on_signal, fixture));
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    loop_run(fixture->loop);
    assert_int_equal(fixture->signal_no, SIGTERM);
}

int main(void)
{
#define LOOP_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOOP_TEST(timers_fire_in_order_and_never_early),
        LOOP_TEST(a_moved_timer_fires_once_and_a_cancelled_one_never),
        LOOP_TEST(a_timer_may_cancel_one_that_is_due_in_the_same_tick),
        LOOP_TEST(a_watch_removed_in_a_turn_is_not_called_in_it),
        LOOP_TEST(a_bad_descriptor_is_refused),
        LOOP_TEST(what_is_retired_is_freed_after_the_end_of_the_turn),
        LOOP_TEST(signals_arrive_in_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
