#include "broker/directory.h"

#include "common/identity.h"

#include <assert.h>
#include <stdlib.h>

static_assert(USER_ID_MAX_BYTES <= UINT8_MAX && DEVICE_ID_MAX_BYTES <= UINT8_MAX,
              "the length of an id is one byte");

static struct user *user_of_node(const struct map_node *node)
{
    return container_of(node, struct user, by_id);
}

static struct session *session_of_node(const struct map_node *node)
{
    return container_of(node, struct session, by_id);
}

static struct slice user_key(const struct map_node *node)
{
    const struct user *user = user_of_node(node);
    return slice_of(user->id, user->id_len);
}

static struct slice session_key(const struct map_node *node)
{
    const struct session *session = session_of_node(node);
    return slice_of(&session->id, sizeof session->id);
}

static void link_push(struct session_link **first, struct session_link *link)
{
    link->next = *first;
    link->back = first;
    if (link->next != NULL) {
        link->next->back = &link->next;
    }
    *first = link;
}

static void link_remove(struct session_link *link)
{
    *link->back = link->next;
    if (link->next != NULL) {
        link->next->back = link->back;
    }
}

bool directory_init(struct directory *directory, uint32_t slot_count, const uint8_t hash_key[16])
{
    *directory = (struct directory){.slots = calloc(slot_count, sizeof *directory->slots)};
    if (directory->slots == NULL) {
        return false;
    }
    if (!map_init(&directory->users, hash_key, user_key)) {
        directory_fini(directory);
        return false;
    }
    while (directory->slot_count < slot_count) {
        struct slot_sessions *slot = &directory->slots[directory->slot_count];
        if (!map_init(&slot->by_id, NULL, session_key)) {
            directory_fini(directory);
            return false;
        }
        directory->slot_count++;
    }
    return true;
}

void directory_fini(struct directory *directory)
{
    for (uint32_t i = 0; i < directory->slot_count; i++) {
        struct session *session = NULL;
        while ((session = directory_first_of_slot(directory, i)) != NULL) {
            struct user *user = session->user;
            directory_remove(directory, session);
            directory_release_user(directory, user);
        }
        map_fini(&directory->slots[i].by_id);
    }
    free(directory->slots);
    map_fini(&directory->users);
    *directory = (struct directory){0};
}

struct user *directory_find_user(const struct directory *directory, struct slice user_id)
{
    struct map_node *node = map_find(&directory->users, user_id);
    return node == NULL ? NULL : user_of_node(node);
}

struct session *directory_find_session(const struct directory *directory, uint32_t slot,
                                       uint64_t session_id)
{
    struct map_node *node =
        map_find(&directory->slots[slot].by_id, slice_of(&session_id, sizeof session_id));
    return node == NULL ? NULL : session_of_node(node);
}

struct session *directory_first_of_slot(const struct directory *directory, uint32_t slot)
{
    struct session_link *first = directory->slots[slot].first;
    return first == NULL ? NULL : container_of(first, struct session, of_slot);
}

struct session *directory_first_of_user(const struct user *user)
{
    return user->sessions == NULL ? NULL : container_of(user->sessions, struct session, of_user);
}

struct session *directory_next_of_user(const struct session *session)
{
    struct session_link *next = session->of_user.next;
    return next == NULL ? NULL : container_of(next, struct session, of_user);
}

struct session *directory_find_device(const struct directory *directory, struct slice user_id,
                                      struct slice device_id)
{
    const struct user *user = directory_find_user(directory, user_id);
    struct session *session = user == NULL ? NULL : directory_first_of_user(user);
    while (session != NULL && !slice_equal(directory_device_id(session), device_id)) {
        session = directory_next_of_user(session);
    }
    return session;
}

struct slice directory_user_id(const struct session *session)
{
    return slice_of(session->user->id, session->user->id_len);
}

struct slice directory_device_id(const struct session *session)
{
    return slice_of(session->device_id, session->device_id_len);
}

struct user *directory_get_user(struct directory *directory, struct slice user_id)
{
    struct user *user = directory_find_user(directory, user_id);
    if (user != NULL) {
        return user;
    }
    user = malloc(sizeof *user + user_id.len);
    if (user == NULL) {
        return NULL;
    }
    *user = (struct user){.id_len = (uint8_t)user_id.len};
    memcpy(user->id, user_id.data, user_id.len);
    map_insert(&directory->users, &user->by_id);
    return user;
}

struct session *directory_add(struct directory *directory, uint32_t slot,
                              const struct link_attach *attach)
{
    assert(directory_find_session(directory, slot, attach->session_id) == NULL);
    struct slice device_id = attach->device_id;
    struct session *session = malloc(sizeof *session + device_id.len);
    if (session == NULL) {
        return NULL;
    }
    struct user *user = directory_get_user(directory, attach->user_id);
    if (user == NULL) {
        free(session);
        return NULL;
    }
    *session = (struct session){
        .id = attach->session_id,
        .since_ms = attach->since_ms,
        .user = user,
        .slot = slot,
        .device_id_len = (uint8_t)device_id.len,
    };
    if (device_id.len > 0) {
        memcpy(session->device_id, device_id.data, device_id.len);
    }
    map_insert(&directory->slots[slot].by_id, &session->by_id);
    link_push(&directory->slots[slot].first, &session->of_slot);
    link_push(&session->user->sessions, &session->of_user);
    directory->session_count++;
    return session;
}

void directory_remove(struct directory *directory, struct session *session)
{
    assert(!session->has_left);
    map_remove(&directory->slots[session->slot].by_id, &session->by_id);
    link_remove(&session->of_slot);
    link_remove(&session->of_user);
    directory->session_count--;
    session->has_left = true;
    session->user->departed_legs += session->legs;
    if (session->legs == 0) {
        free(session);
    }
}

void directory_release_user(struct directory *directory, struct user *user)
{
    if (user->sessions == NULL && user->hold == NULL && user->transfers == 0) {
        assert(user->departed_legs == 0);
        map_remove(&directory->users, &user->by_id);
        free(user);
    }
}

void directory_count_transfer(struct user *user)
{
    user->transfers++;
}

void directory_uncount_transfer(struct user *user)
{
    assert(user->transfers > 0);
    user->transfers--;
}

void directory_count_leg(struct session *session)
{
    assert(!session->has_left);
    session->legs++;
}

void directory_uncount_leg(struct session *session)
{
    assert(session->legs > 0);
    session->legs--;
    if (session->has_left) {
        session->user->departed_legs--;
        if (session->legs == 0) {
            free(session);
        }
    }
}
