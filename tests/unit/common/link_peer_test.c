/* A link whose peer is a bare socket in the test's hands: what it must be told to come up, what
 * ends it, who is turned away, and what handlers may do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link.h"
#include "common/link_codec.h"
#include "common/link_path.h"
#include "common/sp_frame.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG_MAX_BYTES = 32 * 1024 * 1024,
    DEADLINE_MS = 20000,
    SEEN_MAX_BYTES = 256,
    MEBIBYTE = 1024 * 1024,
};

/* What a handler does besides. */
enum action { DO_NOTHING, DO_END, DO_FLUSH, DO_REFUSE };

struct fixture {
    struct loop *loop;
    struct link *link;
    struct link_path path;
    int listen_fd;             /* of the test, where the link dials */
    int peer_fd;               /* -1: none */
    char seen[SEEN_MAX_BYTES]; /* U: up, D: down, else the first byte of each batch */
    size_t batches;
    int turns;
    enum action action_on_up;
    enum action action_on_batch;
    struct loop_timer deadline;
    struct loop_timer first_turn;
    struct loop_watch ready; /* when asked for: always, so that one turn follows another */
    bool (*is_done)(struct fixture *fixture);
    char link_dir[64];
};

static void note(struct fixture *fixture, char event)
{
    size_t len = strlen(fixture->seen);
    assert_true(len + 1 < sizeof fixture->seen);
    fixture->seen[len] = event;
}

static void act(struct fixture *fixture, enum action action)
{
    if (action == DO_END) {
        link_end(fixture->link);
    } else if (action == DO_FLUSH) {
        struct link_record record = {.kind = LINK_DETACH};
        link_record_put(link_out(fixture->link), &record);
        link_flush(fixture->link, true);
    }
}

static void on_up(void *arg)
{
    struct fixture *fixture = arg;
    assert_int_equal(buffer_len(link_out(fixture->link)), 0);
    note(fixture, 'U');
    act(fixture, fixture->action_on_up);
}

static void on_down(void *arg)
{
    struct fixture *fixture = arg;
    assert_int_equal(buffer_len(link_out(fixture->link)), 0);
    note(fixture, 'D');
    link_flush(fixture->link, true); /* in vain, and does no harm */
    link_end(fixture->link);
}

static bool on_batch(void *arg, struct slice batch)
{
    struct fixture *fixture = arg;
    char first = (char)batch.data[0];
    char last = (char)batch.data[batch.len - 1];
    note(fixture, first);
    fixture->batches++;
    act(fixture, fixture->action_on_batch);
    /* Whatever was done, the batch is still there. */
    assert_int_equal(batch.data[0], first);
    assert_int_equal(batch.data[batch.len - 1], last);
    return fixture->action_on_batch != DO_REFUSE;
}

static const struct link_handlers handlers = {
    .on_up = on_up,
    .on_down = on_down,
    .on_batch = on_batch,
};

static void on_turn_end(void *arg)
{
    struct fixture *fixture = arg;
    fixture->turns++;
    if (fixture->link != NULL) {
        link_flush(fixture->link, true);
    }
    if (fixture->is_done(fixture)) {
        loop_stop(fixture->loop);
    }
}

static void on_deadline(struct loop_timer *timer)
{
    struct fixture *fixture = container_of(timer, struct fixture, deadline);
    fail_msg("what the test waits for did not come; seen: \"%s\"", fixture->seen);
}

static void on_first_turn(struct loop_timer *timer)
{
    (void)timer;
}

