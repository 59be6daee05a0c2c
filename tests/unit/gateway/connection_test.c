/* What a connection writes and when; the bounds of its queue and the positions in its stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/connection_fixture.h"

static void many_puts_leave_in_one_write_a_turn(void **state)
{
    struct connection_fixture *fixture = *state;
    struct peer *peer = open_packets(fixture);
    for (int i = 0; i < 1000; i++) {
        assert_true(put(peer, slice_from_string("0123456789")));
    }
    assert_int_equal(connection_pending_bytes(peer->conn), 10000);
    assert_int_equal(connection_written_bytes(peer->conn), 0);
    assert_int_equal(peer->conn->queued_bytes, 10000);
    run_until(&fixture->base, first_far_has_bytes);
    assert_int_equal(buffer_len(&peer->far.received), 10000); /* one packet: one write */
    assert_int_equal(peer->write_count, 1);
    assert_int_equal(connection_written_bytes(peer->conn), 10000);
    assert_null(peer->conn->outbound); /* an idle connection owns no buffer */
    run_a_turn(&fixture->base);
    assert_int_equal(peer->write_count, 1);
}

static void a_flush_writes_at_once_and_only_what_is_there(void **state)
{
    struct connection_fixture *fixture = *state;
    struct peer *peer = open_packets(fixture);
    connection_flush(peer->conn);
    assert_int_equal(peer->write_count, 0);
    assert_true(put(peer, slice_from_string("now")));
    connection_flush(peer->conn);
    assert_int_equal(peer->write_count, 1);
    assert_true(peer->was_all);
    run_until(&fixture->base, first_far_has_bytes);
    assert_int_equal(peer->write_count, 1);
    assert_int_equal(buffer_len(&peer->far.received), 3);
}

static void the_queue_is_bounded_and_the_reserve_is_for_a_last_word(void **state)
{
    struct connection_fixture *fixture = *state;
    struct peer *peer = open_tcp(fixture, 0, 0);
    struct slice full = new_pattern(QUEUE_MAX_BYTES);
    assert_true(put(peer, full));
    assert_false(put(peer, slice_from_string("x")));
    assert_int_equal(connection_pending_bytes(peer->conn), QUEUE_MAX_BYTES);
    assert_int_equal(peer->conn->queued_bytes, QUEUE_MAX_BYTES);
    connection_allow_reserve(peer->conn);
    uint8_t last_word[CONNECTION_RESERVE_BYTES] = {0};
    assert_true(put(peer, slice_of(last_word, sizeof last_word)));
    assert_false(put(peer, slice_from_string("x")));
    run_until(&fixture->base, first_has_written_all);
    assert_true(put(peer, full));
    assert_false(put(peer, slice_from_string("x"))); /* the reserve went with that queue */
    free_pattern(full);
}

static bool far_has_4_mib(struct loop_fixture *base)
{
    return buffer_len(&first_peer(base)->far.received) == 4 * (size_t)QUEUE_MAX_BYTES;
}

static void what_the_socket_does_not_take_goes_on_when_it_can(void **state)
{
    struct connection_fixture *fixture = *state;
    struct peer *peer = open_tcp(fixture, 0, SMALL_SOCKET_BYTES);
    struct slice pattern = new_pattern(4 * (size_t)QUEUE_MAX_BYTES);
    struct slice head = slice_of(pattern.data, QUEUE_MAX_BYTES);
    assert_true(put(peer, head));
    assert_true(connection_send_body(peer->conn, slice_drop(pattern, QUEUE_MAX_BYTES)));
    run_until(&fixture->base, far_has_4_mib);
    assert_true(buffer_holds(&peer->far.received, pattern));
    assert_true(peer->write_count > 10);
    assert_int_equal(peer->written_bytes, QUEUE_MAX_BYTES); /* a body has no position */
    assert_true(peer->was_all);
    assert_null(peer->conn->outbound);
    assert_int_equal(peer->conn->watch.events, EPOLLIN);
    free_pattern(pattern);
}

static void a_body_alone_is_written(void **state)
{
    struct connection_fixture *fixture = *state;
    struct peer *peer = open_packets(fixture);
    assert_true(connection_send_body(peer->conn, slice_from_string("body")));
    assert_true(connection_has_pending(peer->conn));
    run_until(&fixture->base, first_has_written_all);
    run_until(&fixture->base, first_far_has_bytes);
    assert_true(buffer_holds_text(&peer->far.received, "body"));
    assert_false(connection_has_pending(peer->conn));
}

static void what_is_dropped_was_never_queued(void **state)
{
    struct connection_fixture *fixture = *state;
    struct peer *peer = open_packets(fixture);
    assert_true(put(peer, slice_from_string("keep this")));
    connection_drop_queued(peer->conn, 4);
    assert_int_equal(peer->conn->queued_bytes, 4);
    assert_true(put(peer, slice_from_string("!")));
    run_until(&fixture->base, first_far_has_bytes);
    assert_true(buffer_holds_text(&peer->far.received, "keep!"));
    assert_int_equal(connection_written_bytes(peer->conn), 5);
}

static void nothing_is_waited_for_once_a_blocked_queue_is_dropped(void **state)
{
    struct connection_fixture *fixture = *state;
    struct peer *peer = open_tcp(fixture, 0, SMALL_SOCKET_BYTES);
    far_end_read(&peer->far, false);
    struct slice pattern = new_pattern(QUEUE_MAX_BYTES);
    assert_true(put(peer, pattern));
    run_until(&fixture->base, first_is_blocked);
    connection_drop_queued(peer->conn, 0);
    assert_int_equal(connection_written_bytes(peer->conn), peer->written_bytes);
    assert_int_equal(peer->conn->watch.events, EPOLLIN); /* else the loop would spin */
    assert_null(peer->conn->outbound);
    far_end_read(&peer->far, true);
    assert_true(put(peer, slice_from_string("later")));
    run_until(&fixture->base, first_has_written_all);
    free_pattern(pattern);
}

int main(void)
{
#define CONNECTION_TEST(function) \
    cmocka_unit_test_setup_teardown(function, connection_set_up, connection_tear_down)
    const struct CMUnitTest tests[] = {
        CONNECTION_TEST(many_puts_leave_in_one_write_a_turn),
        CONNECTION_TEST(a_flush_writes_at_once_and_only_what_is_there),
        CONNECTION_TEST(the_queue_is_bounded_and_the_reserve_is_for_a_last_word),
        CONNECTION_TEST(what_the_socket_does_not_take_goes_on_when_it_can),
        CONNECTION_TEST(a_body_alone_is_written),
        CONNECTION_TEST(what_is_dropped_was_never_queued),
        CONNECTION_TEST(nothing_is_waited_for_once_a_blocked_queue_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
