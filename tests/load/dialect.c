#include "tests/load/dialect.h"

#include "common/compiler.h"

#include <assert.h>
#include <string.h>

#define JSON_HEAD "{\"type\":\"call-candidate\",\"to\":\"{peer}\","
#define JSON_KEYS .to_key = "\"to\":\"", .from_key = "\"from\":\"", .type_key = "\"type\":\""

static const struct dialect dialects[] = {
    {
        .name = "switchboard",
        .path = "/?userId={self}",
        .head = JSON_HEAD,
        .tail = "}",
        .from = FROM_FIRST,
        JSON_KEYS,
    },
    {
        .name = "yardstick",
        .path = "/?userId={self}",
        .head = JSON_HEAD,
        .tail = "}",
        .from = FROM_NONE,
        JSON_KEYS,
    },
    {
        .name = "ws-map",
        .path = "/?userId={self}",
        .head = JSON_HEAD,
        .tail = "}",
        .from = FROM_ANY,
        JSON_KEYS,
    },
    {
        .name = "uws",
        .path = "/?userId={self}",
        .head = JSON_HEAD,
        .tail = "}",
        .from = FROM_ANY,
        JSON_KEYS,
    },
    {
        .name = "peerjs",
        .path = "/peerjs?key=peerjs&id={self}&token={self}",
        .head = "{\"type\":\"OFFER\",\"src\":\"{self}\",\"dst\":\"{peer}\",\"payload\":{",
        .tail = "}}",
        .from = FROM_OURS,
        .to_key = "\"dst\":\"",
        .from_key = "\"src\":\"",
        .type_key = "\"type\":\"",
        .heartbeat = "{\"type\":\"HEARTBEAT\"}",
        .heartbeat_ms = 20000,
    },
};

const struct dialect *dialect_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(dialects); i++) {
        if (strcmp(dialects[i].name, name) == 0) {
            return &dialects[i];
        }
    }
    return NULL;
}

const char *dialect_names(void)
{
    return "switchboard, yardstick, ws-map, uws or peerjs";
}

static uint32_t append(char *text, uint32_t len, const char *from, size_t count)
{
    assert(len + count < DIALECT_TEXT_MAX_BYTES);
    memcpy(text + len, from, count);
    return len + (uint32_t)count;
}

uint32_t dialect_fill(char *text, const char *template, const char *self, const char *peer)
{
    static const char self_mark[] = "{self}";
    static const char peer_mark[] = "{peer}";
    uint32_t len = 0;
    while (*template != '\0') {
        if (strncmp(template, self_mark, strlen(self_mark)) == 0) {
            len = append(text, len, self, strlen(self));
            template += strlen(self_mark);
        } else if (strncmp(template, peer_mark, strlen(peer_mark)) == 0) {
            len = append(text, len, peer, strlen(peer));
            template += strlen(peer_mark);
        } else {
            len = append(text, len, template ++, 1);
        }
    }
    text[len] = '\0';
    return len;
}
