#include "gateway/json_cut.h"

#include <assert.h>

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

/* Behind the opening quote. */
static const uint8_t *place_of(const struct json_member *member)
{
    return member->key.raw.data;
}

/* There are few of them. */
static void sort(const struct json_member **members, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct json_member *member = members[i];
        size_t at = i;
        for (; at > 0 && place_of(members[at - 1]) > place_of(member); at--) {
            members[at] = members[at - 1];
        }
        members[at] = member;
    }
}

static const uint8_t *end_of(struct slice piece)
{
    return piece.data + piece.len;
}

/* From the quote of its key to the end of its value. */
static struct slice piece_of(const struct json_member *member)
{
    const uint8_t *begin = place_of(member) - 1;
    return slice_of(begin, (size_t)(end_of(member->value) - begin));
}

/* True: no other member stands between the two; that would have a key. */
static bool are_neighbours(struct slice piece, struct slice next)
{
    return memchr(end_of(piece), '"', (size_t)(next.data - end_of(piece))) == NULL;
}

/* The piece with the comma behind it, or, if nothing follows, the comma before it: there is one or
 * the other. */
static struct slice with_comma(struct slice text, struct slice piece)
{
    size_t begin = (size_t)(piece.data - text.data);
    size_t piece_end = begin + piece.len;
    size_t end = piece_end;
    while (is_space(text.data[end])) {
        end++;
    }
    if (text.data[end] == ',') {
        return slice_of(piece.data, end + 1 - begin);
    }
    do {
        begin--;
    } while (is_space(text.data[begin]));
    assert(text.data[begin] == ',');
    return slice_of(text.data + begin, piece_end - begin);
}

size_t json_cut(struct slice text, const struct json_member **members, size_t count,
                struct slice *pieces)
{
    size_t piece_count = 0;
    sort(members, count);
    for (size_t i = 0; i < count; i++) {
        struct slice piece = piece_of(members[i]);
        /* If each neighbour took the comma behind it, none would be left for the object's last. */
        if (piece_count > 0 && are_neighbours(pieces[piece_count - 1], piece)) {
            struct slice *last = &pieces[piece_count - 1];
            last->len = (size_t)(end_of(piece) - last->data);
        } else {
            pieces[piece_count++] = piece;
        }
    }
    for (size_t i = 0; i < piece_count; i++) {
        pieces[i] = with_comma(text, pieces[i]);
    }
    return piece_count;
}
