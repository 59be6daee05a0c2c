/* Connections over real sockets: what is written when, the bounds of the queue and its positions,
 * holding and pausing, and the ways in which a connection ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/loop_fixture.h"

enum { QUEUE_MAX_BYTES = 1024 * 1024, PEERS_MAX = 2, SMALL_SOCKET_BYTES = 4096 };

/* A connection and its far end, and what its owner was told. */
struct peer {
    struct connection *conn; /* NULL once it is gone */
    struct far_end far;
    struct buffer received;
    uint64_t written_bytes; /* as counted from on_written */
    int write_count;
    int end_count;
    int gone_count;
    bool was_all;
    bool aborts_on_bytes;
};

/* What a peer's connection is embedded in, freed with it. */
struct probe {
    struct connection conn;
    struct peer *peer;
    struct fixture *fixture;
};

struct fixture {
    struct loop_fixture base;
    struct connection_set set;
    struct peer peers[PEERS_MAX];
    int timer_count;
    int freed_count;
};

static struct peer *peer_of(struct connection *conn)
{
    return container_of(conn, struct probe, conn)->peer;
}

static void on_bytes(struct connection *conn, struct slice bytes)
{
    struct peer *peer = peer_of(conn);
    buffer_put(&peer->received, bytes);
    if (peer->aborts_on_bytes) {
        connection_abort(conn);
        assert_false(connection_is_open(conn));
        connection_abort(conn); /* once more does nothing */
    }
}

static void on_end(struct connection *conn)
{
    peer_of(conn)->end_count++;
    connection_abort(conn);
}

static void on_written(struct connection *conn, struct slice queued, size_t count, bool is_all)
{
    struct peer *peer = peer_of(conn);
    assert_true(is_all ? queued.len == 0 : queued.len >= count);
    assert_int_equal(connection_has_pending(conn), !is_all);
    peer->write_count++;
    peer->written_bytes += count;
    peer->was_all = is_all;
    assert_int_equal(connection_written_bytes(conn), peer->written_bytes);
}

static void on_gone(struct connection *conn)
{
    struct peer *peer = peer_of(conn);
    assert_false(connection_is_open(conn));
    assert_non_null(peer->conn);
    peer->conn = NULL;
    peer->gone_count++;
}

static void on_timer(struct connection *conn)
{
    container_of(conn, struct probe, conn)->fixture->timer_count++;
}

static void free_probe(struct connection *conn)
{
    struct probe *probe = container_of(conn, struct probe, conn);
    probe->fixture->freed_count++;
    free(probe);
}

static const struct connection_handlers handlers = {
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_written = on_written,
    .on_gone = on_gone,
    .on_timer = on_timer,
    .free_fn = free_probe,
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    loop_fixture_init(&fixture->base, &fixture->set);
    assert_true(connection_set_init(&fixture->set, fixture->base.loop, &handlers, QUEUE_MAX_BYTES));
    for (size_t i = 0; i < PEERS_MAX; i++) {
        fixture->peers[i].far.watch.fd = -1;
    }
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct peer *peer = &fixture->peers[i];
        if (peer->conn != NULL) {
            connection_abort(peer->conn);
        }
        far_end_fini(&peer->far);
        buffer_fini(&peer->received);
    }
    connection_set_fini(&fixture->set);
    loop_free(fixture->base.loop);
    free(fixture);
    return 0;
}

static struct peer *open_peer(struct fixture *fixture, size_t index, const int fds[2])
{
    struct peer *peer = &fixture->peers[index];
    struct probe *probe = calloc(1, sizeof *probe);
    assert_non_null(probe);
    probe->peer = peer;
    probe->fixture = fixture;
    peer->conn = &probe->conn;
    buffer_init(&peer->received, FAR_MAX_BYTES);
    assert_true(connection_open(peer->conn, &fixture->set, fds[0]));
    far_end_open(&peer->far, fixture->base.loop, fds[1]);
    return peer;
}

