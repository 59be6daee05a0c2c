#include "gateway/json_arena.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* The hooks have no argument to carry it. */
static struct {
    uint8_t *memory; /* NULL: not set up */
    size_t used_bytes;
} arena;

static void *arena_take(size_t bytes)
{
    static const size_t alignment = alignof(max_align_t);
    if (bytes > JSON_ARENA_BYTES - arena.used_bytes) {
        return NULL;
    }
    void *taken = arena.memory + arena.used_bytes;
    size_t end = arena.used_bytes + bytes;
    size_t padding = (alignment - end % alignment) % alignment;
    arena.used_bytes = end + padding;
    return taken;
}

static void arena_give_back(void *taken)
{
    (void)taken; /* the reset does */
}

bool json_arena_init(void)
{
    static_assert(JSON_ARENA_BYTES % alignof(max_align_t) == 0, "padding never leads beyond");
    assert(arena.memory == NULL);
    arena.memory = malloc(JSON_ARENA_BYTES);
    if (arena.memory == NULL) {
        return false;
    }
    arena.used_bytes = 0;
    cJSON_Hooks hooks = {.malloc_fn = arena_take, .free_fn = arena_give_back};
    cJSON_InitHooks(&hooks);
    return true;
}

void json_arena_fini(void)
{
    cJSON_InitHooks(NULL);
    free(arena.memory);
    arena.memory = NULL;
}

void json_arena_reset(void)
{
    assert(arena.memory != NULL);
    arena.used_bytes = 0;
}
