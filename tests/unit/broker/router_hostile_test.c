/* Batches that no gateway of ours would send: the link ends, nobody else notices. */
#include "tests/unit/broker/router_world.h"

#include <stdlib.h>

/* An alice and a bob, who can call each other whatever happened before. */
static void assert_others_unharmed(struct world *world, uint64_t seq)
{
    world_submit(world, 0, seq, "bob", "hi");
    world_expect_deliver(world, 2, 0, seq, 7, "hi");
    world_answer(world, 2, 0, seq, 7, OUTCOME_DELIVERED);
    world_expect_outcome(world, 0, seq, OUTCOME_DELIVERED);
}

static bool receive(struct world *world, uint32_t slot, const uint8_t *bytes, size_t len)
{
    /* Of exactly its size, so that ASan sees a read behind it. */
    uint8_t *exact = malloc(len > 0 ? len : 1);
    assert_non_null(exact);
    if (len > 0) {
        memcpy(exact, bytes, len);
    }
    bool is_good = router_receive(world->router, slot, slice_of(exact, len), world->now_ms);
    free(exact);
    return is_good;
}

static void reconnect(struct world *world, uint32_t slot)
{
    world_disconnect(world, slot);
    world_connect(world, slot, world_instance(slot));
}

static void test_nothing_before_hello(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 2, 7, "bob", "");
    for (int kind = LINK_HELLO + 1; kind < LINK_RECORD_KIND_COUNT; kind++) {
        world_disconnect(&world, 1);
        router_link_up(world.router, 1, &world.outs[1]);
        struct link_record record = {.kind = (enum link_record_kind)kind};
        if (kind == LINK_ATTACH) {
            record.attach.user_id = slice_from_string("bob");
        } else if (kind == LINK_SUBMIT) {
            record.submit.seq = 1;
            record.submit.to = slice_from_string("bob");
        } else if (kind == LINK_LEG) {
            record.leg.call_id = slice_from_string("c");
        }
        assert_false(world_send(&world, 1, &record));
        world_expect_nothing(&world);
        assert_false(router_slot_is_greeted(world.router, 1));
    }
    assert_others_unharmed(&world, 1);
    world_fini(&world);
}

static void test_hello_only_once(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    struct link_record hello = world_hello(world_instance(1));
    assert_false(world_send(&world, 1, &hello));
    world_expect_nothing(&world);
    world_fini(&world);
}

static void test_unknown_version(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    static const uint16_t versions[] = {0, LINK_VERSION - 1, LINK_VERSION + 1, UINT16_MAX};
    for (size_t i = 0; i < ARRAY_LENGTH(versions); i++) {
        world_disconnect(&world, 1);
        router_link_up(world.router, 1, &world.outs[1]);
        struct link_record hello = world_hello(world_instance(1));
        hello.greeting.version = versions[i];
        assert_false(world_send(&world, 1, &hello));
        world_expect_nothing(&world);
    }
    world_fini(&world);
}

/* An instance's seqs are its own, so that of two that call themselves the same one must go once
 * they meet; the message that was there first is not harmed. */
static void test_a_stolen_instance_ends_at_the_first_seq_that_meets(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 2, 7, "bob", "");
    world_disconnect(&world, 1);
    world_connect(&world, 1, world_instance(0));
    world_submit(&world, 0, 5, "bob", "mine");
    world_expect_deliver(&world, 2, 0, 5, 7, "mine");
    world_submit(&world, 1, 4, "bob", "stolen");
    world_expect_deliver(&world, 2, 0, 4, 7, "stolen");
    assert_false(world_send_submit(&world, 1, 5, "bob", slice_from_string("stolen")));
    world_disconnect(&world, 1);
    world_expect_nothing(&world);
    world_answer(&world, 2, 0, 4, 7, OUTCOME_DELIVERED); /* its source is gone */
    world_expect_nothing(&world);
    world_answer(&world, 2, 0, 5, 7, OUTCOME_DELIVERED);
    world_expect_outcome(&world, 0, 5, OUTCOME_DELIVERED);
    assert_others_unharmed(&world, 6);
    world_fini(&world);
}

/* Also where the first of the two waits for its user. */
static void test_a_stolen_seq_does_not_hurt_a_message_that_waits(void **state)
{
    (void)state;
    struct world world;
    world_init_holding(&world);
    world_attach(&world, 2, 7, "bob", "");
    world_detach(&world, 2, 7);
    world_disconnect(&world, 1);
    world_connect(&world, 1, world_instance(0));
    world_submit(&world, 0, 5, "bob", "mine");
    assert_false(world_send_submit(&world, 1, 5, "bob", slice_from_string("stolen")));
    world_disconnect(&world, 1);
    world_attach(&world, 2, 8, "bob", "");
    world_expect_deliver(&world, 2, 0, 5, 8, "mine");
    world_expect_nothing(&world);
    world_fini(&world);
}

