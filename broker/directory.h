/* Who is connected, and where: users by userId, each with its sessions (one a device), and the
 * sessions of each slot by their id. Holds no opinion: who replaces whom is the router's business.
 * Compact, since there may be a million: about 100 bytes and the two ids for a user of one device.
 */
#pragma once

#include "common/link_codec.h"
#include "common/map.h"

struct session_link {
    struct session_link *next;
    struct session_link **back; /* what points at this one */
};

struct user {
    struct map_node by_id;
    struct session_link *sessions; /* at least one; the newest first */
    uint8_t id_len;
    uint8_t id[];
};

struct session {
    struct map_node by_id;
    uint64_t id; /* unique within its slot's connection */
    uint64_t since_ms;
    struct user *user;
    struct session_link of_user;
    struct session_link of_slot;
    uint32_t slot;
    uint8_t device_id_len;
    uint8_t device_id[];
};

struct slot_sessions {
    struct map by_id;
    struct session_link *first;
};

struct directory {
    struct map users;
    size_t session_count;
    uint32_t slot_count;
    struct slot_sessions *slots;
};

/* False: no memory. */
MUST_CHECK bool directory_init(struct directory *directory, uint32_t slot_count,
                               const uint8_t hash_key[16]);
/* Frees all sessions as well. */
void directory_fini(struct directory *directory);

/* Each of these: NULL where there is none. */
struct user *directory_find_user(const struct directory *directory, struct slice user_id);
struct session *directory_find_session(const struct directory *directory, uint32_t slot,
                                       uint64_t session_id);
struct session *directory_find_device(const struct directory *directory, struct slice user_id,
                                      struct slice device_id);
struct session *directory_first_of_slot(const struct directory *directory, uint32_t slot);
struct session *directory_first_of_user(const struct user *user);
struct session *directory_next_of_user(const struct session *session);

struct slice directory_user_id(const struct session *session);
struct slice directory_device_id(const struct session *session);

/* Copies what it needs of `attach`, whose session id must be new to the slot. NULL: no memory. */
MUST_CHECK struct session *directory_add(struct directory *directory, uint32_t slot,
                                         const struct link_attach *attach);
/* Frees the session, and its user with the last one. */
void directory_remove(struct directory *directory, struct session *session);