static void on_ready(struct loop_watch *watch, uint32_t epoll_events)
{
    (void)watch;
    (void)epoll_events;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    (void)snprintf(fixture->link_dir, sizeof fixture->link_dir, "/tmp/link-peer-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->link_dir));
    assert_true(link_path_init(&fixture->path, fixture->link_dir, 0));
    fixture->loop = loop_new(on_turn_end, fixture);
    assert_non_null(fixture->loop);
    fixture->listen_fd = -1;
    fixture->peer_fd = -1;
    fixture->deadline.on_due = on_deadline;
    fixture->first_turn.on_due = on_first_turn;
    fixture->ready.on_ready = on_ready;
    assert_true(loop_watch_add(fixture->loop, &fixture->ready, eventfd(1, EFD_CLOEXEC), 0));
    *state = fixture;
    return 0;
}

static void close_peer(struct fixture *fixture)
{
    (void)close(fixture->peer_fd);
    fixture->peer_fd = -1;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    link_free(fixture->link);
    (void)close(fixture->ready.fd);
    loop_free(fixture->loop);
    if (fixture->peer_fd >= 0) {
        close_peer(fixture);
    }
    if (fixture->listen_fd >= 0) {
        (void)close(fixture->listen_fd);
        link_path_unlink(&fixture->path);
    }
    assert_int_equal(rmdir(fixture->link_dir), 0); /* the link has removed its socket */
    free(fixture);
    return 0;
}

static void open_link(struct fixture *fixture, enum link_role role)
{
    struct link_config config = {
        .role = role,
        .link_dir = fixture->link_dir,
        .slot = 0,
        .backlog_max_bytes = BACKLOG_MAX_BYTES,
    };
    fixture->link = link_new(fixture->loop, &config, &handlers, fixture);
    assert_non_null(fixture->link);
}

static void run_until(struct fixture *fixture, bool (*is_done)(struct fixture *fixture))
{
    fixture->is_done = is_done;
    loop_timer_set(fixture->loop, &fixture->deadline, loop_now_ms(fixture->loop) + DEADLINE_MS);
    loop_timer_set(fixture->loop, &fixture->first_turn, loop_now_ms(fixture->loop));
    loop_run(fixture->loop);
    loop_timer_cancel(fixture->loop, &fixture->deadline);
}

/* The same without a pause between turns: `is_done` itself has something to do. */
static void run_busily_until(struct fixture *fixture, bool (*is_done)(struct fixture *fixture))
{
    loop_watch_change(fixture->loop, &fixture->ready, EPOLLIN);
    run_until(fixture, is_done);
    loop_watch_change(fixture->loop, &fixture->ready, 0);
}

static bool always(struct fixture *fixture)
{
    (void)fixture;
    return true;
}

/* As many turns as anything that has arrived by now takes. */
static void run_a_little(struct fixture *fixture)
{
    for (int i = 0; i < 4; i++) {
        run_busily_until(fixture, always);
    }
}

static bool is_up_last(struct fixture *fixture)
{
    size_t len = strlen(fixture->seen);
    return len > 0 && fixture->seen[len - 1] == 'U';
}

static bool is_down_last(struct fixture *fixture)
{
    size_t len = strlen(fixture->seen);
    return len > 0 && fixture->seen[len - 1] == 'D';
}

static void send_bytes(struct fixture *fixture, const void *bytes, size_t len)
{
    assert_int_equal(send(fixture->peer_fd, bytes, len, MSG_NOSIGNAL), len);
}

static void send_head(struct fixture *fixture, uint64_t announced_bytes)
{
    uint8_t head[SP_HEAD_BYTES];
    sp_head_put(head, announced_bytes);
    send_bytes(fixture, head, sizeof head);
}

static void send_message(struct fixture *fixture, const char *text)
{
    send_head(fixture, strlen(text));
    send_bytes(fixture, text, strlen(text));
}

static void dial(struct fixture *fixture)
{
    assert_int_equal(fixture->peer_fd, -1);
    fixture->peer_fd = link_path_dial(&fixture->path);
    assert_true(fixture->peer_fd >= 0);
}

static void dial_and_open(struct fixture *fixture)
{
    dial(fixture);
    send_bytes(fixture, sp_opening, SP_OPENING_BYTES);
    run_until(fixture, is_up_last);
}

/* What the peer can read now; 0: the link has closed. */
static ssize_t peer_reads(struct fixture *fixture, void *bytes, size_t len)
{
    return recv(fixture->peer_fd, bytes, len, 0);
}

static void expect_opening(struct fixture *fixture)
{
    uint8_t bytes[SP_OPENING_BYTES + 1];
    assert_int_equal(peer_reads(fixture, bytes, sizeof bytes), SP_OPENING_BYTES);
    assert_memory_equal(bytes, sp_opening, SP_OPENING_BYTES);
}

static bool peer_is_closed(struct fixture *fixture)
{
    uint8_t bytes[64];
    ssize_t count = peer_reads(fixture, bytes, sizeof bytes);
    return count == 0 || (count < 0 && errno == ECONNRESET);
}

static void bytes_may_come_one_by_one(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_LISTENS);
    dial(fixture);
    const uint8_t bytes[] =
        "\0SP\0\0\x10\0\0\1\0\0\0\0\0\0\0\3abc\1\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1d";
    for (size_t i = 0; i < sizeof bytes - 1; i++) {
        send_bytes(fixture, &bytes[i], 1);
        run_a_little(fixture);
        size_t events =
            (i >= 7 ? 1U : 0U) + (i >= 19 ? 1U : 0U) + (i == sizeof bytes - 2 ? 1U : 0U);
        assert_int_equal(strlen(fixture->seen), events);
    }
    expect_opening(fixture);
    assert_string_equal(fixture->seen, "Uad");
}