static void test_synced_only_once(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 2, 7, "bob", "");
    assert_false(world_send_synced(&world, 1));
    world_expect_nothing(&world);
    reconnect(&world, 1);
    assert_others_unharmed(&world, 1);
    world_fini(&world);
}

/* While others are awaited, too: nobody syncs in their place. */
static void test_synced_only_once_while_it_recovers(void **state)
{
    (void)state;
    struct router_config config = world_config();
    struct world world;
    world_init_alone(&world, &config);
    world_greet(&world, 0, world_instance(0));
    assert_true(world_send_synced(&world, 0));
    assert_false(world_send_synced(&world, 0));
    assert_false(world_send_synced(&world, 0));
    assert_true(router_is_recovering(world.router));
    world_expect_nothing(&world);
    world_fini(&world);
}

/* `at` is where a record has its flags, counted from the front, `end` the first value too many. */
static void assert_flag_bounds(struct world *world, const struct link_record *record, size_t at,
                               unsigned int end)
{
    uint8_t bytes[256];
    buffer_clear(&world->batch);
    link_record_put(&world->batch, record);
    struct slice batch = buffer_slice(&world->batch);
    assert_true(batch.len <= sizeof bytes);
    memcpy(bytes, batch.data, batch.len);
    for (unsigned int flag = end; flag <= UINT8_MAX; flag++) {
        bytes[LINK_RECORD_HEADER_BYTES + at] = (uint8_t)flag;
        assert_false(receive(world, 1, bytes, batch.len));
        world_expect_nothing(world);
        reconnect(world, 1);
    }
}

static void test_flags_out_of_range(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 2, 7, "bob", "");
    struct link_record attach = {.kind = LINK_ATTACH};
    attach.attach.session_id = 9;
    attach.attach.user_id = slice_from_string("mallory");
    assert_flag_bounds(&world, &attach, 16, 2);
    struct link_record submit = {.kind = LINK_SUBMIT};
    submit.submit.seq = 1;
    submit.submit.deadline_ms = UINT64_MAX;
    submit.submit.to = slice_from_string("bob");
    assert_flag_bounds(&world, &submit, 24, 4);
    assert_int_equal(router_stats(world.router).sessions, 1);
    assert_int_equal(router_stats(world.router).submits, 0);
    assert_others_unharmed(&world, 1);
    world_fini(&world);
}

static void test_the_broker_s_kinds_are_not_for_gateways(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 2, 7, "bob", "");
    for (int kind = LINK_WELCOME; kind <= LINK_EVICT; kind++) {
        struct link_record record = {.kind = (enum link_record_kind)kind};
        assert_false(world_send(&world, 1, &record));
        world_expect_nothing(&world);
        reconnect(&world, 1);
    }
    assert_others_unharmed(&world, 1);
    world_fini(&world);
}

static void test_seqs_must_rise(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    assert_false(world_send_submit(&world, 1, 0, "bob", slice_from_string("a")));
    reconnect(&world, 1);
    world_attach(&world, 2, 7, "bob", "");
    world_submit(&world, 1, UINT64_MAX, "bob", "a");
    world_expect_deliver(&world, 2, 1, UINT64_MAX, 7, "a");
    assert_false(world_send_submit(&world, 1, UINT64_MAX, "bob", slice_from_string("a")));
    assert_false(world_send_submit(&world, 1, 1, "bob", slice_from_string("a")));
    world_expect_nothing(&world);
    world_fini(&world);
}

/* A target cannot have judged the message's JSON. */
static void test_impossible_outcomes(void **state)
{
    (void)state;
    static const enum outcome impossible[] = {OUTCOME_BAD_JSON, OUTCOME_BAD_MESSAGE,
                                              OUTCOME_UNKNOWN_TYPE, OUTCOME_UNAVAILABLE};
    struct world world;
    world_init(&world);
    world_attach(&world, 2, 7, "bob", "");
    for (uint64_t i = 0; i < ARRAY_LENGTH(impossible); i++) {
        world_submit(&world, 0, i + 1, "bob", "a");
        world_expect_deliver(&world, 2, 0, i + 1, 7, "a");
        assert_false(world_send_answer(&world, 2, 0, i + 1, 7, impossible[i]));
        world_expect_nothing(&world);
    }
    world_disconnect(&world, 2);
    for (uint64_t i = 0; i < ARRAY_LENGTH(impossible); i++) {
        world_expect_outcome(&world, 0, i + 1, OUTCOME_UNCONFIRMED);
    }
    world_fini(&world);
}

