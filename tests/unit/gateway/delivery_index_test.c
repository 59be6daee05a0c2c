/* The index of those that are over: how much it takes in, and what it passes by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/delivery_index.h"

enum { SOURCE = 11, RING_CAP = 16384, MADE_FOR = 1000 };

static struct remembered_delivery ring[RING_CAP];

/* An empty ring that has come to this position. */
static struct deliveries ring_at(uint64_t position)
{
    return (struct deliveries){
        .ring = ring, .ring_cap = RING_CAP, .ring_begin = position, .ring_end = position};
}

static struct delivery_key add(struct deliveries *all, uint64_t seq, uint64_t session_id)
{
    struct delivery_key key = {SOURCE, seq, session_id};
    assert_true(all->ring_end - all->ring_begin < RING_CAP);
    ring[all->ring_end & (RING_CAP - 1)].key = key;
    all->ring_end++;
    return key;
}

static struct delivery_index *make(const struct deliveries *all)
{
    struct delivery_index *index = delivery_index_new(all);
    assert_non_null(index);
    return index;
}

static void expect(const struct delivery_index *index, const struct deliveries *all,
                   struct delivery_key key, uint64_t latest_seq)
{
    const struct remembered_delivery *found = delivery_index_find(index, all, &key);
    assert_non_null(found);
    assert_memory_equal(&found->key, &key, sizeof key);
    found = delivery_index_find_latest(index, all, &key);
    assert_non_null(found);
    key.seq = latest_seq;
    assert_memory_equal(&found->key, &key, sizeof key);
}

static void an_index_of_nothing_finds_nothing(void **state)
{
    (void)state;
    struct deliveries all = ring_at(7);
    struct delivery_index *index = make(&all);
    struct delivery_key key = {SOURCE, 0, 0};
    assert_null(delivery_index_find(index, &all, &key));
    assert_null(delivery_index_find_latest(index, &all, &key));
    assert_true(delivery_index_update(index, &all));
    delivery_index_free(index);
    delivery_index_free(NULL);
}

static void the_latest_is_that_of_its_source_and_session(void **state)
{
    (void)state;
    struct deliveries all = ring_at(0);
    struct delivery_key first = add(&all, 1, 1);
    struct delivery_key other = add(&all, 2, 2);
    struct delivery_index *index = make(&all);
    expect(index, &all, first, 1);
    struct delivery_key second = add(&all, 3, 1);
    assert_true(delivery_index_update(index, &all));
    expect(index, &all, first, 3);
    expect(index, &all, second, 3);
    expect(index, &all, other, 2);
    struct delivery_key unknown = {SOURCE, 4, 1};
    assert_null(delivery_index_find(index, &all, &unknown));
    assert_int_equal(delivery_index_find_latest(index, &all, &unknown)->key.seq, 3);
    unknown.source_instance_id++;
    assert_null(delivery_index_find_latest(index, &all, &unknown));
    delivery_index_free(index);
}

static void what_is_forgotten_is_not_found(void **state)
{
    (void)state;
    struct deliveries all = ring_at(0);
    struct delivery_key first = add(&all, 1, 1);
    struct delivery_key other = add(&all, 2, 2);
    struct delivery_index *index = make(&all);
    all.ring_begin = 1;
    assert_null(delivery_index_find(index, &all, &first));
    assert_null(delivery_index_find_latest(index, &all, &first));
    expect(index, &all, other, 2);
    struct delivery_key again = add(&all, 3, 1); /* in the same session, later */
    assert_true(delivery_index_update(index, &all));
    expect(index, &all, again, 3);
    assert_null(delivery_index_find(index, &all, &first));
    delivery_index_free(index);
}

/* So many that their hashes meet in the same slots; and as many again that are not there. */
static void sources_and_sessions_are_told_apart(void **state)
{
    (void)state;
    enum { MANY = 4000 };
    struct deliveries all = ring_at(0);
    for (uint64_t i = 0; i < MANY; i++) {
        (void)add(&all, i, 1);
        ring[2 * i].key.source_instance_id += i;
        (void)add(&all, i, 2 + i);
    }
    struct delivery_index *index = make(&all);
    for (uint64_t i = 0; i < MANY; i++) {
        expect(index, &all, (struct delivery_key){SOURCE + i, i, 1}, i);
        expect(index, &all, (struct delivery_key){SOURCE, i, 2 + i}, i);
        struct delivery_key unknown = {SOURCE + MANY + i, i, 1};
        assert_null(delivery_index_find(index, &all, &unknown));
        assert_null(delivery_index_find_latest(index, &all, &unknown));
        unknown = (struct delivery_key){SOURCE, i, 2 + MANY + i};
        assert_null(delivery_index_find(index, &all, &unknown));
        assert_null(delivery_index_find_latest(index, &all, &unknown));
    }
    delivery_index_free(index);
}

