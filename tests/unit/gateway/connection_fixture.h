/* A connection set behind real sockets; each connection's owner writes down what it is told. */
#pragma once

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
    struct connection_fixture *fixture;
};

struct connection_fixture {
    struct loop_fixture base;
    struct connection_set set;
    struct peer peers[PEERS_MAX];
    int timer_count;
    int freed_count;
};

static inline struct peer *peer_of(struct connection *conn)
{
    return container_of(conn, struct probe, conn)->peer;
}

static inline void peer_on_bytes(struct connection *conn, struct slice bytes)
{
    struct peer *peer = peer_of(conn);
    buffer_put(&peer->received, bytes);
    if (peer->aborts_on_bytes) {
        connection_abort(conn);
        assert_false(connection_is_open(conn));
        connection_abort(conn); /* once more does nothing */
    }
}

static inline void peer_on_end(struct connection *conn)
{
    peer_of(conn)->end_count++;
    connection_abort(conn);
}

static inline void peer_on_written(struct connection *conn, struct slice queued, size_t count,
                                   bool is_all)
{
    struct peer *peer = peer_of(conn);
    assert_true(is_all ? queued.len == 0 : queued.len >= count);
    assert_int_equal(connection_has_pending(conn), !is_all);
    peer->write_count++;
    peer->written_bytes += count;
    peer->was_all = is_all;
    assert_int_equal(connection_written_bytes(conn), peer->written_bytes);
}

static inline void peer_on_gone(struct connection *conn)
{
    struct peer *peer = peer_of(conn);
    assert_false(connection_is_open(conn));
    assert_non_null(peer->conn);
    peer->conn = NULL;
    peer->gone_count++;
}

static inline void peer_on_timer(struct connection *conn)
{
    container_of(conn, struct probe, conn)->fixture->timer_count++;
}

static inline void free_probe(struct connection *conn)
{
    struct probe *probe = container_of(conn, struct probe, conn);
    probe->fixture->freed_count++;
    free(probe);
}

static const struct connection_handlers peer_handlers = {
    .on_bytes = peer_on_bytes,
    .on_end = peer_on_end,
    .on_written = peer_on_written,
    .on_gone = peer_on_gone,
    .on_timer = peer_on_timer,
    .free_fn = free_probe,
};

static inline int connection_set_up(void **state)
{
    struct connection_fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    loop_fixture_init(&fixture->base, &fixture->set);
    assert_true(
        connection_set_init(&fixture->set, fixture->base.loop, &peer_handlers, QUEUE_MAX_BYTES));
    for (size_t i = 0; i < PEERS_MAX; i++) {
        fixture->peers[i].far.watch.fd = -1;
    }
    *state = fixture;
    return 0;
}

static inline int connection_tear_down(void **state)
{
    struct connection_fixture *fixture = *state;
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

static inline struct peer *open_peer(struct connection_fixture *fixture, size_t index,
                                     const int fds[2])
{
    struct peer *peer = &fixture->peers[index];
    struct probe *probe = calloc(1, sizeof *probe);
    assert_non_null(probe);
    probe->peer = peer;
    probe->fixture = fixture;
    peer->conn = &probe->conn;
    buffer_init(&peer->received, FAR_MAX_BYTES);
    assert_true(connection_open(peer->conn, &fixture->set, fds[0]));
    peer->conn->is_pausable = true;
    far_end_open(&peer->far, fixture->base.loop, fds[1]);
    return peer;
}

static inline struct peer *open_tcp(struct connection_fixture *fixture, size_t index,
                                    int send_buffer_bytes)
{
    int fds[2];
    tcp_pair(fds, send_buffer_bytes);
    return open_peer(fixture, index, fds);
}

static inline struct peer *open_packets(struct connection_fixture *fixture)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
    return open_peer(fixture, 0, fds);
}

/* False: it did not fit. */
static inline bool put(struct peer *peer, struct slice bytes)
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
static inline struct slice new_pattern(size_t len)
{
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
    }
    return slice_of(bytes, len);
}

static inline void free_pattern(struct slice pattern)
{
    free((void *)pattern.data);
}

static inline struct peer *first_peer(struct loop_fixture *base)
{
    return &container_of(base, struct connection_fixture, base)->peers[0];
}

static inline bool first_is_gone(struct loop_fixture *base)
{
    return container_of(base, struct connection_fixture, base)->freed_count == 1;
}

static inline bool first_far_has_bytes(struct loop_fixture *base)
{
    return buffer_len(&first_peer(base)->far.received) > 0;
}

static inline bool first_has_bytes(struct loop_fixture *base)
{
    return buffer_len(&first_peer(base)->received) > 0;
}

static inline bool first_has_written_all(struct loop_fixture *base)
{
    return first_peer(base)->was_all;
}

static inline bool first_is_blocked(struct loop_fixture *base)
{
    return first_peer(base)->conn->write_is_blocked;
}

static inline bool first_far_has_ended(struct loop_fixture *base)
{
    return first_peer(base)->far.has_ended;
}