static void put_good_batch(struct world *world)
{
    buffer_clear(&world->batch);
    struct link_record attach = {.kind = LINK_ATTACH};
    attach.attach.session_id = 1;
    attach.attach.user_id = slice_from_string("mallory");
    attach.attach.device_id = slice_from_string("d");
    link_record_put(&world->batch, &attach);
    struct link_record submit = {.kind = LINK_SUBMIT};
    submit.submit.seq = 1;
    submit.submit.deadline_ms = UINT64_MAX;
    submit.submit.to = slice_from_string("nobody");
    submit.submit.payload = slice_from_string("{}");
    link_record_put(&world->batch, &submit);
    struct link_record detach = {.kind = LINK_DETACH};
    detach.session.session_id = 1;
    link_record_put(&world->batch, &detach);
    assert_false(world->batch.failed);
}

/* Cut at every byte: what stood whole before the cut took effect, the rest did not. */
static void test_truncated_batches(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 2, 7, "bob", "");
    put_good_batch(&world);
    struct slice batch = buffer_slice(&world.batch);
    size_t attach_end = link_batch_cut(batch, 0);
    size_t submit_end = attach_end + link_batch_cut(slice_drop(batch, attach_end), 0);
    uint8_t *bytes = malloc(batch.len);
    assert_non_null(bytes);
    size_t len = batch.len;
    memcpy(bytes, batch.data, len);
    for (size_t cut = 0; cut <= len; cut++) {
        bool is_whole = cut == 0 || cut == attach_end || cut == submit_end || cut == len;
        assert_int_equal(receive(&world, 1, bytes, cut), is_whole);
        if (cut >= attach_end) {
            world_expect_attached(&world, 1, 1);
        }
        if (cut >= submit_end) {
            world_expect_outcome(&world, 1, 1, OUTCOME_USER_OFFLINE);
        }
        world_expect_nothing(&world);
        bool is_there = cut >= attach_end && cut < len;
        assert_int_equal(router_stats(world.router).sessions, is_there ? 2 : 1);
        reconnect(&world, 1);
        assert_int_equal(router_stats(world.router).sessions, 1);
    }
    free(bytes);
    assert_others_unharmed(&world, 1);
    world_fini(&world);
}

static void test_trailing_garbage_ends_the_link(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world_attach(&world, 2, 7, "bob", "");
    put_good_batch(&world);
    buffer_put_u8(&world.batch, 0);
    assert_false(router_receive(world.router, 1, buffer_slice(&world.batch), world.now_ms));
    reconnect(&world, 1);
    assert_others_unharmed(&world, 1);
    world_fini(&world);
}

/* Good batches with a few bytes spoiled, and plain noise; whoever sent them is cut off, the others
 * go on. Each mallory that goes leaves a hold behind, as far as there is room. */
static void test_random_batches(void **state)
{
    (void)state;
    struct world world;
    world_init_holding(&world);
    world_attach(&world, 2, 7, "bob", "");
    size_t refused = 0;
    for (unsigned int seed = 1; seed <= 3000; seed++) {
        srandom(seed);
        put_good_batch(&world);
        struct slice batch = buffer_slice(&world.batch);
        uint8_t bytes[512];
        assert_true(batch.len <= sizeof bytes);
        memcpy(bytes, batch.data, batch.len);
        size_t spoiled = seed % 8 == 0 ? batch.len : 1 + seed % 3;
        for (size_t i = 0; i < spoiled; i++) {
            bytes[(size_t)random() % batch.len] = (uint8_t)random();
        }
        bool is_good = receive(&world, 1, bytes, batch.len);
        refused += is_good ? 0 : 1;
        buffer_clear(&world.outs[0]);
        buffer_clear(&world.outs[2]);
        reconnect(&world, 1);
        assert_int_equal(router_stats(world.router).sessions, 1);
        assert_others_unharmed(&world, seed);
    }
    assert_true(refused > 1000);
    assert_int_equal(router_stats(world.router).transfers, 0);
    assert_in_range(router_stats(world.router).holds, 1, WORLD_HOLD_USERS_MAX);
    world_tick(&world, WORLD_HOLD_MS);
    assert_int_equal(router_stats(world.router).holds, 0);
    assert_int_equal(router_stats(world.router).users, 1);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_before_hello),
        cmocka_unit_test(test_hello_only_once),
        cmocka_unit_test(test_unknown_version),
        cmocka_unit_test(test_a_stolen_instance_ends_at_the_first_seq_that_meets),
        cmocka_unit_test(test_a_stolen_seq_does_not_hurt_a_message_that_waits),
        cmocka_unit_test(test_synced_only_once),
        cmocka_unit_test(test_synced_only_once_while_it_recovers),
        cmocka_unit_test(test_flags_out_of_range),
        cmocka_unit_test(test_the_broker_s_kinds_are_not_for_gateways),
        cmocka_unit_test(test_seqs_must_rise),
        cmocka_unit_test(test_impossible_outcomes),
        cmocka_unit_test(test_truncated_batches),
        cmocka_unit_test(test_trailing_garbage_ends_the_link),
        cmocka_unit_test(test_random_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
