/* Both ends of a link in one loop, over a real ipc socket. */
#pragma once

#include "common/link.h"
#include "common/link_codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DEADLINE_MS = 20000, BACKLOG_MAX_BYTES = 8 * 1024 * 1024 };

/* One end, and all that it has seen. */
struct end {
    struct fixture *fixture;
    struct link *link;
    bool is_up;
    int up_count;
    int down_count;
    uint64_t seqs_seen; /* records arrive as 1, 2, 3, ... */
    int batch_count;
    bool refuses_batches;
};

struct fixture {
    struct loop *loop;
    struct end broker;
    struct end gateway;
    struct loop_timer deadline;
    struct loop_timer first_turn;
    bool is_patient; /* what is to be sent is not urgent */
    int turns;
    bool (*is_done)(struct fixture *fixture);
    char link_dir[64];
};

static inline void on_up(void *arg)
{
    struct end *end = arg;
    assert_false(end->is_up);
    end->is_up = true;
    end->up_count++;
    end->seqs_seen = 0;
    assert_int_equal(buffer_len(link_out(end->link)), 0);
}

static inline void on_down(void *arg)
{
    struct end *end = arg;
    assert_true(end->is_up);
    end->is_up = false;
    end->down_count++;
}

static inline bool on_batch(void *arg, struct slice batch)
{
    struct end *end = arg;
    assert_true(end->is_up);
    end->batch_count++;
    struct link_record record;
    while (batch.len > 0) {
        assert_int_equal(link_record_decode(&batch, &record), PARSE_DONE);
        assert_int_equal(record.kind, LINK_DELIVER);
        end->seqs_seen++;
        assert_int_equal(record.deliver.seq, end->seqs_seen);
    }
    return !end->refuses_batches;
}

static const struct link_handlers handlers = {
    .on_up = on_up,
    .on_down = on_down,
    .on_batch = on_batch,
};

static inline void on_turn_end(void *arg)
{
    struct fixture *fixture = arg;
    fixture->turns++;
    if (fixture->broker.link != NULL) {
        link_flush(fixture->broker.link, !fixture->is_patient);
    }
    if (fixture->gateway.link != NULL) {
        link_flush(fixture->gateway.link, !fixture->is_patient);
    }
    if (fixture->is_done(fixture)) {
        loop_stop(fixture->loop);
    }
}

static inline void on_deadline(struct loop_timer *timer)
{
    (void)timer;
    fail_msg("what the test waits for did not come");
}

static inline void on_first_turn(struct loop_timer *timer)
{
    (void)timer;
}

static inline struct link *open_link(struct fixture *fixture, struct end *end, enum link_role role)
{
    struct link_config config = {
        .role = role,
        .link_dir = fixture->link_dir,
        .slot = 0,
        .backlog_max_bytes = BACKLOG_MAX_BYTES,
    };
    end->fixture = fixture;
    return link_new(fixture->loop, &config, &handlers, end);
}

/* Turns until `is_done`; the first turn comes at once, and sends what the test has put. */
static inline void run_until(struct fixture *fixture, bool (*is_done)(struct fixture *fixture))
{
    fixture->is_done = is_done;
    loop_timer_set(fixture->loop, &fixture->deadline, loop_now_ms(fixture->loop) + DEADLINE_MS);
    loop_timer_set(fixture->loop, &fixture->first_turn, loop_now_ms(fixture->loop));
    loop_run(fixture->loop);
    loop_timer_cancel(fixture->loop, &fixture->deadline);
}

static inline int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    (void)snprintf(fixture->link_dir, sizeof fixture->link_dir, "/tmp/link-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->link_dir));
    fixture->loop = loop_new(on_turn_end, fixture);
    assert_non_null(fixture->loop);
    fixture->deadline.on_due = on_deadline;
    fixture->first_turn.on_due = on_first_turn;
    *state = fixture;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *fixture = *state;
    link_free(fixture->gateway.link);
    link_free(fixture->broker.link);
    loop_free(fixture->loop);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/slot-0.ipc", fixture->link_dir);
    (void)unlink(path);
    assert_int_equal(rmdir(fixture->link_dir), 0);
    free(fixture);
    return 0;
}

static inline bool both_are_up(struct fixture *fixture)
{
    return fixture->broker.is_up && fixture->gateway.is_up;
}

static inline void open_both(struct fixture *fixture)
{
    fixture->broker.link = open_link(fixture, &fixture->broker, LINK_LISTENS);
    assert_non_null(fixture->broker.link);
    fixture->gateway.link = open_link(fixture, &fixture->gateway, LINK_DIALS);
    assert_non_null(fixture->gateway.link);
    run_until(fixture, both_are_up);
}

static inline void put_delivers(struct link *link, uint64_t first_seq, uint64_t last_seq,
                                size_t bytes)
{
    uint8_t *payload = calloc(1, bytes);
    assert_non_null(payload);
    for (uint64_t seq = first_seq; seq <= last_seq; seq++) {
        struct link_record record = {.kind = LINK_DELIVER};
        record.deliver.seq = seq;
        record.deliver.payload = slice_of(payload, bytes);
        link_record_put(link_out(link), &record);
        assert_false(link_out(link)->failed);
    }
    free(payload);
}
