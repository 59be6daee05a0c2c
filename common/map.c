#include "common/map.h"

#include <assert.h>
#include <stdlib.h>

enum {
    FIRST_BUCKET_COUNT = 16,
    SIPHASH_COMPRESSION_ROUNDS = 2,
    SIPHASH_FINALIZATION_ROUNDS = 4,
    WORD_BYTES = 8,
};

/* SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF"). */
struct siphash {
    uint64_t v0, v1, v2, v3;
};

static uint64_t read_little_endian(const uint8_t *bytes, size_t count)
{
    uint64_t value = 0;
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

static struct map_node **bucket_of(const struct map *map, uint64_t hash)
{
    return &map->buckets[hash & (map->bucket_count - 1)];
}

bool map_init(struct map *map, const uint8_t hash_key[16],
              struct slice (*key_of)(const struct map_node *node))
{
    *map = (struct map){.bucket_count = FIRST_BUCKET_COUNT, .key_of = key_of};
    memcpy(map->hash_key, hash_key, sizeof map->hash_key);
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
    uint64_t hash = siphash(map->hash_key, key);
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
    node->hash = siphash(map->hash_key, map->key_of(node));
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
