/* What differs between the servers that switchboard-load can speak to: where a client connects,
 * what a message to a peer looks like, and what becomes of it on the way. A table, dialect.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Who says whom a message is from. In templates: {self} is the client's userId, {peer} its
 * partner's. */
enum dialect_from {
    FROM_FIRST, /* the server puts `"from":"...",` right behind the opening brace */
    FROM_NONE,  /* messages are relayed verbatim */
    FROM_ANY,   /* first, last or not at all; wherever it is, it must be right */
    FROM_OURS,  /* it is part of the template, and relayed */
};

struct dialect {
    const char *name;
    const char *path;       /* of the handshake request */
    const char *head;       /* of a message: the members in front of ours, and what opens ours */
    const char *tail;       /* what closes a message */
    enum dialect_from from; /* what the receiver sees */
    const char *to_key;     /* the member that names the receiver, as it stands in the text */
    const char *from_key;
    const char *type_key;
    const char *heartbeat; /* a message to be sent every so often; NULL: none */
    uint64_t heartbeat_ms;
};

enum { DIALECT_USER_MAX_BYTES = 96, DIALECT_TEXT_MAX_BYTES = 512 };

/* NULL: no dialect has that name. */
const struct dialect *dialect_find(const char *name);
/* All names, for --help. */
const char *dialect_names(void);

/* Fills in a template; returns the text's length, below DIALECT_TEXT_MAX_BYTES. */
uint32_t dialect_fill(char *text, const char *template, const char *self, const char *peer);
