/* Where the members of a JSON object stand in its text: one strict pass over RFC 8259's grammar,
 * linear, without recursion and without memory of its own.
 *
 * Strict means: exactly one object; white space is space, tab, line feed and carriage return; no
 * raw control character in a string; no escape of half a surrogate pair (no UTF-8 could spell it);
 * at most JSON_DEPTH_MAX objects and arrays inside one another. Numbers may have any size: nobody
 * here converts them. That the text is UTF-8 is the caller's to know. */
#pragma once

#include "common/slice.h"

enum { JSON_DEPTH_MAX = 64 };

enum json_kind {
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_INTEGER, /* a number without fraction and exponent */
    JSON_NUMBER,  /* any other */
    JSON_LITERAL, /* true, false, null */
};

/* A string as it is spelled, without its quotes. */
struct json_text {
    struct slice raw;
    bool has_escape; /* else `raw` is the string itself */
    bool has_nul;    /* \u0000 is among the escapes */
};

struct json_member {
    struct json_text key;
    struct slice value; /* with quotes, brackets and all */
    enum json_kind kind;
    struct json_text string; /* the value again, if it is a JSON_STRING */
};

enum json_step {
    JSON_STEP_MEMBER, /* *member is filled in */
    JSON_STEP_END,    /* the text was one JSON object, and that was all of it */
    JSON_STEP_BAD,    /* it was not; `complaint` says why */
};

struct json_scan {
    struct slice text;
    size_t at; /* what is before has been read */
    bool is_inside;
    const char *complaint; /* a static sentence; NULL: none so far */
};

void json_scan_init(struct json_scan *scan, struct slice text);

/* The next member of the object, in the order of the text. After JSON_STEP_END or JSON_STEP_BAD the
 * scan is over. Until JSON_STEP_END nothing is known about the text behind the member. */
enum json_step json_scan_next(struct json_scan *scan, struct json_member *member);