/* A seq that no source ever gets to must not be taken for "the latest". */
static void the_greatest_seq_is_one_like_others(void **state)
{
    (void)state;
    struct deliveries all = ring_at(0);
    struct delivery_key key = add(&all, UINT64_MAX, 1);
    struct delivery_key next = add(&all, 1, 1);
    struct delivery_index *index = make(&all);
    expect(index, &all, key, 1);
    expect(index, &all, next, 1);
    delivery_index_free(index);
}

/* The worst case: each in a session of its own. */
static void an_index_has_room_for_as_many_again_and_then_says_that_it_is_full(void **state)
{
    (void)state;
    struct deliveries all = ring_at(3 * RING_CAP - 5);
    uint64_t seq = 0;
    while (seq < MADE_FOR) {
        seq++;
        (void)add(&all, seq, seq);
    }
    struct delivery_index *index = make(&all);
    while (seq < 2 * MADE_FOR) {
        seq++;
        (void)add(&all, seq, seq);
        assert_true(delivery_index_update(index, &all));
    }
    for (uint64_t i = 1; i <= seq; i++) {
        expect(index, &all, (struct delivery_key){SOURCE, i, i}, i);
    }
    do {
        seq++;
        (void)add(&all, seq, seq);
    } while (delivery_index_update(index, &all));
    assert_false(delivery_index_update(index, &all)); /* and stays so */
    delivery_index_free(index);
    index = make(&all);
    for (uint64_t i = 1; i <= seq; i++) {
        expect(index, &all, (struct delivery_key){SOURCE, i, i}, i);
    }
    assert_null(delivery_index_find(index, &all, &(struct delivery_key){SOURCE, 1, 2}));
    delivery_index_free(index);
}

static void what_came_and_went_between_two_updates_takes_no_room(void **state)
{
    (void)state;
    struct deliveries all = ring_at(0);
    (void)add(&all, 1, 1);
    struct delivery_index *index = make(&all);
    for (uint64_t seq = 2; seq <= RING_CAP; seq++) {
        (void)add(&all, seq, seq);
    }
    all.ring_begin = all.ring_end - 1;
    assert_true(delivery_index_update(index, &all));
    expect(index, &all, (struct delivery_key){SOURCE, RING_CAP, RING_CAP}, RING_CAP);
    delivery_index_free(index);
}

/* An entry has 31 bits for where its delivery is, from the index's beginning. */
static void an_index_ends_before_its_entries_overflow(void **state)
{
    (void)state;
    enum { BEGIN = 1000 };
    struct deliveries all = ring_at(BEGIN);
    struct delivery_index *index = make(&all);
    uint64_t last = BEGIN + (uint64_t)INT32_MAX - 2;
    all.ring_begin = all.ring_end = last;
    struct delivery_key key = add(&all, 1, 1);
    assert_true(delivery_index_update(index, &all));
    expect(index, &all, key, 1);
    (void)add(&all, 2, 1);
    (void)add(&all, 3, 1);
    assert_false(delivery_index_update(index, &all));
    delivery_index_free(index);
    index = make(&all);
    expect(index, &all, key, 3);
    delivery_index_free(index);
}

static void it_is_idle_when_nobody_has_asked_since(void **state)
{
    (void)state;
    struct deliveries all = ring_at(0);
    struct delivery_index *index = make(&all);
    assert_false(delivery_index_is_idle(index)); /* someone had it made */
    assert_true(delivery_index_is_idle(index));
    assert_true(delivery_index_is_idle(index));
    assert_true(delivery_index_update(index, &all));
    assert_false(delivery_index_is_idle(index));
    assert_true(delivery_index_is_idle(index));
    delivery_index_free(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_of_nothing_finds_nothing),
        cmocka_unit_test(the_latest_is_that_of_its_source_and_session),
        cmocka_unit_test(what_is_forgotten_is_not_found),
        cmocka_unit_test(sources_and_sessions_are_told_apart),
        cmocka_unit_test(the_greatest_seq_is_one_like_others),
        cmocka_unit_test(an_index_has_room_for_as_many_again_and_then_says_that_it_is_full),
        cmocka_unit_test(what_came_and_went_between_two_updates_takes_no_room),
        cmocka_unit_test(an_index_ends_before_its_entries_overflow),
        cmocka_unit_test(it_is_idle_when_nobody_has_asked_since),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