static void a_wrong_opening_is_dropped_and_the_slot_is_free(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_LISTENS);
    for (size_t i = 0; i < SP_OPENING_BYTES; i++) {
        uint8_t bytes[SP_OPENING_BYTES];
        memcpy(bytes, sp_opening, sizeof bytes);
        bytes[i] ^= 1;
        dial(fixture);
        send_bytes(fixture, bytes, sizeof bytes);
        run_busily_until(fixture, peer_is_closed);
        close_peer(fixture);
    }
    assert_string_equal(fixture->seen, "");
    dial_and_open(fixture);
}

static void who_says_nothing_is_dropped_after_a_second(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_LISTENS);
    dial(fixture);
    send_bytes(fixture, sp_opening, SP_OPENING_BYTES - 1);
    run_until(fixture, always);
    uint64_t start_ms = loop_now_ms(fixture->loop);
    run_busily_until(fixture, peer_is_closed);
    assert_true(loop_now_ms(fixture->loop) - start_ms >= 900);
    close_peer(fixture);
    assert_string_equal(fixture->seen, "");
    dial_and_open(fixture);
}

static void a_hostile_head_ends_the_connection_only(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_LISTENS);
    const uint64_t lengths[] = {
        LINK_PAYLOAD_MAX_BYTES + LINK_RECORD_OVERHEAD_BYTES + 1,
        UINT64_C(1) << 32,
        INT64_MAX,
        UINT64_MAX,
    };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        dial_and_open(fixture);
        send_message(fixture, "good");
        send_head(fixture, lengths[i]);
        run_until(fixture, is_down_last);
        close_peer(fixture);
    }
    const uint8_t kinds[] = {0, 2, 0x80, 0xff};
    for (size_t i = 0; i < sizeof kinds; i++) {
        dial_and_open(fixture);
        send_bytes(fixture, &kinds[i], 1);
        run_until(fixture, is_down_last);
        close_peer(fixture);
    }
    assert_string_equal(fixture->seen, "UgDUgDUgDUgDUDUDUDUD");
    dial_and_open(fixture);
    send_message(fixture, "still there");
    run_a_little(fixture);
    assert_int_equal(fixture->seen[strlen(fixture->seen) - 1], 's');
}

static void a_peer_killed_in_a_batch_leaves_those_before_it(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_LISTENS);
    dial_and_open(fixture);
    send_message(fixture, "first");
    send_message(fixture, "second");
    send_head(fixture, 100);
    send_bytes(fixture, "cut", 3);
    close_peer(fixture);
    run_until(fixture, is_down_last);
    assert_string_equal(fixture->seen, "UfsD");
}

/* The link finds out in writing that its peer is gone, with its opening unread for a reset; what
 * the peer had sent before is handed on all the same. */
static void a_write_that_fails_does_not_lose_what_was_received(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_LISTENS);
    dial_and_open(fixture);
    send_message(fixture, "first");
    send_message(fixture, "second");
    close_peer(fixture);
    struct link_record record = {.kind = LINK_DETACH};
    link_record_put(link_out(fixture->link), &record);
    link_flush(fixture->link, true);
    assert_string_equal(fixture->seen, "U");
    link_record_put(link_out(fixture->link), &record);
    link_flush(fixture->link, true);
    run_until(fixture, is_down_last);
    assert_string_equal(fixture->seen, "UfsD");
}

static void a_second_connection_is_closed_at_once(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_LISTENS);
    dial_and_open(fixture);
    int first_fd = fixture->peer_fd;
    for (int i = 0; i < 3; i++) {
        fixture->peer_fd = -1;
        dial(fixture);
        send_bytes(fixture, sp_opening, SP_OPENING_BYTES);
        run_busily_until(fixture, peer_is_closed);
        close_peer(fixture);
    }
    fixture->peer_fd = first_fd;
    expect_opening(fixture);
    send_message(fixture, "first");
    run_a_little(fixture);
    assert_string_equal(fixture->seen, "Uf");
}

static bool has_two_batches(struct fixture *fixture)
{
    return fixture->batches == 2;
}

/* The old connection has ended, unread, before the new one came: it is not taken for a second. */
static void a_newcomer_waits_until_a_dead_connection_is_read(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_LISTENS);
    dial_and_open(fixture);
    send_message(fixture, "last");
    close_peer(fixture);
    dial(fixture);
    send_bytes(fixture, sp_opening, SP_OPENING_BYTES);
    send_message(fixture, "new");
    run_until(fixture, has_two_batches);
    assert_string_equal(fixture->seen, "UlDUn");
    expect_opening(fixture);
    assert_false(peer_is_closed(fixture));
}

