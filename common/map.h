/* A hash table of structs that embed a map_node, found by a byte string. The table owns neither
 * the structs nor their keys. With a hash key, SipHash: whoever chooses the keys cannot choose
 * collisions. Without one, a few multiplications: for keys of whole 64-bit words that are ours.
 * A node is in at most one map. */
#pragma once

#include "common/compiler.h"
#include "common/slice.h"

struct map_node {
    struct map_node *next;
    uint64_t hash;
};

struct map {
    struct map_node **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;        /* nodes in the map */
    bool is_keyed;
    uint8_t hash_key[16];
    struct slice (*key_of)(const struct map_node *node);
};

/* `hash_key` NULL: keys are ours. False: no memory. */
MUST_CHECK bool map_init(struct map *map, const uint8_t *hash_key,
                         struct slice (*key_of)(const struct map_node *node));
/* Frees the table, not the nodes. */
void map_fini(struct map *map);

/* NULL: nobody has that key. */
struct map_node *map_find(const struct map *map, struct slice key);
/* The key must not be in the map. Never fails: without memory to grow, chains grow instead. */
void map_insert(struct map *map, struct map_node *node);
/* The node must be in the map. */
void map_remove(struct map *map, struct map_node *node);
