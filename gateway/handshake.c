#include "gateway/handshake.h"

#include "common/utf8.h"
#include "gateway/query.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <strings.h>

enum {
    BAD_REQUEST = 400,
    FORBIDDEN = 403,
    NOT_FOUND = 404,
    UPGRADE_REQUIRED = 426,
    KEY_BYTES = 24,           /* 16 bytes in base64 */
    KEY_ALPHABETIC_BYTES = 22 /* the rest is padding */
};

static const char subprotocol[] = "switchboard.v1";
/* RFC 6455, 1.3. */
static const char accept_guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/* A name that a client gives itself in the query, and what it hears when it is not a good one. */
struct identity_rule {
    const char *name;
    size_t max_bytes;
    bool is_required;
    const char *absent;
    const char *empty;
    const char *doubled;
    const char *bad_code;
    const char *too_long;
    const char *not_utf8;
    const char *has_control;
};

static const struct identity_rule user_id_rule = {
    .name = "userId",
    .max_bytes = USER_ID_MAX_BYTES,
    .is_required = true,
    .absent = "userId is missing: connect to /?userId=NAME",
    .empty = "userId must not be empty",
    .doubled = "userId is given twice",
    .bad_code = "the query holds a percent sign without two hex digits, in userId or in a name",
    .too_long = "userId is longer than 128 bytes",
    .not_utf8 = "userId is not valid UTF-8",
    .has_control = "userId holds a control character",
};

static const struct identity_rule device_id_rule = {
    .name = "deviceId",
    .max_bytes = DEVICE_ID_MAX_BYTES,
    .doubled = "deviceId is given twice",
    .bad_code = "the query holds a percent sign without two hex digits, in deviceId or in a name",
    .too_long = "deviceId is longer than 64 bytes",
    .not_utf8 = "deviceId is not valid UTF-8",
    .has_control = "deviceId holds a control character",
};

static bool refuse(struct http_refusal *refusal, uint16_t status, const char *message)
{
    *refusal = (struct http_refusal){status, message};
    return false;
}

bool handshake_is_upgrade(const struct http_request *request)
{
    struct slice ignored;
    return http_request_find_header(request, "upgrade", &ignored) > 0 ||
           http_request_find_header(request, "sec-websocket-key", &ignored) > 0 ||
           http_request_header_has_token(request, "connection", "upgrade");
}

static bool check_path(const struct http_request *request, struct http_refusal *refusal)
{
    if (slice_equal_string(request->path, "/") || slice_equal_string(request->path, "/ws")) {
        return true;
    }
    return refuse(refusal, NOT_FOUND, "there is no WebSocket at this path: connect to / or /ws");
}

static bool check_upgrade(const struct http_request *request, struct http_refusal *refusal)
{
    if (!http_request_header_has_token(request, "upgrade", "websocket")) {
        return refuse(refusal, BAD_REQUEST, "the Upgrade header must name websocket");
    }
    if (!http_request_header_has_token(request, "connection", "upgrade")) {
        return refuse(refusal, BAD_REQUEST, "the Connection header must name Upgrade");
    }
    return true;
}

static bool is_base64_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '+' ||
           c == '/';
}

/* 16 bytes in base64 (RFC 4648, 4); the bits behind the last byte may be anything. */
static bool is_key(struct slice key)
{
    if (key.len != KEY_BYTES) {
        return false;
    }
    for (size_t i = 0; i < KEY_ALPHABETIC_BYTES; i++) {
        if (!is_base64_byte(key.data[i])) {
            return false;
        }
    }
    return slice_equal_string(slice_drop(key, KEY_ALPHABETIC_BYTES), "==");
}

/* Sec-WebSocket-Accept (RFC 6455, 4.2.2): base64 of the SHA-1 of the key and the GUID. */
static void compute_accept(struct slice key, char accept[HANDSHAKE_ACCEPT_BYTES])
{
    uint8_t text[KEY_BYTES + sizeof accept_guid - 1];
    memcpy(text, key.data, KEY_BYTES);
    memcpy(text + KEY_BYTES, accept_guid, sizeof accept_guid - 1);
    uint8_t digest[SHA_DIGEST_LENGTH];
    SHA1(text, sizeof text, digest);
    uint8_t encoded[HANDSHAKE_ACCEPT_BYTES + 1]; /* EVP_EncodeBlock ends it with a NUL */
    EVP_EncodeBlock(encoded, digest, sizeof digest);
    memcpy(accept, encoded, HANDSHAKE_ACCEPT_BYTES);
}

