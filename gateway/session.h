/* A user's device that is, or wants to be, in the broker's directory; and the table of all sessions
 * of this gateway by id. An id is never reused while the process lives: its low half is a place in
 * the table, its high half counts how often that place was taken (2^32 times would be a century).
 */
#pragma once

#include "common/compiler.h"
#include "common/identity.h"
#include "common/slice.h"
#include "gateway/deliveries.h"

struct session {
    uint64_t id;
    void *owner;          /* whoever attached it: a client */
    uint64_t since_ms;    /* when it asked to be attached */
    struct session *prev; /* among all sessions, in the order in which they came */
    struct session *next;
    struct session_deliveries deliveries; /* payloads that wait in the owner's queue */
    uint32_t unanswered_count;            /* its own messages without an outcome */
    bool is_attached;                     /* the broker has confirmed it, once */
    bool is_announced; /* an attach was sent on the connection that is there now */
    bool is_retiring;  /* on its way out: not announced again */
    bool is_retired;   /* and no broker will hand over anything more for it */
    bool wants_news;   /* acks, not errors only */
    uint8_t user_id_len;
    uint8_t device_id_len;
    uint8_t names[]; /* userId, deviceId */
};

struct session_place {
    struct session *session; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

struct session_table {
    struct session_place *places;
    uint32_t place_count; /* that were ever used */
    uint32_t cap;
    uint32_t first_free;
    size_t count;
};

static inline struct slice session_user_id(const struct session *session)
{
    return slice_of(session->names, session->user_id_len);
}

static inline struct slice session_device_id(const struct session *session)
{
    return slice_of(session->names + session->user_id_len, session->device_id_len);
}

void session_table_init(struct session_table *table);
/* Frees the sessions that are left. */
void session_table_fini(struct session_table *table);

/* A new session with a new id. NULL: no memory. */
struct session *session_new(struct session_table *table, struct slice user_id,
                            struct slice device_id);
/* No delivery may wait for it. */
void session_free(struct session_table *table, struct session *session);
/* NULL: that session is gone. */
struct session *session_find(const struct session_table *table, uint64_t id);