/* So does a stopped process leave them when it goes on. */
static void dead_connections_in_the_queue_do_not_block_the_live_one(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_LISTENS);
    for (int i = 0; i < 5; i++) {
        dial(fixture);
        close_peer(fixture);
    }
    dial_and_open(fixture);
    assert_string_equal(fixture->seen, "U");
    expect_opening(fixture);
}

static void handlers_may_end_the_connection(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_LISTENS);
    fixture->action_on_up = DO_END;
    dial(fixture);
    send_bytes(fixture, sp_opening, SP_OPENING_BYTES);
    send_message(fixture, "unheard");
    run_until(fixture, is_down_last);
    close_peer(fixture);
    assert_string_equal(fixture->seen, "UD");
    fixture->action_on_up = DO_NOTHING;
    const enum action actions[] = {DO_END, DO_REFUSE};
    for (size_t i = 0; i < 2; i++) {
        fixture->action_on_batch = actions[i];
        dial_and_open(fixture);
        send_message(fixture, "first");
        send_message(fixture, "unheard");
        run_until(fixture, is_down_last);
        close_peer(fixture);
    }
    assert_string_equal(fixture->seen, "UDUfDUfD");
}

static void handlers_may_flush(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_LISTENS);
    fixture->action_on_up = DO_FLUSH;
    fixture->action_on_batch = DO_FLUSH;
    dial_and_open(fixture);
    send_message(fixture, "a");
    send_message(fixture, "b");
    run_a_little(fixture);
    assert_string_equal(fixture->seen, "Uab");
    uint8_t bytes[256];
    size_t message_bytes = SP_HEAD_BYTES + LINK_RECORD_HEADER_BYTES + sizeof(uint64_t);
    assert_int_equal(peer_reads(fixture, bytes, sizeof bytes),
                     SP_OPENING_BYTES + 3 * message_bytes);
}

/* More than a turn takes in, in batches of every size: a peer that has fallen silent leaves nothing
 * waiting. */
static bool peer_sends_until_all_has_come(struct fixture *fixture)
{
    static uint8_t bytes[4 * MEBIBYTE];
    static size_t sent;
    if (bytes[0] == 0) {
        for (size_t at = 0; at < sizeof bytes; at += MEBIBYTE / 4) {
            sp_head_put(bytes + at, MEBIBYTE / 4 - SP_HEAD_BYTES);
        }
    }
    if (sent < sizeof bytes) {
        size_t left = sizeof bytes - sent;
        ssize_t count = send(fixture->peer_fd, bytes + sent, left, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += count > 0 ? (size_t)count : 0;
    }
    return fixture->batches == sizeof bytes / (MEBIBYTE / 4);
}

static void much_at_once_is_handed_on_whole(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_LISTENS);
    dial_and_open(fixture);
    run_busily_until(fixture, peer_sends_until_all_has_come);
}

static bool peer_has_everything(struct fixture *fixture)
{
    static uint8_t bytes[50000];
    static size_t total;
    ssize_t count = peer_reads(fixture, bytes, sizeof bytes);
    total += count > 0 ? (size_t)count : 0;
    return total > 24 * MEBIBYTE && buffer_len(link_out(fixture->link)) == 0;
}

/* The backlog leaves as the peer reads, over more turns than one. */
static void a_slow_peer_empties_the_backlog(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_LISTENS);
    dial_and_open(fixture);
    static uint8_t payload[MEBIBYTE];
    for (int i = 0; i < 25; i++) {
        struct link_record record = {.kind = LINK_DELIVER};
        record.deliver.payload = slice_of(payload, sizeof payload);
        link_record_put(link_out(fixture->link), &record);
        link_flush(fixture->link, true);
    }
    assert_false(link_out(fixture->link)->failed);
    assert_true(buffer_len(link_out(fixture->link)) > 20 * MEBIBYTE);
    run_busily_until(fixture, peer_has_everything);
}

static bool is_dialed(struct fixture *fixture)
{
    fixture->peer_fd = accept4(fixture->listen_fd, NULL, NULL, SOCK_NONBLOCK);
    return fixture->peer_fd >= 0;
}

