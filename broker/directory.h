/* Who is connected, and where: users by userId, each with its sessions (one a device), and the
 * sessions of each slot by their id. Holds no opinion: who replaces whom is the router's business.
 * Compact, since there may be a million: about 130 bytes and the two ids for a user of one device.
 *
 * A user stays while it has a session, a hold (holds.h) or a transfer (transfers.h); a session that
 * has left the directory stays in memory while a transfer has a leg to it. */
#pragma once

#include "common/link_codec.h"
#include "common/map.h"

struct hold;

struct session_link {
    struct session_link *next;
    struct session_link **back; /* what points at this one */
};

struct user {
    struct map_node by_id;
    struct session_link *sessions; /* the newest first; NULL: nobody is connected */
    struct hold *hold;             /* NULL: none; kept by holds.h */
    uint32_t transfers;            /* to this user */
    uint32_t departed_legs;        /* unanswered ones, to sessions that have left */
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
    uint64_t last_handed; /* no plain transfer with a lower number may be handed to it any more */
    uint32_t slot;
    uint32_t legs; /* unanswered ones to this session */
    bool has_left;
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
/* Frees all users and sessions as well; there must be no leg to any, and no hold. */
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

/* One that may have nothing yet: directory_release_user is due. NULL: no memory. */
MUST_CHECK struct user *directory_get_user(struct directory *directory, struct slice user_id);

struct slice directory_user_id(const struct session *session);
struct slice directory_device_id(const struct session *session);

/* Copies what it needs of `attach`, whose session id must be new to the slot. NULL: no memory. */
MUST_CHECK struct session *directory_add(struct directory *directory, uint32_t slot,
                                         const struct link_attach *attach);
/* The session leaves. Its user stays until directory_release_user, even without any session. */
void directory_remove(struct directory *directory, struct session *session);
/* Frees the user if nothing is left of it. */
void directory_release_user(struct directory *directory, struct user *user);

/* A transfer to the user begins or ends; with the last one directory_release_user is due. */
void directory_count_transfer(struct user *user);
void directory_uncount_transfer(struct user *user);
/* A leg to the session begins or ends. */
void directory_count_leg(struct session *session);
void directory_uncount_leg(struct session *session);