static struct peer *open_tcp(struct fixture *fixture, size_t index, int send_buffer_bytes)
{
    int fds[2];
    tcp_pair(fds, send_buffer_bytes);
    return open_peer(fixture, index, fds);
}

static struct peer *open_packets(struct fixture *fixture)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
    return open_peer(fixture, 0, fds);
}

/* False: it did not fit. */
static bool put(struct peer *peer, struct slice bytes)
{
    struct buffer *out = connection_outbound(peer->conn);
    assert_non_null(out);
    size_t len_before = buffer_len(out);
    buffer_put(out, bytes);
    bool fits = !out->failed;
    buffer_truncate(out, buffer_len(out));
    connection_account(peer->conn, len_before);
    return fits;
}

/* Bytes of which each says where it stands. */
static struct slice new_pattern(size_t len)
{
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
    }
    return slice_of(bytes, len);
}

static void free_pattern(struct slice pattern)
{
    free((void *)pattern.data);
}

static struct peer *first_peer(struct loop_fixture *base)
{
    return &container_of(base, struct fixture, base)->peers[0];
}

static bool first_is_gone(struct loop_fixture *base)
{
    return container_of(base, struct fixture, base)->freed_count == 1;
}

static bool first_far_has_bytes(struct loop_fixture *base)
{
    return buffer_len(&first_peer(base)->far.received) > 0;
}

static bool first_has_bytes(struct loop_fixture *base)
{
    return buffer_len(&first_peer(base)->received) > 0;
}

static bool first_has_written_all(struct loop_fixture *base)
{
    return first_peer(base)->was_all;
}

static bool first_is_blocked(struct loop_fixture *base)
{
    return first_peer(base)->conn->write_is_blocked;
}

static bool first_far_has_ended(struct loop_fixture *base)
{
    return first_peer(base)->far.has_ended;
}

static void many_puts_leave_in_one_write_a_turn(void **state)
{
    struct fixture *fixture = *state;
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
    struct fixture *fixture = *state;
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
    struct fixture *fixture = *state;
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
    return buffer_len(&first_peer(base)->far.received) == 4 * QUEUE_MAX_BYTES;
}

static void what_the_socket_does_not_take_goes_on_when_it_can(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = open_tcp(fixture, 0, SMALL_SOCKET_BYTES);
    struct slice pattern = new_pattern(4 * QUEUE_MAX_BYTES);
    struct slice head = slice_of(pattern.data, QUEUE_MAX_BYTES);
    assert_true(put(peer, head));
    assert_true(connection_send_body(peer->conn, slice_drop(pattern, QUEUE_MAX_BYTES)));
    run_until(&fixture->base, far_has_4_mib);
    assert_true(slice_equal(buffer_slice(&peer->far.received), pattern));
    assert_true(peer->write_count > 10);
    assert_int_equal(peer->written_bytes, QUEUE_MAX_BYTES); /* a body has no position */
    assert_true(peer->was_all);
    assert_null(peer->conn->outbound);
    assert_int_equal(peer->conn->watch.events, EPOLLIN);
    free_pattern(pattern);
}

static void a_body_alone_is_written(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = open_packets(fixture);
    assert_true(connection_send_body(peer->conn, slice_from_string("body")));
    assert_true(connection_has_pending(peer->conn));
    run_until(&fixture->base, first_has_written_all);
    run_until(&fixture->base, first_far_has_bytes);
    assert_true(slice_equal_string(buffer_slice(&peer->far.received), "body"));
    assert_false(connection_has_pending(peer->conn));
}

static void what_is_dropped_was_never_queued(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = open_packets(fixture);
    assert_true(put(peer, slice_from_string("keep this")));
    connection_drop_queued(peer->conn, 4);
    assert_int_equal(peer->conn->queued_bytes, 4);
    assert_true(put(peer, slice_from_string("!")));
    run_until(&fixture->base, first_far_has_bytes);
    assert_true(slice_equal_string(buffer_slice(&peer->far.received), "keep!"));
    assert_int_equal(connection_written_bytes(peer->conn), 5);
}