static void a_dialing_link_dials_again_whatever_it_meets(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_DIALS); /* nobody is there */
    run_a_little(fixture);
    fixture->listen_fd = link_path_listen(&fixture->path);
    assert_true(fixture->listen_fd >= 0);
    run_busily_until(fixture, is_dialed);
    expect_opening(fixture);
    close_peer(fixture); /* as one that is taken does */
    run_busily_until(fixture, is_dialed);
    send_bytes(fixture, "\0SP\0\0\x30\0\0", SP_OPENING_BYTES); /* another protocol's */
    run_busily_until(fixture, peer_is_closed);
    close_peer(fixture);
    run_busily_until(fixture, is_dialed);
    send_bytes(fixture, sp_opening, SP_OPENING_BYTES);
    run_until(fixture, is_up_last);
    close_peer(fixture);
    run_until(fixture, is_down_last);
    uint64_t start_ms = loop_now_ms(fixture->loop);
    run_busily_until(fixture, is_dialed);
    assert_true(loop_now_ms(fixture->loop) - start_ms < 500);
    assert_string_equal(fixture->seen, "UD");
}

/* No descriptor more than there are now; the limit that was. */
static struct rlimit take_descriptors_away(void)
{
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int lowest_free_fd = dup(STDERR_FILENO);
    (void)close(lowest_free_fd);
    struct rlimit none = {.rlim_cur = (rlim_t)lowest_free_fd, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    return old;
}

static bool half_a_second_is_over(struct fixture *fixture)
{
    static uint64_t start_ms;
    if (start_ms == 0) {
        start_ms = loop_now_ms(fixture->loop);
    }
    bool is_over = loop_now_ms(fixture->loop) - start_ms >= 500;
    start_ms = is_over ? 0 : start_ms;
    loop_timer_set(fixture->loop, &fixture->first_turn, loop_now_ms(fixture->loop) + 100);
    return is_over;
}

static void a_listening_link_outlives_a_lack_of_descriptors_without_spinning(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_LISTENS);
    dial(fixture);
    send_bytes(fixture, sp_opening, SP_OPENING_BYTES);
    struct rlimit limit = take_descriptors_away();
    fixture->turns = 0;
    run_until(fixture, half_a_second_is_over);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(fixture->turns < 50);
    assert_string_equal(fixture->seen, "");
    run_until(fixture, is_up_last);
}

static void a_dialing_link_outlives_a_lack_of_descriptors_without_spinning(void **state)
{
    struct fixture *fixture = *state;
    fixture->listen_fd = link_path_listen(&fixture->path);
    struct rlimit limit = take_descriptors_away();
    open_link(fixture, LINK_DIALS);
    fixture->turns = 0;
    run_until(fixture, half_a_second_is_over);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(fixture->turns < 100);
    run_busily_until(fixture, is_dialed);
    send_bytes(fixture, sp_opening, SP_OPENING_BYTES);
    run_until(fixture, is_up_last);
}

static void a_path_that_somebody_listens_at_is_refused(void **state)
{
    struct fixture *fixture = *state;
    open_link(fixture, LINK_LISTENS);
    struct link *first = fixture->link;
    struct link_config config = {
        .role = LINK_LISTENS,
        .link_dir = fixture->link_dir,
        .backlog_max_bytes = BACKLOG_MAX_BYTES,
    };
    assert_null(link_new(fixture->loop, &config, &handlers, fixture));
    fixture->link = first;
    dial_and_open(fixture);
}

int main(void)
{
#define PEER_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        PEER_TEST(bytes_may_come_one_by_one),
        PEER_TEST(a_wrong_opening_is_dropped_and_the_slot_is_free),
        PEER_TEST(who_says_nothing_is_dropped_after_a_second),
        PEER_TEST(a_hostile_head_ends_the_connection_only),
        PEER_TEST(a_peer_killed_in_a_batch_leaves_those_before_it),
        PEER_TEST(a_write_that_fails_does_not_lose_what_was_received),
        PEER_TEST(a_second_connection_is_closed_at_once),
        PEER_TEST(a_newcomer_waits_until_a_dead_connection_is_read),
        PEER_TEST(dead_connections_in_the_queue_do_not_block_the_live_one),
        PEER_TEST(handlers_may_end_the_connection),
        PEER_TEST(handlers_may_flush),
        PEER_TEST(much_at_once_is_handed_on_whole),
        PEER_TEST(a_slow_peer_empties_the_backlog),
        PEER_TEST(a_dialing_link_dials_again_whatever_it_meets),
        PEER_TEST(a_listening_link_outlives_a_lack_of_descriptors_without_spinning),
        PEER_TEST(a_dialing_link_outlives_a_lack_of_descriptors_without_spinning),
        PEER_TEST(a_path_that_somebody_listens_at_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
