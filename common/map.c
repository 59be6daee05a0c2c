#include "common/map.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>

enum {
    FIRST_BUCKET_COUNT = 16,
    SIPHASH_COMPRESSION_ROUNDS = 1,
    SIPHASH_FINALIZATION_ROUNDS = 3,
    WORD_BYTES = 8,
};

/* SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF"), as Rust's and Python's
 * tables have it: collisions cannot be seen from outside, let alone chosen. */
struct siphash {
    uint64_t v0, v1, v2, v3;
};

static uint64_t read_little_endian(const uint8_t *bytes, size_t count)
{
    uint64_t value = 0;
    if (count == sizeof value) {
        memcpy(&value, bytes, sizeof value);
        return le64toh(value);
    }
    for (size_t i = 0; i < count; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

static uint64_t rotate_left(uint64_t value, unsigned int bits)
{
    return value << bits | value >> (64 - bits);
}

static void siphash_rounds(struct siphash *state, int count)
{
    for (int i = 0; i < count; i++) {
        state->v0 += state->v1;
        state->v1 = rotate_left(state->v1, 13) ^ state->v0;
        state->v0 = rotate_left(state->v0, 32);
        state->v2 += state->v3;
        state->v3 = rotate_left(state->v3, 16) ^ state->v2;
        state->v0 += state->v3;
        state->v3 = rotate_left(state->v3, 21) ^ state->v0;
        state->v2 += state->v1;
        state->v1 = rotate_left(state->v1, 17) ^ state->v2;
        state->v2 = rotate_left(state->v2, 32);
    }
}

static void siphash_word(struct siphash *state, uint64_t word)
{
    state->v3 ^= word;
    siphash_rounds(state, SIPHASH_COMPRESSION_ROUNDS);
    state->v0 ^= word;
}

static uint64_t siphash(const uint8_t hash_key[16], struct slice input)
{
    uint64_t k0 = read_little_endian(hash_key, WORD_BYTES);
    uint64_t k1 = read_little_endian(hash_key + WORD_BYTES, WORD_BYTES);
    struct siphash state = {
        .v0 = k0 ^ UINT64_C(0x736f6d6570736575),
        .v1 = k1 ^ UINT64_C(0x646f72616e646f6d),
        .v2 = k0 ^ UINT64_C(0x6c7967656e657261),
        .v3 = k1 ^ UINT64_C(0x7465646279746573),
    };
    struct slice rest = input;
    while (rest.len >= WORD_BYTES) {
        siphash_word(&state, read_little_endian(rest.data, WORD_BYTES));
        rest = slice_drop(rest, WORD_BYTES);
    }
    uint64_t last = rest.len > 0 ? read_little_endian(rest.data, rest.len) : 0;
    siphash_word(&state, last | (uint64_t)input.len << 56);
    state.v2 ^= 0xff;
    siphash_rounds(&state, SIPHASH_FINALIZATION_ROUNDS);
    return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

/* The finalizer of splitmix64 over each word. */
static uint64_t mix_words(struct slice input)
{
    uint64_t hash = input.len;
    assert(input.len % WORD_BYTES == 0);
    for (; input.len > 0; input = slice_drop(input, WORD_BYTES)) {
        hash ^= read_little_endian(input.data, WORD_BYTES);
        hash ^= hash >> 30;
        hash *= UINT64_C(0xbf58476d1ce4e5b9);
        hash ^= hash >> 27;
        hash *= UINT64_C(0x94d049bb133111eb);
        hash ^= hash >> 31;
    }
    return hash;
}

static uint64_t hash_of(const struct map *map, struct slice key)
{
    return map->is_keyed ? siphash(map->hash_key, key) : mix_words(key);
}

static struct map_node **bucket_of(const struct map *map, uint64_t hash)
{
    return &map->buckets[hash & (map->bucket_count - 1)];
}

bool map_init(struct map *map, const uint8_t *hash_key,
              struct slice (*key_of)(const struct map_node *node))
{
    *map = (struct map){.bucket_count = FIRST_BUCKET_COUNT, .key_of = key_of};
    if (hash_key != NULL) {
        map->is_keyed = true;
        memcpy(map->hash_key, hash_key, sizeof map->hash_key);
    }
    map->buckets = calloc(FIRST_BUCKET_COUNT, sizeof(struct map_node *));
    return map->buckets != NULL;
}

void map_fini(struct map *map)
{
    free(map->buckets);
    *map = (struct map){0};
}

struct map_node *map_find(const struct map *map, struct slice key)
{
    uint64_t hash = hash_of(map, key);
    struct map_node *node = *bucket_of(map, hash);
    while (node != NULL && !(node->hash == hash && slice_equal(map->key_of(node), key))) {
        node = node->next;
    }
    return node;
}

static void push(struct map *map, struct map_node *node)
{
    struct map_node **bucket = bucket_of(map, node->hash);
    node->next = *bucket;
    *bucket = node;
}

static void grow(struct map *map)
{
    struct map_node **old = map->buckets;
    size_t old_count = map->bucket_count;
    struct map_node **buckets = calloc(old_count * 2, sizeof(struct map_node *));
    if (buckets == NULL) {
        return;
    }
    map->buckets = buckets;
    map->bucket_count = old_count * 2;
    for (size_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            struct map_node *node = old[i];
            old[i] = node->next;
            push(map, node);
        }
    }
    free(old);
}

void map_insert(struct map *map, struct map_node *node)
{
    if (map->count >= map->bucket_count) {
        grow(map);
    }
    node->hash = hash_of(map, map->key_of(node));
    push(map, node);
    map->count++;
}

void map_remove(struct map *map, struct map_node *node)
{
    struct map_node **link = bucket_of(map, node->hash);
    while (*link != NULL && *link != node) {
        link = &(*link)->next;
    }
    assert(*link == node);
    *link = node->next;
    node->next = NULL;
    map->count--;
}
