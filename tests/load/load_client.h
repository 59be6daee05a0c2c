/* One user of a load: sends numbered messages to its partner, checks those that come. */
#pragma once

#include "tests/load/load_results.h"
#include "tests/load/message.h"
#include "tests/load/sequence.h"
#include "tests/load/ws_client.h"

struct load_worker;

struct load_client {
    struct ws_client ws;
    struct load_worker *worker;
    struct load_client *partner; /* NULL: sends nothing */
    struct load_client *next;    /* of the worker's list that it is in: dirty or idle */
    struct message_sheet sheet;
    struct sequence sequence; /* of what comes from the partner */
    uint64_t sent;
    uint64_t failed;      /* of those, what the server reported as not delivered */
    uint64_t unconfirmed; /* of the failed, what may have been delivered all the same */
    uint64_t begun_ns;    /* when its connection was due */
    uint32_t number;      /* of its user */
    uint32_t owed;        /* messages that take the place of failed ones */
    uint8_t group;        /* enum load_group */
    bool is_closed_loop;  /* answers each message */
    bool is_dirty;
};

/* Queues a message that was due at `due_ns`; the caller flushes, unless --alone has it done. False:
 * the connection is not open, or its queue is full. */
bool load_client_send(struct load_client *client, uint64_t due_ns);
void load_client_on_message(struct load_client *client, struct slice payload);
/* Counts what it has sent and what has come to no end. */
void load_client_settle(struct load_client *client);