static void nothing_is_waited_for_once_a_blocked_queue_is_dropped(void **state)
{
    struct fixture *fixture = *state;
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

static void a_held_connection_is_not_read_until_it_is_let_go(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = open_tcp(fixture, 0, 0);
    connection_hold_reading(peer->conn, true);
    far_end_send(&peer->far, slice_from_string("hello"));
    run_a_turn(&fixture->base);
    run_a_turn(&fixture->base);
    assert_int_equal(buffer_len(&peer->received), 0);
    connection_hold_reading(peer->conn, false);
    run_until(&fixture->base, first_has_bytes);
    assert_true(slice_equal_string(buffer_slice(&peer->received), "hello"));
}

static bool both_have_bytes(struct loop_fixture *base)
{
    struct fixture *fixture = container_of(base, struct fixture, base);
    return buffer_len(&fixture->peers[0].received) > 0 &&
           buffer_len(&fixture->peers[1].received) > 0;
}

static bool both_are_paused(struct loop_fixture *base)
{
    struct fixture *fixture = container_of(base, struct fixture, base);
    return fixture->peers[0].conn->is_paused && fixture->peers[1].conn->is_paused;
}

static void a_pause_stops_all_reading_and_no_writing(void **state)
{
    struct fixture *fixture = *state;
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
    assert_true(slice_equal_string(buffer_slice(&peer->received), "one"));
    assert_true(slice_equal_string(buffer_slice(&other->received), "two"));
}

static void a_paused_connection_may_end(void **state)
{
    struct fixture *fixture = *state;
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
    struct fixture *fixture = *state;
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
    struct fixture *fixture = *state;
    struct peer *peer = open_tcp(fixture, 0, 0);
    far_end_send(&peer->far, slice_from_string("bye"));
    far_end_close(&peer->far);
    run_until(&fixture->base, first_is_gone);
    assert_true(slice_equal_string(buffer_slice(&peer->received), "bye"));
    assert_int_equal(peer->end_count, 1);
    assert_int_equal(peer->gone_count, 1);
}

static void a_reset_is_the_end_even_when_nothing_is_read(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = open_tcp(fixture, 0, 0);
    connection_hold_reading(peer->conn, true);
    far_end_reset(&peer->far);
    run_until(&fixture->base, first_is_gone);
    assert_int_equal(peer->end_count, 0);
    assert_int_equal(peer->gone_count, 1);
}

static void a_reset_while_writing_is_the_end(void **state)
{
    struct fixture *fixture = *state;
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
    struct fixture *fixture = *state;
    struct peer *peer = open_tcp(fixture, 0, 0);
    assert_true(put(peer, slice_from_string("last")));
    run_until(&fixture->base, first_has_written_all);
    connection_finish_writing(peer->conn);
    far_end_send(&peer->far, slice_from_string("still here"));
    run_until(&fixture->base, first_has_bytes);
    run_until(&fixture->base, first_far_has_ended);
    assert_true(slice_equal_string(buffer_slice(&peer->far.received), "last"));
    run_until(&fixture->base, first_is_gone); /* the far end closes when it has seen the end */
}

static bool timer_has_fired(struct loop_fixture *base)
{
    return container_of(base, struct fixture, base)->timer_count == 1;
}

static void the_timer_fires_and_dies_with_its_connection(void **state)
{
    struct fixture *fixture = *state;
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
#define CONNECTION_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CONNECTION_TEST(many_puts_leave_in_one_write_a_turn),
        CONNECTION_TEST(a_flush_writes_at_once_and_only_what_is_there),
        CONNECTION_TEST(the_queue_is_bounded_and_the_reserve_is_for_a_last_word),
        CONNECTION_TEST(what_the_socket_does_not_take_goes_on_when_it_can),
        CONNECTION_TEST(a_body_alone_is_written),
        CONNECTION_TEST(what_is_dropped_was_never_queued),
        CONNECTION_TEST(nothing_is_waited_for_once_a_blocked_queue_is_dropped),
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
