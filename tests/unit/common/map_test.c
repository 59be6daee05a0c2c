#include "common/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

struct entry {
    struct map_node node;
    uint32_t number;
    size_t key_len;
    bool is_in_map;
};

static const uint8_t hash_key[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static struct slice entry_key(const struct map_node *node)
{
    const struct entry *entry = container_of(node, struct entry, node);
    return slice_of(&entry->number, entry->key_len);
}

static struct map map_of_entries(void)
{
    struct map map;
    assert_true(map_init(&map, hash_key, entry_key));
    return map;
}

static void insert(struct map *map, struct entry *entry, uint32_t number)
{
    *entry = (struct entry){.number = number, .key_len = sizeof number, .is_in_map = true};
    map_insert(map, &entry->node);
}

static struct entry *find(const struct map *map, uint32_t number)
{
    struct map_node *node = map_find(map, slice_of(&number, sizeof number));
    return node == NULL ? NULL : container_of(node, struct entry, node);
}

static void test_empty(void **state)
{
    (void)state;
    struct map map = map_of_entries();
    assert_int_equal(map.count, 0);
    assert_null(find(&map, 1));
    assert_null(map_find(&map, slice_of(NULL, 0)));
    map_fini(&map);
}

static void test_empty_key_is_a_key(void **state)
{
    (void)state;
    struct map map = map_of_entries();
    struct entry entry = {.number = 7};
    map_insert(&map, &entry.node);
    assert_ptr_equal(map_find(&map, slice_of(NULL, 0)), &entry.node);
    assert_null(find(&map, 7));
    map_remove(&map, &entry.node);
    assert_null(map_find(&map, slice_of(NULL, 0)));
    map_fini(&map);
}

struct bytes_entry {
    struct map_node node;
    uint8_t bytes[15];
};

static struct slice bytes_key(const struct map_node *node)
{
    return slice_of(container_of(node, struct bytes_entry, node)->bytes, 15);
}

struct word_entry {
    uint64_t word;
    struct map_node node;
};

static struct slice word_key(const struct map_node *node)
{
    return slice_of(&container_of(node, struct word_entry, node)->word, sizeof(uint64_t));
}

static void test_keys_of_ours_need_no_hash_key(void **state)
{
    (void)state;
    enum { COUNT = 1000, SHIFT = 32 };
    static struct word_entry entries[COUNT];
    struct map map;
    assert_true(map_init(&map, NULL, word_key));
    for (uint64_t i = 0; i < COUNT; i++) {
        entries[i].word = i << SHIFT;
        map_insert(&map, &entries[i].node);
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        uint64_t word = i << SHIFT;
        assert_ptr_equal(map_find(&map, slice_of(&word, sizeof word)), &entries[i].node);
    }
    uint64_t unknown = 1;
    assert_null(map_find(&map, slice_of(&unknown, sizeof unknown)));
    map_fini(&map);
}

/* As another implementation has it: PYTHONHASHSEED=0 python3 -c 'print(hash(bytes(range(15))))', in
 * CPython since 3.11, whose key is zero then. */
static void test_hash_is_siphash(void **state)
{
    (void)state;
    static const uint8_t zero_key[16] = {0};
    struct map map;
    assert_true(map_init(&map, zero_key, bytes_key));
    struct bytes_entry entry = {0};
    for (uint8_t i = 0; i < 15; i++) {
        entry.bytes[i] = i;
    }
    map_insert(&map, &entry.node);
    assert_true(entry.node.hash == UINT64_C(0xf30eb725bb91c9ea));
    map_fini(&map);
}

static void test_hash_depends_on_the_key(void **state)
{
    (void)state;
    struct map map = map_of_entries();
    struct entry entry;
    insert(&map, &entry, 5);
    uint64_t hash = entry.node.hash;
    map_remove(&map, &entry.node);
    map.hash_key[15] ^= 1;
    insert(&map, &entry, 5);
    assert_true(hash != entry.node.hash);
    map_fini(&map);
}

static void test_many_keys_through_growth_and_removal(void **state)
{
    (void)state;
    enum { COUNT = 50000 };
    struct map map = map_of_entries();
    size_t first_bucket_count = map.bucket_count;
    struct entry *entries = calloc(COUNT, sizeof *entries);
    assert_non_null(entries);
    for (uint32_t i = 0; i < COUNT; i++) {
        insert(&map, &entries[i], i);
    }
    assert_int_equal(map.count, COUNT);
    assert_true(map.bucket_count > first_bucket_count && map.bucket_count >= COUNT / 2);
    for (uint32_t i = 0; i < COUNT; i += 3) {
        map_remove(&map, &entries[i].node);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_ptr_equal(find(&map, i), i % 3 == 0 ? NULL : &entries[i]);
    }
    assert_null(find(&map, COUNT));
    for (uint32_t i = 0; i < COUNT; i++) {
        if (i % 3 != 0) {
            map_remove(&map, &entries[i].node);
        }
    }
    assert_int_equal(map.count, 0);
    for (size_t i = 0; i < map.bucket_count; i++) {
        assert_null(map.buckets[i]);
    }
    map_fini(&map);
    free(entries);
}

/* With every entry in one chain, first, last and middle of it are all found and removed. */
static void test_collisions(void **state)
{
    (void)state;
    enum { WANTED = 8 };
    struct map map = map_of_entries();
    size_t bucket_count = map.bucket_count;
    struct entry entries[WANTED];
    size_t count = 0;
    for (uint32_t number = 0; count < WANTED; number++) {
        insert(&map, &entries[count], number);
        if ((entries[count].node.hash & (bucket_count - 1)) == 3) {
            count++;
        } else {
            map_remove(&map, &entries[count].node);
        }
    }
    assert_int_equal(map.bucket_count, bucket_count);
    static const size_t order[WANTED] = {3, 0, 7, 5, 1, 6, 2, 4};
    for (size_t i = 0; i < WANTED; i++) {
        for (size_t k = 0; k < WANTED; k++) {
            struct entry *expected = entries[k].is_in_map ? &entries[k] : NULL;
            assert_ptr_equal(find(&map, entries[k].number), expected);
        }
        entries[order[i]].is_in_map = false;
        map_remove(&map, &entries[order[i]].node);
    }
    assert_int_equal(map.count, 0);
    map_fini(&map);
}

/* The full hash may be equal as well: only the key decides. */
static void test_equal_hashes_differ_by_key(void **state)
{
    (void)state;
    struct map map = map_of_entries();
    struct entry a;
    struct entry b;
    insert(&map, &a, 1);
    insert(&map, &b, 2);
    a.number = 3; /* now under the hash of 1, but not of that name */
    assert_null(find(&map, 1));
    assert_ptr_equal(find(&map, 2), &b);
    map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_empty_key_is_a_key),
        cmocka_unit_test(test_hash_is_siphash),
        cmocka_unit_test(test_keys_of_ours_need_no_hash_key),
        cmocka_unit_test(test_hash_depends_on_the_key),
        cmocka_unit_test(test_many_keys_through_growth_and_removal),
        cmocka_unit_test(test_collisions),
        cmocka_unit_test(test_equal_hashes_differ_by_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
