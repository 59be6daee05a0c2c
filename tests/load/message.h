/* The messages of switchboard-load: written by one client, and checked byte by byte by its partner.
 *
 *   {"type":"call-candidate","to":"load-1","n":17,"t":81234567890,"c":"0123456789abcdef","pad":"..."}
 *
 * `n` counts the sender's messages, from 1; `t` is when it was due, in nanoseconds of the machine's
 * clock; `c` follows from the sender, n and t. So all of it can be checked without remembering
 * anything. What stands before `n` is the dialect's. */
#pragma once

#include "common/slice.h"
#include "tests/load/dialect.h"

enum { MESSAGE_MIN_BYTES = 96, MESSAGE_MAX_BYTES = 65536 };

/* What all messages of a run share. */
struct message_format {
    const struct dialect *dialect;
    const char *user_prefix;
    size_t
        message_bytes; /* the padding fills up to this; a message without padding may be longer */
};

/* The texts of one client: what its messages begin with, and what those that it gets do. */
struct message_sheet {
    char *text;    /* owns the bytes of the slices below */
    uint32_t self; /* user numbers */
    uint32_t partner;
    uint16_t head_len;  /* of `text`: how our messages begin */
    uint16_t sent_len;  /* behind that: how the partner's begin as sent */
    uint16_t named_len; /* and behind that: `"from":"PARTNER"` */
};

enum message_verdict {
    MESSAGE_GOOD,       /* n and t are set; whether n is due is for the caller to say */
    MESSAGE_ERROR,      /* the server's word that something failed; `code` is set */
    MESSAGE_UNCOUNTED,  /* a greeting */
    MESSAGE_MISROUTED,  /* for somebody else */
    MESSAGE_WRONG_FROM, /* for us, but by its `from` not from our partner */
    MESSAGE_ALTERED,    /* nothing that our partner sent */
};

struct message_seen {
    uint64_t n;
    uint64_t t_ns;
    struct slice code;
};

/* The userId `PREFIX-NUMBER`; `name` has DIALECT_USER_MAX_BYTES. */
void message_name_user(char *name, const char *prefix, uint32_t number);

/* False: no memory. */
bool message_sheet_init(struct message_sheet *sheet, const struct message_format *format,
                        uint32_t self, uint32_t partner);
void message_sheet_fini(struct message_sheet *sheet);

/* An upper bound of what message_write writes. */
size_t message_max_bytes(const struct message_format *format, const struct message_sheet *sheet);
/* Writes a message to the partner; returns its length. */
size_t message_write(const struct message_format *format, const struct message_sheet *sheet,
                     uint64_t n, uint64_t t_ns, uint8_t *out);

enum message_verdict message_check(const struct message_format *format,
                                   const struct message_sheet *sheet, struct slice text,
                                   struct message_seen *seen);