static bool check_key(const struct http_request *request, struct handshake *handshake,
                      struct http_refusal *refusal)
{
    struct slice key;
    if (http_request_find_header(request, "sec-websocket-key", &key) != 1) {
        return refuse(refusal, BAD_REQUEST, "exactly one Sec-WebSocket-Key header is required");
    }
    if (!is_key(key)) {
        return refuse(refusal, BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in base64");
    }
    compute_accept(key, handshake->accept);
    return true;
}

static bool check_version(const struct http_request *request, struct http_refusal *refusal)
{
    struct slice version;
    if (http_request_find_header(request, "sec-websocket-version", &version) != 1) {
        return refuse(refusal, BAD_REQUEST, "exactly one Sec-WebSocket-Version header is required");
    }
    if (!slice_equal_string(version, "13")) {
        return refuse(refusal, UPGRADE_REQUIRED,
                      "only version 13 of the WebSocket protocol is spoken");
    }
    return true;
}

static bool is_origin_allowed(struct slice origin, const char *allowed_origins)
{
    struct slice list = slice_from_string(allowed_origins);
    struct slice allowed;
    if (list.len == 0) {
        return true;
    }
    while (http_list_take(&list, &allowed)) {
        if (allowed.len == origin.len && allowed.len > 0 &&
            strncasecmp((const char *)allowed.data, (const char *)origin.data, origin.len) == 0) {
            return true;
        }
    }
    return false;
}

static bool check_origin(const struct http_request *request, const char *allowed_origins,
                         struct http_refusal *refusal)
{
    struct slice origin;
    size_t count = http_request_find_header(request, "origin", &origin);
    if (count > 1) {
        return refuse(refusal, BAD_REQUEST, "the Origin header is there twice");
    }
    if (count == 1 && !is_origin_allowed(origin, allowed_origins)) {
        return refuse(refusal, FORBIDDEN, "pages of this origin may not connect");
    }
    return true;
}

/* Compared with case, unlike other tokens: a browser drops a connection whose subprotocol is not
 * spelled as it was offered. */
static bool offers_subprotocol(const struct http_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (!slice_equal_nocase(request->headers[i].name, "sec-websocket-protocol")) {
            continue;
        }
        struct slice list = request->headers[i].value;
        struct slice offered;
        while (http_list_take(&list, &offered)) {
            if (slice_equal_string(offered, subprotocol)) {
                return true;
            }
        }
    }
    return false;
}

/* NULL: the name is good, and in `out`. */
static const char *read_identity(struct slice query, const struct identity_rule *rule, uint8_t *out,
                                 uint8_t *out_len)
{
    size_t len = 0;
    switch (query_get(query, rule->name, out, rule->max_bytes, &len)) {
    case QUERY_FOUND:
        break;
    case QUERY_ABSENT:
        return rule->is_required ? rule->absent : NULL;
    case QUERY_DOUBLED:
        return rule->doubled;
    case QUERY_BAD_CODE:
        return rule->bad_code;
    case QUERY_TOO_LONG:
        return rule->too_long;
    }
    if (len == 0 && rule->is_required) {
        return rule->empty;
    }
    if (!utf8_valid(slice_of(out, len))) {
        return rule->not_utf8;
    }
    if (identity_has_control(slice_of(out, len))) {
        return rule->has_control;
    }
    *out_len = (uint8_t)len;
    return NULL;
}

static bool check_identity(const struct http_request *request, struct handshake *handshake,
                           struct http_refusal *refusal)
{
    const char *complaint =
        read_identity(request->query, &user_id_rule, handshake->user_id, &handshake->user_id_len);
    if (complaint == NULL) {
        complaint = read_identity(request->query, &device_id_rule, handshake->device_id,
                                  &handshake->device_id_len);
    }
    return complaint == NULL || refuse(refusal, BAD_REQUEST, complaint);
}

bool handshake_check(const struct http_request *request, const struct handshake_config *config,
                     struct handshake *handshake, struct http_refusal *refusal)
{
    *handshake = (struct handshake){.has_subprotocol = offers_subprotocol(request)};
    return http_request_check(request, false, refusal) &&
           (!config->requires_user_id || check_path(request, refusal)) &&
           check_upgrade(request, refusal) && check_key(request, handshake, refusal) &&
           check_version(request, refusal) &&
           check_origin(request, config->allowed_origins, refusal) &&
           (!config->requires_user_id || check_identity(request, handshake, refusal));
}

void handshake_put_response(struct buffer *out, const struct handshake *handshake)
{
    buffer_put_string(out, "HTTP/1.1 101 Switching Protocols\r\n"
                           "Upgrade: websocket\r\n"
                           "Connection: Upgrade\r\n"
                           "Sec-WebSocket-Accept: ");
    buffer_put(out, slice_of(handshake->accept, sizeof handshake->accept));
    if (handshake->has_subprotocol) {
        buffer_put_format(out, "\r\nSec-WebSocket-Protocol: %s", subprotocol);
    }
    buffer_put_string(out, "\r\n\r\n");
}
