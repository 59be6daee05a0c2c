#include "gateway/session.h"

#include <assert.h>
#include <stdlib.h>

enum { FIRST_CAP = 64, ID_PLACE_BITS = 32 };

static const uint32_t no_place = UINT32_MAX;

void session_table_init(struct session_table *table)
{
    *table = (struct session_table){.first_free = no_place};
}

void session_table_fini(struct session_table *table)
{
    for (uint32_t i = 0; i < table->place_count; i++) {
        free(table->places[i].session);
    }
    free(table->places);
    session_table_init(table);
}

/* no_place: no memory. */
static uint32_t take_place(struct session_table *table)
{
    uint32_t index = table->first_free;
    if (index != no_place) {
        table->first_free = table->places[index].next_free;
        return index;
    }
    if (table->place_count == table->cap) {
        uint32_t cap = table->cap > 0 ? table->cap * 2 : FIRST_CAP;
        struct session_place *places = realloc(table->places, cap * sizeof *places);
        if (places == NULL) {
            return no_place;
        }
        table->places = places;
        table->cap = cap;
    }
    table->places[table->place_count] = (struct session_place){0};
    return table->place_count++;
}

struct session *session_new(struct session_table *table, struct slice user_id,
                            struct slice device_id)
{
    assert(user_id.len <= USER_ID_MAX_BYTES && device_id.len <= DEVICE_ID_MAX_BYTES);
    struct session *session = calloc(1, sizeof *session + user_id.len + device_id.len);
    uint32_t index = session != NULL ? take_place(table) : no_place;
    if (index == no_place) {
        free(session);
        return NULL;
    }
    struct session_place *place = &table->places[index];
    place->session = session;
    place->generation++;
    session->id = (uint64_t)place->generation << ID_PLACE_BITS | index;
    session->user_id_len = (uint8_t)user_id.len;
    session->device_id_len = (uint8_t)device_id.len;
    memcpy(session->names, user_id.data, user_id.len);
    if (device_id.len > 0) {
        memcpy(session->names + user_id.len, device_id.data, device_id.len);
    }
    table->count++;
    return session;
}

void session_free(struct session_table *table, struct session *session)
{
    uint32_t index = (uint32_t)session->id;
    struct session_place *place = &table->places[index];
    assert(place->session == session && session->deliveries.first == NULL);
    place->session = NULL;
    place->next_free = table->first_free;
    table->first_free = index;
    table->count--;
    free(session);
}

struct session *session_find(const struct session_table *table, uint64_t id)
{
    uint32_t index = (uint32_t)id;
    if (index >= table->place_count) {
        return NULL;
    }
    struct session *session = table->places[index].session;
    return session != NULL && session->id == id ? session : NULL;
}
