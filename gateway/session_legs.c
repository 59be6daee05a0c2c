#include "gateway/session_legs.h"

#include "common/identity.h"
#include "common/link_codec.h"

#include <assert.h>

enum { POOL_KEPT_MAX_BYTES = 256 * 1024 };

static_assert(CALL_ID_MAX_BYTES <= UINT8_MAX && LINK_LEG_STATE_MAX_BYTES <= UINT16_MAX,
              "the lengths of a leg fit");

/* The legs of one session: one at least, in the order of their numbers. */
struct leg_list {
    struct map_node by_id;
    uint64_t session_id;
    struct leg_list *prev; /* among all, in no order */
    struct leg_list *next;
    struct session_leg *first;
    unsigned count;
};

static struct leg_list *list_of_node(const struct map_node *node)
{
    return container_of(node, struct leg_list, by_id);
}

static struct slice session_key(const struct map_node *node)
{
    const struct leg_list *list = list_of_node(node);
    return slice_of(&list->session_id, sizeof list->session_id);
}

static size_t memory_of(const struct session_leg *leg)
{
    return sizeof *leg + leg->call_id_len + leg->state_len;
}

bool session_legs_init(struct session_legs *all)
{
    *all = (struct session_legs){0};
    pool_init(&all->pool, POOL_KEPT_MAX_BYTES);
    return map_init(&all->lists, NULL, session_key);
}

void session_legs_fini(struct session_legs *all)
{
    while (all->first != NULL) {
        session_legs_forget(all, all->first->session_id);
    }
    map_fini(&all->lists);
    pool_fini(&all->pool);
}

/* NULL: it has no legs. */
static struct leg_list *find_list(const struct session_legs *all, uint64_t session_id)
{
    if (all->lists.count == 0) {
        return NULL;
    }
    struct map_node *node = map_find(&all->lists, slice_of(&session_id, sizeof session_id));
    return node != NULL ? list_of_node(node) : NULL;
}

/* NULL: no memory. */
static struct leg_list *add_list(struct session_legs *all, uint64_t session_id)
{
    struct leg_list *list = pool_take(&all->pool, sizeof *list);
    if (list == NULL) {
        return NULL;
    }
    *list = (struct leg_list){.session_id = session_id, .next = all->first};
    if (list->next != NULL) {
        list->next->prev = list;
    }
    all->first = list;
    map_insert(&all->lists, &list->by_id);
    return list;
}

static void remove_list(struct session_legs *all, struct leg_list *list)
{
    assert(list->first == NULL);
    map_remove(&all->lists, &list->by_id);
    if (list->prev != NULL) {
        list->prev->next = list->next;
    } else {
        all->first = list->next;
    }
    if (list->next != NULL) {
        list->next->prev = list->prev;
    }
    pool_return(&all->pool, list, sizeof *list);
}

/* NULL: no memory. */
static struct session_leg *make_leg(struct session_legs *all, struct slice call_id,
                                    struct slice state)
{
    struct session_leg *leg =
        pool_take(&all->pool, sizeof(struct session_leg) + call_id.len + state.len);
    if (leg != NULL) {
        leg->call_id_len = (uint8_t)call_id.len;
        leg->state_len = (uint16_t)state.len;
        memcpy(leg->bytes, call_id.data, call_id.len);
        memcpy(leg->bytes + call_id.len, state.data, state.len);
    }
    return leg;
}

/* Where the leg of that call hangs, or would hang. */
static struct session_leg **find_link(struct leg_list *list, struct slice call_id)
{
    struct session_leg **link = &list->first;
    while (*link != NULL && !slice_equal(session_leg_call_id(*link), call_id)) {
        link = &(*link)->next;
    }
    return link;
}

/* Takes out and frees the leg that hangs there; gives its number. */
static uint64_t cut_off(struct session_legs *all, struct leg_list *list, struct session_leg **link)
{
    struct session_leg *leg = *link;
    uint64_t number = leg->number;
    *link = leg->next;
    list->count--;
    pool_return(&all->pool, leg, memory_of(leg));
    return number;
}

static void hang_in(struct leg_list *list, struct session_leg **link, struct session_leg *leg)
{
    leg->next = *link;
    *link = leg;
    list->count++;
}

void session_legs_set(struct session_legs *all, uint64_t session_id, struct slice call_id,
                      struct slice state)
{
    assert(call_id.len > 0 && call_id.len <= CALL_ID_MAX_BYTES &&
           state.len <= LINK_LEG_STATE_MAX_BYTES);
    struct leg_list *list = find_list(all, session_id);
    if (list == NULL && state.len > 0) {
        list = add_list(all, session_id);
    }
    if (list == NULL) {
        return;
    }
    struct session_leg **link = find_link(list, call_id);
    uint64_t number = *link != NULL ? cut_off(all, list, link) : ++all->last_number;
    struct session_leg *leg = NULL;
    if (state.len > 0 && list->count < SESSION_LEGS_MAX) {
        leg = make_leg(all, call_id, state);
    }
    if (leg != NULL) {
        leg->number = number;
        hang_in(list, link, leg);
    }
    if (list->first == NULL) {
        remove_list(all, list);
    }
}

void session_legs_forget(struct session_legs *all, uint64_t session_id)
{
    struct leg_list *list = find_list(all, session_id);
    if (list != NULL) {
        while (list->first != NULL) {
            cut_off(all, list, &list->first);
        }
        remove_list(all, list);
    }
}

const struct session_leg *session_legs_next(const struct session_legs *all, uint64_t session_id,
                                            uint64_t number)
{
    const struct leg_list *list = find_list(all, session_id);
    const struct session_leg *leg = list != NULL ? list->first : NULL;
    while (leg != NULL && leg->number <= number) {
        leg = leg->next;
    }
    return leg;
}
