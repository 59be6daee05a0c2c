/* What a connection reads, holding and pausing; and the ways in which it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/connection_fixture.h"

static void a_held_connection_is_not_read_until_it_is_let_go(void **state)
{
    struct connection_fixture *fixture = *state;
    struct peer *peer = open_tcp(fixture, 0, 0);
    connection_hold_reading(peer->conn, true);
    far_end_send(&peer->far, slice_from_string("hello"));
    run_a_turn(&fixture->base);
    run_a_turn(&fixture->base);
    assert_int_equal(buffer_len(&peer->received), 0);
    connection_hold_reading(peer->conn, false);
    run_until(&fixture->base, first_has_bytes);
    assert_true(buffer_holds_text(&peer->received, "hello"));
}

static bool both_have_bytes(struct loop_fixture *base)
{
    struct connection_fixture *fixture = container_of(base, struct connection_fixture, base);
    return buffer_len(&fixture->peers[0].received) > 0 &&
           buffer_len(&fixture->peers[1].received) > 0;
}

static bool both_are_paused(struct loop_fixture *base)
{
    struct connection_fixture *fixture = container_of(base, struct connection_fixture, base);
    return fixture->peers[0].conn->is_paused && fixture->peers[1].conn->is_paused;
}

static void a_pause_stops_all_reading_and_no_writing(void **state)
{
    struct connection_fixture *fixture = *state;
    connection_set_pause_reading(&fixture->set, true);
    struct peer *peer = open_tcp(fixture, 0, 0);
    struct peer *other = open_tcp(fixture, 1, 0);
    far_end_send(&peer->far, slice_from_string("one"));
    far_end_send(&other->far, slice_from_string("two"));
    run_until(&fixture->base, both_are_paused);
    assert_true(put(peer, slice_from_string("out")));
    run_until(&fixture->base, first_far_has_bytes);
    assert_int_equal(buffer_len(&peer->received) + buffer_len(&other->received), 0);
    connection_set_pause_reading(&fixture->set, false);
    run_until(&fixture->base, both_have_bytes);
    assert_true(buffer_holds_text(&peer->received, "one"));
    assert_true(buffer_holds_text(&other->received, "two"));
}

static void a_paused_connection_may_end(void **state)
{
    struct connection_fixture *fixture = *state;
    connection_set_pause_reading(&fixture->set, true);
    struct peer *peer = open_tcp(fixture, 0, 0);
    struct peer *other = open_tcp(fixture, 1, 0);
    far_end_send(&peer->far, slice_from_string("one"));
    far_end_send(&other->far, slice_from_string("two"));
    run_until(&fixture->base, both_are_paused);
    connection_abort(peer->conn);
    run_until(&fixture->base, first_is_gone);
    far_end_reset(&other->far);
    connection_set_pause_reading(&fixture->set, false);
    run_a_turn(&fixture->base);
    run_a_turn(&fixture->base);
    assert_int_equal(fixture->freed_count, 2);
    assert_int_equal(peer->gone_count + other->gone_count, 2);
    assert_int_equal(fixture->set.count, 0);
}

static void an_abort_while_reading_is_the_end(void **state)
{
    struct connection_fixture *fixture = *state;
    struct peer *peer = open_tcp(fixture, 0, 0);
    peer->aborts_on_bytes = true;
    assert_true(put(peer, slice_from_string("lost"))); /* it is still in the list to flush */
    far_end_send(&peer->far, slice_from_string("hello"));
    run_until(&fixture->base, first_is_gone);
    assert_int_equal(peer->gone_count, 1);
    assert_int_equal(peer->end_count, 0);
    assert_int_equal(fixture->set.count, 0);
}

static void the_peers_end_is_told(void **state)
{
    struct connection_fixture *fixture = *state;
    struct peer *peer = open_tcp(fixture, 0, 0);
    far_end_send(&peer->far, slice_from_string("bye"));
    far_end_close(&peer->far);
    run_until(&fixture->base, first_is_gone);
    assert_true(buffer_holds_text(&peer->received, "bye"));
    assert_int_equal(peer->end_count, 1);
    assert_int_equal(peer->gone_count, 1);
}

static void a_reset_is_the_end_even_when_nothing_is_read(void **state)
{
    struct connection_fixture *fixture = *state;
    struct peer *peer = open_tcp(fixture, 0, 0);
    connection_hold_reading(peer->conn, true);
    far_end_reset(&peer->far);
    run_until(&fixture->base, first_is_gone);
    assert_int_equal(peer->end_count, 0);
    assert_int_equal(peer->gone_count, 1);
}

static void a_reset_while_writing_is_the_end(void **state)
{
    struct connection_fixture *fixture = *state;
    struct peer *peer = open_tcp(fixture, 0, SMALL_SOCKET_BYTES);
    far_end_read(&peer->far, false);
    struct slice pattern = new_pattern(QUEUE_MAX_BYTES);
    assert_true(put(peer, pattern));
    run_until(&fixture->base, first_is_blocked);
    far_end_reset(&peer->far);
    run_until(&fixture->base, first_is_gone);
    assert_int_equal(peer->gone_count, 1);
    free_pattern(pattern);
}

static void after_the_last_byte_the_peer_sees_the_end_and_may_still_send(void **state)
{
    struct connection_fixture *fixture = *state;
    struct peer *peer = open_tcp(fixture, 0, 0);
    assert_true(put(peer, slice_from_string("last")));
    run_until(&fixture->base, first_has_written_all);
    connection_finish_writing(peer->conn);
    far_end_send(&peer->far, slice_from_string("still here"));
    run_until(&fixture->base, first_has_bytes);
    run_until(&fixture->base, first_far_has_ended);
    assert_true(buffer_holds_text(&peer->far.received, "last"));
    run_until(&fixture->base, first_is_gone); /* the far end closes when it has seen the end */
}

static bool timer_has_fired(struct loop_fixture *base)
{
    return container_of(base, struct connection_fixture, base)->timer_count == 1;
}

static void the_timer_fires_and_dies_with_its_connection(void **state)
{
    struct connection_fixture *fixture = *state;
    struct peer *peer = open_tcp(fixture, 0, 0);
    loop_timer_set(fixture->base.loop, &peer->conn->timer, loop_now_ms(fixture->base.loop) + 1);
    run_until(&fixture->base, timer_has_fired);
    loop_timer_set(fixture->base.loop, &peer->conn->timer, loop_now_ms(fixture->base.loop) + 1);
    connection_abort(peer->conn);
    run_a_turn(&fixture->base);
    run_a_turn(&fixture->base);
    assert_int_equal(fixture->timer_count, 1);
    assert_int_equal(fixture->freed_count, 1);
}

int main(void)
{
#define CONNECTION_TEST(function) \
    cmocka_unit_test_setup_teardown(function, connection_set_up, connection_tear_down)
    const struct CMUnitTest tests[] = {
        CONNECTION_TEST(a_held_connection_is_not_read_until_it_is_let_go),
        CONNECTION_TEST(a_pause_stops_all_reading_and_no_writing),
        CONNECTION_TEST(a_paused_connection_may_end),
        CONNECTION_TEST(an_abort_while_reading_is_the_end),
        CONNECTION_TEST(the_peers_end_is_told),
        CONNECTION_TEST(a_reset_is_the_end_even_when_nothing_is_read),
        CONNECTION_TEST(a_reset_while_writing_is_the_end),
        CONNECTION_TEST(after_the_last_byte_the_peer_sees_the_end_and_may_still_send),
        CONNECTION_TEST(the_timer_fires_and_dies_with_its_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
